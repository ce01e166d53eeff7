// Revisions: each version of what is in force for an app, as a chain; and the way back.

import { get, may, post, who } from "./api.js";
import { changes } from "./changes.js";
import { announce, ask, h, put } from "./dom.js";
import { full, plural } from "./format.js";
import { empty, facts, failure, time } from "./parts.js";

export async function revisions(draw, head) {
  const { revisions: found } = await get("/api/revisions");
  const wrong = h("div");
  const apps = Map.groupBy(found, (each) => each.app);
  const again = async (work) => {
    try {
      if (await work()) await revisions(draw, head);
    } catch (error) {
      put(wrong, failure(error));
      wrong.scrollIntoView();
    }
  };
  draw(h("div.page.revisions", {}, head(), wrong,
    apps.size ? [...apps].map(([app, of]) => chain(app, of, again)) : empty("Nothing was put in force in place of policy files yet.", "The first proposal that a person approves begins the chain.")));
}

function chain(app, of, again) {
  const named = new Map(of.map((each) => [each.revision, each]));
  const now = of.find((each) => each.in_force);
  const before = new Set();
  for (let at = named.get(now?.parent); at && !before.has(at.revision); at = named.get(at.parent)) before.add(at.revision);
  return h("section", {}, h("h2", {}, app, h("span.tag", {}, plural(of.length, "revision"))),
    h("ol.chain", {}, of.map((each) => revision(each, { app, now, before, again }))));
}

function revision(each, { app, now, before, again }) {
  const diff = h("div");
  const shown = h("button.quiet.small", { type: "button", "aria-expanded": "false", onclick: () => show(each, diff, shown) }, "What it changed");
  const back = before.has(each.revision);
  const title = each.author === "files" || each.author === "human:files" ? "Policy files" : each.author.replace(/^optimizer:/, "optimizer ");
  return h("li", { class: each.in_force ? "is-now" : back ? "is-before" : "is-apart", "data-revision": each.revision },
    h("div.line", {}, h("b", {}, title), h("span.mono.dim", { title: each.revision }, each.revision.slice(0, 12)),
      each.in_force ? h("span.verdict.v-on", {}, "in force") : back ? null : h("span.tag", { title: "What is in force does not go back to it" }, "taken back"), h("span.grow"), time(each.at)),
    facts([["since", full(each.at)], ["follows", each.parent ? h("span.mono", { title: each.parent }, each.parent.slice(0, 12)) : "nothing: the chain begins here"],
      ["rests on", each.proposal ? `${plural(each.sessions, "session")}, on the word of ${plural(each.principals, "person or key", "persons or keys")}` : null]]),
    h("div.actions", {}, may("holds") && each.parent ? shown : null,
      may("decide") && each.in_force && each.parent ? h("button.danger", { type: "button", onclick: () => again(() => moved("/api/rollback", { app }, `Roll ${app} back?`, "What was in force before is in force again at once, in every worker.", "Roll back")) }, "Roll back…") : null,
      may("decide") && back && each.revision !== now?.parent ? h("button", { type: "button", onclick: () => again(() => moved("/api/rollback", { app, to: each.revision }, `Go back to ${each.revision.slice(0, 12)}?`, "Everything that came after it is taken back.", "Go back")) }, "Go back to this…") : null,
      may("decide") && !back && !each.in_force ? h("button", { type: "button", onclick: () => again(() => moved(`/api/revisions/${each.revision}/activate`, {}, `Put ${each.revision.slice(0, 12)} in force again?`, "It takes the place of what is in force, at once, in every worker.", "Put in force")) }, "Put in force again…") : null),
    diff);
}

async function show(each, box, button) {
  const open = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!open));
  if (open) {
    put(box);
    return;
  }
  try {
    put(box, changes((await get(`/api/revisions/${each.revision}/diff`)).diff));
  } catch (error) {
    put(box, failure(error));
  }
}

// On a person's word, with the reason; whether it was done.
async function moved(path, content, title, text, yes) {
  const values = await ask({ title, text, yes, danger: true,
    fields: [{ name: "by", label: "Your name, for the audit log", value: who().name ?? "", required: true }, { name: "reason", label: "Reason", long: true, required: true }] });
  if (values === null) return false;
  await post(path, { ...content, by: values.by, reason: values.reason });
  announce("Another revision is in force.");
  return true;
}
