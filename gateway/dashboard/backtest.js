// What a candidate would have made of recorded history: each step that it judges otherwise than it was judged then.

import { h } from "./dom.js";
import { clauseName, count, plural } from "./format.js";
import { exchangeLink, kind, verdict } from "./parts.js";

export function backtest(report) {
  const sum = h("p", {}, `${plural(report.steps, "step")} in ${plural(report.exchanges, "exchange")} of ${plural(report.sessions, "session")} judged anew: `,
    report.flipped || report.hypothetical ? h("b", {}, `${count(report.flipped)} with another verdict`) : h("b", {}, "every verdict as it was"),
    report.hypothetical ? `, and ${count(report.hypothetical)} behind one of them, which may never have come` : null, ".");
  const interfered = h("p.dim", {}, `Redacted, rewritten, held, rejected or terminated: ${plural(report.then.steps, "step")} then, ${count(report.now.steps)} with it.`);
  const rest = [...report.unreplayed.map((each) => `${plural(each.exchanges, "exchange")}: ${each.why.replaceAll("_", " ")}`), report.left_out ? `${plural(report.left_out, "session")} left out, for there was more than is looked at` : null].filter(Boolean);
  return [sum, interfered, report.flips.map(flips), rest.length ? h("p.dim", {}, `Not replayed: ${rest.join("; ")}.`) : null];
}

const flips = (each) => h("details.flips", { open: true }, h("summary", {}, each.clause ? clauseName(each.clause) : "no clause", " ", word(each.before), " → ", word(each.after), each.before === each.after ? " of other bytes" : "",
  h("span.dim", {}, ` ${[each.steps ? plural(each.steps, "step") : null, each.hypothetical ? `${count(each.hypothetical)} hypothetical` : null].filter(Boolean).join(", ")}`)),
h("ul.plain", {}, each.examples.map((flip) => h("li", {}, h("div.line", {}, exchangeLink(flip.session_id, flip.exchange_id), flip.kind ? kind(flip.kind) : null, flip.tool ? h("b.tool", {}, flip.tool) : null, h("span.dim", {}, flip.why),
  flip.hypothetical ? h("span.tag", { title: "What stands there might never have come" }, "hypothetical") : null), flip.text ? h("p.quote", {}, flip.text) : null))));

const word = (name) => (name === "allow" ? h("span.dim", {}, "allowed") : verdict(name));
