// Sessions: a list, and filters that live in the address, so that a view can be sent to somebody.

import { get } from "./api.js";
import { h, put } from "./dom.js";
import { clauseName, count, full, money, plural, short } from "./format.js";
import { Table, empty, sessionLink, time, verdict } from "./parts.js";

const PAGE = 50;
const FILTERS = ["app", "agent", "verdict", "clause", "model", "since", "cost"];
const SINCE = [["", "any time"], ["15m", "last 15 minutes"], ["1h", "last hour"], ["24h", "last 24 hours"], ["7d", "last 7 days"], ["30d", "last 30 days"]];
const AT_LEAST = [["", "any verdict"], ["flag", "flagged or more"], ["redact", "redacted or more"], ["hold", "held or more"], ["reject", "rejected or more"], ["terminate", "terminated"]];
const COST = [["", "any cost"], ["0.01", "$0.01 or more"], ["0.1", "$0.10 or more"], ["1", "$1 or more"], ["10", "$10 or more"]];

export async function sessions(draw, where) {
  const asked = Object.fromEntries(FILTERS.map((name) => [name, where.query.get(name) ?? ""]));
  const [facets, first] = await Promise.all([get("/api/facets"), get("/api/sessions", { ...asked, limit: PAGE })]);
  const listed = new Table({ label: "Sessions", kind: "sessions", columns: ["Session", "App", "Agent", "Models", "#Turns", "#Steps", "#Tokens", "#Cost", "Verdict", "#Active"] });
  const more = h("button.more", { type: "button", onclick: () => load() }, "Show more");
  const shown = h("span.dim", { role: "status" });
  let next = first.next, rows = 0;

  const options = (values, any, name = (each) => each) => [["", any], ...values.map((each) => [each, name(each)])];
  const select = (name, label, choices) => {
    const known = choices.some(([value]) => value === asked[name]) ? choices : [...choices, [asked[name], asked[name]]];
    return h("label", {}, h("span.unseen", {}, label),
      h("select", { name, class: asked[name] ? "set" : "", onchange: (event) => go({ ...addressed(), [name]: event.target.value }) },
        known.map(([value, text]) => h("option", { value, selected: value === asked[name] }, text))));
  };

  draw(h("div.page", {},
    h("div.bar", {}, h("h1", {}, "Sessions"), shown),
    h("form.filters", { "aria-label": "Filters", onsubmit: (event) => event.preventDefault() },
      select("since", "Active since", SINCE),
      select("app", "App", options(facets.apps, "any app")),
      select("agent", "Agent", options(facets.agents, "any agent")),
      select("verdict", "Verdict", AT_LEAST),
      select("clause", "Clause that found something", options(facets.clauses, "any clause", clauseName)),
      select("model", "Model", options(facets.models, "any model")),
      select("cost", "Cost", COST),
      FILTERS.some((name) => asked[name]) ? h("button.quiet", { type: "button", onclick: () => go({}) }, "Clear") : null),
    listed.element,
    more));
  fill(first);

  function fill(page) {
    rows += page.sessions.length;
    next = page.next;
    listed.add(page.sessions.map(row));
    more.hidden = next === null;
    put(shown, next === null ? plural(rows, "session") : `the newest ${plural(rows, "session")}`);
    if (rows === 0) listed.instead(empty("No session fits.", FILTERS.some((name) => asked[name]) ? "Clear a filter to see more." : "Point an agent at this gateway, and its sessions stand here."));
  }

  async function load() {
    fill(await get("/api/sessions", { ...asked, limit: PAGE, before: next }));
  }
}

// What the address asks for by now: a second choice may come before the first is drawn.
function addressed() {
  const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
  return Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
}

function go(asked) {
  const kept = Object.entries(asked).filter(([, value]) => value !== "");
  location.hash = kept.length ? `#/sessions?${new URLSearchParams(kept)}` : "#/sessions";
}

function row(each) {
  const tokens = each.input_tokens === null && each.output_tokens === null ? "–" : `${count(each.input_tokens)} / ${count(each.output_tokens)}`;
  return h("tr", { onclick: (event) => { if (!event.target.closest("a")) location.hash = `#/sessions/${encodeURIComponent(each.session_id)}`; } },
    h("th", { scope: "row" }, sessionLink(each.session_id, short(each.session_id)), each.derived ? null : h("span.tag", { title: "Named by the client itself" }, "named")),
    h("td", {}, each.app), h("td", {}, each.agent ?? h("span.dim", { title: each.client ?? "" }, each.client?.split("/")[0] ?? "–")),
    h("td.models", {}, each.models.join(", ")),
    h("td.n", {}, count(each.exchanges)), h("td.n", {}, count(each.steps)),
    h("td.n", { title: "in / out" }, tokens), h("td.n", {}, money(each.cost_micro_usd, each.unpriced)),
    h("td", {}, each.terminated_at ? h("span.verdict.v-terminate", {}, "ended") : null, verdict(each.verdict, each.shadow)),
    h("td.n", { title: full(each.last_at) }, time(each.last_at)));
}
