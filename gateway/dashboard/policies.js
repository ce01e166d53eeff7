// Policies: the clauses in force for each app, what they may do, and how often they found something.

import { get } from "./api.js";
import { h, put } from "./dom.js";
import { clauseName, count, full } from "./format.js";
import { empty } from "./parts.js";

export async function policies(main, where) {
  const found = await get("/api/clauses");
  const wanted = where.query.get("clause");
  put(main, h("div.page.policies", {},
    h("div.bar", {}, h("h1", {}, "Policies"), h("span.dim", {}, `counted over the newest ${count(found.counted)} exchanges`)),
    found.apps.length ? found.apps.map((app) => section(app, found.counted, wanted)) : empty("No policy is in force.", "Name one in stepwarden.toml: [app.default] policy = [\"agent-baseline\"]; `stepwarden init` writes a file to start from.")));
  main.querySelector(".clause.chosen")?.scrollIntoView({ block: "center" });
}

function section(app, counted, wanted) {
  const most = Math.max(1, ...app.clauses.map((each) => each.fired ?? 0));
  return h("section", {},
    h("h2", {}, app.app, h("span.tag", { title: app.enforce ? "Clauses may do more than flag" : "Everything is only flagged" }, app.enforce ? "enforced" : "watching only"),
      h("span.tag", { title: "What becomes of steps that no guard can read" }, `unread: ${app.unseen}`)),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": `Clauses of ${app.app}` }, h("table.clauses", {},
      h("thead", {}, h("tr", {}, ["Clause", "Severity", "In force", "Does", "Guards"].map((each) => h("th", { scope: "col" }, each)),
        h("th.n", { scope: "col" }, "Fired"), h("th.n", { scope: "col" }, "Acted"), h("th.n", { scope: "col" }, "Would have"))),
      h("tbody", {}, app.clauses.map((each) => row(each, app, most, wanted))))));
}

function row(clause, app, most, wanted) {
  const fired = clause.fired ?? 0, stopped = clause.stopped ?? 0;
  const watched = clause.mode === "shadow" || clause.out_of_force || (!app.enforce && clause.action.some((band) => band.do !== "flag"));
  const would = watched ? fired : 0;
  const bands = clause.action.map((band) => `${band.do}${band.else ? ` or ${band.else}` : ""} at ${band.at}`).join(", ");
  return h("tr.clause", { class: clause.name === wanted ? "chosen" : "" },
    h("th", { scope: "row" }, h("span.name", { title: clause.name }, clauseName(clause.name)), clause.protected ? h("span.tag", { title: "Takes an admin to take out of force" }, "protected") : null,
      h("p.text", {}, clause.text)),
    h("td", {}, h("span.severity", { class: `sev-${clause.severity}` }, clause.severity)),
    h("td", {}, clause.out_of_force ? h("span.verdict.v-hold", { title: clause.out_of_force.reason }, `out of force until ${full(clause.out_of_force.until)} by ${clause.out_of_force.by}`)
      : clause.mode === "shadow" ? h("span.verdict.v-shadow", {}, "shadow") : clause.acts ? h("span.verdict.v-on", {}, "enforced") : h("span.dim", {}, "flags")),
    h("td.dim", {}, bands),
    h("td.dim", {}, clause.guards.map((each) => h("span.tag", {}, each))),
    h("td.n", {}, h("span.barcell", {}, h("meter", { min: 0, max: most, value: fired, "aria-label": "fired" }), count(fired))),
    h("td.n", {}, stopped ? count(stopped) : "–"),
    h("td.n", {}, would ? h("span.verdict.v-shadow", {}, count(would)) : "–"));
}
