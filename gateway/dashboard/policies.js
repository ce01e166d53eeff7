// Policies: the clauses in force for each app, what they may do, and how often they found something.

import { get, may, post, who } from "./api.js";
import { announce, ask, h, put } from "./dom.js";
import { clauseName, count, full, plural, stronger } from "./format.js";
import { empty, failure, sparkline, table } from "./parts.js";

export async function policies(draw, where) {
  const found = await get("/api/clauses");
  const wanted = where.query.get("clause");
  const wrong = h("div");
  const change = async (app, clause) => {
    try {
      if (await changed(app, clause)) await policies(draw, where);
    } catch (error) {
      put(wrong, failure(error));
      wrong.scrollIntoView();
    }
  };
  const page = h("div.page.policies", {}, wrong,
    h("div.bar", {}, h("h1", {}, "Policies"), h("span.dim", {}, `counted over the newest ${plural(found.counted, "exchange")}`)),
    found.apps.length ? found.apps.map((app) => section(app, wanted, change)) : empty("No policy is in force.", "Name one in stepwarden.toml: [app.default] policy = [\"agent-baseline\"]; `stepwarden init` writes a file to start from."));
  draw(page);
  page.querySelector(".clause.chosen")?.scrollIntoView({ block: "center" });
}

// Break glass: a clause out of force for a while, on a person's word, or back in force. Kept in the audit log.
async function changed(app, clause) {
  const back = Boolean(clause.out_of_force);
  const values = await ask({
    title: back ? `Put ${clauseName(clause.name)} back in force?` : `Take ${clauseName(clause.name)} out of force?`,
    text: back ? "It acts again at once." : `For ${app.app}, at once and in every worker. It goes on being recorded as what would have happened, and ends by itself.`,
    fields: [
      ...(back ? [] : [{ name: "hours", label: "For how many hours (0.1 to 168)", value: "1", required: true }]),
      { name: "by", label: "Your name, for the audit log", value: who().name ?? "", required: true },
      { name: "reason", label: "Reason", long: true, required: true },
    ],
    yes: back ? "Put back" : "Take out", danger: !back,
  });
  if (values === null) return false;
  const asked = { clause: clause.name, mode: back ? "enforce" : "shadow", by: values.by, reason: values.reason, app: back ? clause.out_of_force.app : app.app };
  if (asked.app === "*") delete asked.app;
  if (!back) asked.seconds = Math.round(Number(values.hours.replace(",", ".")) * 3600) || 0;
  await post("/api/clauses/mode", asked);
  announce(back ? "The clause is in force again." : "The clause is out of force.");
  return true;
}

function section(app, wanted, change) {
  return h("section", {},
    h("h2", {}, app.app, h("span.tag", { title: app.enforce ? "Clauses may do more than flag" : "Everything is only flagged" }, app.enforce ? "enforced" : "watching only"),
      h("span.tag", { title: "What becomes of steps that no guard can read" }, `unread: ${app.unseen}`)),
    table({ label: `Clauses of ${app.app}`, kind: "clauses", columns: ["Clause", "Severity", "In force", "Does", "Guards", "Over time", "#Fired", "#Acted", "Would have"],
      rows: app.clauses.map((each) => row(each, app, wanted, change)) }));
}

function row(clause, app, wanted, change) {
  const fired = clause.fired ?? 0, stopped = clause.stopped ?? 0;
  const would = Object.entries(clause.would ?? {}).sort(([a], [b]) => (stronger(a, b) ? -1 : 1));
  const bands = clause.action.map((band) => `${band.do}${band.else ? ` or ${band.else}` : ""} at ${band.at}`).join(", ");
  return h("tr.clause", { class: clause.name === wanted ? "chosen" : "" },
    h("th", { scope: "row" }, h("span.name", { title: clause.name }, clauseName(clause.name)), clause.protected ? h("span.tag", { title: "Takes an admin to take out of force" }, "protected") : null,
      h("p.text", {}, clause.text)),
    h("td", {}, h("span.severity", { class: `sev-${clause.severity}` }, clause.severity)),
    h("td", {}, clause.out_of_force ? h("span.verdict.v-hold", { title: clause.out_of_force.reason }, `out of force until ${full(clause.out_of_force.until)} by ${clause.out_of_force.by}`)
      : clause.mode === "shadow" ? h("span.verdict.v-shadow", {}, "shadow") : clause.acts ? h("span.verdict.v-on", {}, "enforced") : h("span.dim", {}, "flags"),
      may("decide") && (clause.out_of_force || clause.acts) ? h("button.quiet.small", { type: "button", "aria-label": `${clause.out_of_force ? "Put back" : "Take out of force"}: ${clauseName(clause.name)}`, onclick: () => change(app, clause) }, clause.out_of_force ? "Put back…" : "Take out of force…") : null),
    h("td.dim", {}, bands),
    h("td.dim", {}, guards(clause.guards).map((each) => h("span.tag", {}, each))),
    h("td", {}, fired ? sparkline(clause.slots, { label: `How often ${clauseName(clause.name)} found something, oldest first`, width: 96, height: 20 }) : h("span.dim", {}, "–")),
    h("td.n", {}, fired ? h("a", { href: `#/sessions?clause=${encodeURIComponent(clause.name)}`, title: "Sessions in which it found something" }, count(fired)) : h("span.dim", {}, "0")),
    h("td.n", {}, stopped ? count(stopped) : h("span.dim", {}, "–")),
    h("td", {}, would.length ? would.map(([verdict, times]) => h("span.verdict.v-shadow", { title: "What it asked for and did not get, being out of force" }, `${verdict} ${count(times)}`)) : h("span.dim", {}, "–")));
}

// Kinds of guards; of several of one kind, how many there are.
const guards = (places) => [...Map.groupBy(places, (each) => each.replace(/\.\d+$/, ""))].map(([kind, of]) => (of.length > 1 ? `${kind.replaceAll("_", " ")} ×${of.length}` : kind.replaceAll("_", " ")));
