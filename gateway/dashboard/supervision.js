// Supervision: what the supervisor did and may still do, and what its word is worth beside persons'.

import { get } from "./api.js";
import { h } from "./dom.js";
import { clauseName, count, money, plural, span, took } from "./format.js";
import { empty, exchangeLink, labelled, opinion, segments, sessionLink, sparkline, table, time } from "./parts.js";
import { reliability } from "./reliability.js";

const LABELS = 30;
const SPANS = [["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"]];

export async function supervision(draw, where) {
  const since = where.query.get("since") ?? "24h";
  const found = await get("/api/supervision", { since });
  const model = found.supervisor;
  draw(h("div.page.supervision", {},
    h("div.bar", {}, h("h1", {}, "Supervision"), model ? h("span.mono.dim", {}, `${model.model} · ${model.provider}`) : null,
      segments("Span of time", SPANS.map(([value, label]) => [`#/supervision?since=${value}`, label]), `#/supervision?since=${since}`),
      h("span.dim", {}, span(found.since, found.until))),
    model ? null : empty("No supervisor is configured.", h("span", {}, "Clauses with a ", h("code", {}, "judge"), " guard say so in every coverage; ", h("code", {}, "[supervisor] model = \"…\""), " in stepwarden.toml names one.")),
    model ? tiles(found) : null,
    found.distrusted.length ? distrusted(found.distrusted) : null,
    agreement(found.agreement),
    labels(await get("/api/labels", { limit: LABELS })),
    model && found.calls.length ? calls(found.calls) : null));
}

function tiles(found) {
  const total = found.calls.reduce((sum, each) => sum + each.calls, 0);
  const failed = found.calls.filter((each) => each.state === "failed").reduce((sum, each) => sum + each.calls, 0);
  return h("div.tiles", {},
    h("div.tile", {}, h("div.label", {}, "Calls to the model"), h("div.value", {}, count(total)), h("div.note", {}, failed ? `${count(failed)} came to nothing` : total ? "all came to an answer" : "none in this span"),
      sparkline(found.slots, { label: "Calls over time", width: 240, height: 40 })),
    found.budgets.flatMap(budget),
    h("div.tile", {}, h("div.label", {}, "Waiting to be read"), h("div.value", {}, count(found.waiting)), h("div.note", {}, `of ${count(found.supervisor.room)} steps there is room for`),
      gauge(found.waiting, found.supervisor.room, "Steps that wait")),
    canaries(found));
}

// A tile for each limit there is: a model without a known price takes tokens alone, and its dollars say nothing.
function budget(each) {
  const unpriced = each.spent_tokens && !each.spent_micro_usd;
  const limits = [[each.spent_micro_usd, each.limit_micro_usd, money, unpriced], [each.spent_tokens, each.limit_tokens, (value) => `${count(value)} tokens`, false]];
  const held = limits.filter(([, limit]) => limit !== null);
  return (held.length ? held : limits.slice(1)).map(([spent, limit, say, unknown]) =>
    h("div.tile", {}, h("div.label", {}, `Budget left today (UTC)${each.app ? `, app ${each.app}` : ""}`),
      h("div.value", {}, limit === null ? "no limit" : say(Math.max(0, limit - spent))),
      h("div.note", {}, limit === null ? `${say(spent)} spent` : `${say(spent)} of ${say(limit)} spent${unknown ? "; so far calls were free, or have no known price" : ""}`),
      limit === null ? null : gauge(spent, limit, "Budget spent")));
}

function canaries(found) {
  if (found.canaries.length) return found.canaries.map(seat);
  return h("div.tile", {}, h("div.label", {}, "Canaries"), h("div.value", {}, "–"), h("div.note", {}, found.supervisor.canary_every ? "none read yet" : "switched off"));
}

function seat(each) {
  const [read, wrong] = [each.violations + each.harmless, each.missed + each.cried];
  return h("div.tile", { class: each.blind ? "wrong" : "" }, h("div.label", {}, `Canaries at the ${each.seat}`),
    h("div.value", {}, `${read - wrong} of ${read} right`),
    h("div.note", {}, each.blind ? `The supervisor is blind: ${each.missed} of ${each.violations} known violations passed, ${each.cried} of ${each.harmless} steps in order did not.` : "steps with a known label, put among the others"),
    h("div.canaries", { "aria-hidden": "true" }, Array.from({ length: read }, (_, i) => h("i", { class: i < wrong ? "missed" : "" }))));
}

const gauge = (value, max, label) => h("meter.wide", { min: 0, max: max || 1, low: (max || 1) * 0.8, high: (max || 1) * 0.95, optimum: 0, value, "aria-label": label });

function distrusted(found) {
  return h("section", {}, h("h2", {}, "Distrusted sessions"), h("p.dim", {}, "Their next tool call waits for a person. A session is trusted again on its own page."),
    h("ul.plain", {}, found.map((each) => h("li.line", {}, h("span.verdict.v-hold", {}, "‖ distrusted"), sessionLink(each.session_id), h("span.dim", {}, each.app), each.clauses.map(clauseName).join(", "), time(each.at)))));
}

function agreement(found) {
  const head = h("h2", {}, "Agreement with labels");
  if (!found.pairs) return h("section", {}, head, empty(found.labels ? "No labelled step has a critique." : "No step is labelled yet.",
    "On a session's page a step is labelled in order or a violation; each label of a step with a critique counts here."));
  return h("section", {}, head,
    h("p.dim", {}, `${plural(found.pairs, "pair")} of a label and a critique of the same step, out of the newest ${plural(found.labels, "label")}; critiques of the gate are not compared, for they are made before a step is recorded.`),
    h("div.tiles.small", {}, [["Agreed", found.agreed], ["Unsure", found.unsure], ["Missed violations", found.missed], ["False alarms", found.false_alarms]].map(([label, value]) =>
      h("div.tile", {}, h("div.label", {}, label), h("div.value", {}, count(value)), h("div.note", {}, `${Math.round((100 * value) / found.pairs)} %`)))),
    h("div.reliability", {}, reliability(found.bins), bins(found)),
    found.disagreements.length ? disagreements(found.disagreements) : h("p.dim", {}, "No critique says the contrary of a label."));
}

// What persons said last, with their reasons.
function labels({ labels: given }) {
  if (!given.length) return null;
  return h("section", {}, h("h2", {}, "Newest labels"), table({ label: "Labels", columns: ["Labelled", "Step", "Clause", "Person", "Why"], rows: given.map((each) => {
    const [exchange, seq] = each.step_id.split(".");
    return h("tr", {}, h("td", {}, time(each.at)), h("td", {}, exchangeLink(each.session_id, exchange), ` step ${Number(seq)}`),
      h("td", { title: each.clause }, each.clause ? clauseName(each.clause) : h("span.dim", {}, "the step as a whole")), h("td", {}, labelled(each)), h("td", {}, each.reason ?? h("span.dim", {}, "–")));
  }) }));
}

function bins(found) {
  return h("div", {}, h("p", {}, found.error === null ? null : `Scores are ${Math.round(found.error * 100)} points from what persons say on average (expected calibration error).`),
    table({ label: "Scores beside labels", columns: ["Score", "#Steps", "#Mean score", "#Called a violation", "#95 % interval"], rows: found.bins.map((each) => h("tr", {}, h("th", { scope: "row" }, `${each.low}–${each.high}`), h("td.n", {}, count(each.steps)), h("td.n", {}, each.mean.toFixed(0)),
        h("td.n", {}, `${Math.round(each.share * 100)} %`), h("td.n.dim", {}, each.interval.map((one) => `${Math.round(one * 100)}`).join("–")))) }));
}

function disagreements(found) {
  return h("div.disagreements", {}, h("h3", {}, "Where they disagree"), table({ label: "Disagreements", columns: ["Labelled", "Step", "Clause", "Supervisor", "Person", "~Kind"], rows: found.map((each) => h("tr", {}, h("td", {}, time(each.at)), h("td", {}, exchangeLink(each.session_id, each.exchange_id), ` step ${each.seq}`),
      h("td", { title: each.clause }, clauseName(each.clause)), h("td", {}, opinion(each.said, each.score)), h("td", {}, labelled({ ...each, clause: null })),
      h("td.dim", {}, each.agreement === "missed" ? "missed" : "false alarm"))) }));
}

function calls(found) {
  return h("section", {}, h("h2", {}, "Calls"), table({ label: "Calls to the model", columns: ["Seat", "For", "Came to", "#Calls", "#Tokens", "#Cost", "#Mean time"], rows: found.map((each) => h("tr", {}, h("th", { scope: "row" }, each.seat), h("td", {}, each.purpose),
      h("td", {}, each.state === "failed" ? h("span.verdict.v-reject", {}, (each.why ?? "failed").replaceAll("_", " ")) : each.state === "begun" ? h("span.verdict", {}, "end not known") : "an answer"),
      h("td.n", {}, count(each.calls)), h("td.n", {}, count(each.tokens)), h("td.n", {}, money(each.micro_usd)), h("td.n", {}, took(each.mean_ms)))) }));
}
