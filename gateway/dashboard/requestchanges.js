// What a request asks otherwise than the one before it: what else it sends than the messages it adds.

import { difference } from "./diff.js";
import { h } from "./dom.js";
import { count, plural } from "./format.js";
import { pretty } from "./holdcard.js";
import { exchangeLink, kind } from "./parts.js";

export function requestChanges(found) {
  if (found.since === null) return h("p.dim", {}, "This is the first request of its branch: there is none before it to compare with.");
  const since = h("p.dim", {}, "Compared with ", exchangeLink(null, found.since), `: ${plural(found.kept, "message")} sent again${found.history_changes ? `, ${count(found.history_changes)} told anew` : ""}, ${count(found.appended)} added.`);
  const parts = [settings(found.settings), instructions(found.instructions), tools(found.tools), history(found)].filter(Boolean);
  return [since, parts.length ? parts : h("p", {}, "Nothing but the messages it adds is otherwise: settings, instructions, tools and history are as they were.")];
}

const settings = (changes) => (changes.length ? h("section", {}, h("h3", {}, `Settings · ${changes.length}`), h("dl.settings", {}, changes.map((each) =>
  h("div", {}, h("dt.mono", {}, each.name), each.withheld ? h("dd.dim", {}, "otherwise; it may name a person, and stands in the raw wire alone")
    : h("dd", {}, h("del.mono", {}, each.before ?? "not set"), " ", h("ins.mono", {}, each.after ?? "not set")))))) : null);

const instructions = (change) => (change ? h("section", {}, h("h3", {}, "Instructions"), difference(change.before, change.after), beginning(change)) : null);

const tools = (changes) => (changes.length ? h("section", {}, h("h3", {}, `Tools · ${changes.length}`), changes.map((each) =>
  h("details", { open: changes.length < 4 }, h("summary", {}, h("b.tool", {}, each.name), " ", h("span.tag", {}, word(each))),
    difference(...[each.before, each.after].map((text) => (text === null ? null : pretty(text)))), beginning(each)))) : null);

const history = (found) => (found.history_changes ? h("section", {}, h("h3", {}, `History told anew · ${found.history_changes}`),
  h("p.dim", {}, "What the model was shown of earlier turns is not what it was shown before."),
  found.history.map((each) => h("details", { open: found.history.length < 4 }, h("summary", {}, kind(each.name), " ", h("span.tag", {}, word(each)), h("span.dim", {}, ` message ${each.place + 1}`)),
    each.before === each.after ? h("p.dim", {}, "Its text is as it was; something else in it is not. The raw wire has it.") : difference(each.before, each.after), beginning(each))),
  found.history.length < found.history_changes ? h("p.dim", {}, `The first ${found.history.length} of them; the raw wire has all.`) : null) : null);

const word = (each) => (each.before === null ? "added" : each.after === null ? "taken away" : "changed");
const beginning = (each) => (each.cut ? h("p.dim", {}, "Only the beginning is compared here.") : null);
