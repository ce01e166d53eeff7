// One exchange: what was new in it as people read it, findings on their characters, which guards ran and which did not,
// and beside it the bytes that crossed the wire.

import { body, get, may } from "./api.js";
import { about, aside, critiques, label } from "./critique.js";
import { h, put } from "./dom.js";
import { bytes, clauseName, count, full, money, took } from "./format.js";
import { pieces, severity } from "./highlight.js";
import { requestChanges } from "./requestchanges.js";
import { places } from "./sought.js";
import { pretty } from "./holdcard.js";
import { facts, failure, fidelity, kind, labelled, sessionLink, table, verdict } from "./parts.js";

const LONGEST = 60_000;
const WIRE_MOST = 300_000;

export class ExchangeView {
  // `labelled` hears that a person labelled a step.
  constructor({ inSession = false, labelled = () => {} } = {}) {
    this.inSession = inSession;
    this.told = labelled;
    this.element = h("article.exchange", { "aria-label": "Exchange" });
    this.wire = false;
    this.compared = false;
    this.turn = 0;
  }

  // Another step of an exchange that is still being asked for is where its drawing will point.
  async show(id, seq = null) {
    this.seq = seq;
    if (this.id !== id) {
      this.id = id;
      const mine = ++this.turn;
      const path = `/api/exchanges/${encodeURIComponent(id)}`;
      try {
        const [detail, why] = await Promise.all([get(path, { text: LONGEST }), get(`${path}/explanation`)]);
        if (mine !== this.turn) return;
        this.detail = detail;
        this.why = why;
        this.draw();
      } catch (error) {
        if (mine !== this.turn) return;
        put(this.element, failure(error));
        this.id = null;
        return;
      }
    }
    this.point(this.seq);
  }

  // Something else is shown in its place.
  clear() {
    this.turn += 1;
    this.id = null;
  }

  point(seq) {
    for (const each of this.element.querySelectorAll(".stepview.chosen")) each.classList.remove("chosen");
    const step = seq === null ? null : this.element.querySelector(`[data-seq="${seq}"]`);
    step?.classList.add("chosen");
    const rendered = this.element.querySelector(".rendered");
    if (rendered) rendered.scrollTop = step ? step.offsetTop - rendered.offsetTop - 8 : 0;
  }

  draw() {
    const { exchange: x, steps } = this.detail;
    const why = new Map(this.why.steps.map((each) => [each.seq, each]));
    const started = Date.parse(x.started_at);
    const until = (at) => (at ? took(Date.parse(at) - started) : null);
    const toggle = h("button.quiet", { type: "button", "aria-pressed": String(this.wire), onclick: () => this.flip() }, "Raw wire");
    const compare = x.join && x.operation === "chat" ? h("button.quiet", { type: "button", "aria-pressed": String(this.compared), onclick: () => this.compare() }, "What changed") : null;
    put(this.element,
      h("div.bar", {}, h("h2", {}, named(x, steps)), verdict(x.verdict, this.why.shadow, this.why.reason), h("span.grow"), compare, toggle),
      facts([
        ["exchange", h("span.mono", {}, x.exchange_id)],
        this.inSession ? ["", null] : ["session", x.join ? sessionLink(x.join.session_id, x.join.session_id) : null],
        ["app", x.app], ["provider", `${x.provider} · ${x.operation}`], ["outcome", `${x.outcome.replaceAll("_", " ")}${x.status ? ` · ${x.status}` : ""}${x.error_type ? ` · ${x.error_type}` : ""}`],
        ["at", full(x.started_at)], ["first token", until(x.first_token_at)], ["took", until(x.ended_at)],
        ["tokens", `${count(x.usage.input_tokens)} in${x.usage.cache_read_tokens ? ` (${count(x.usage.cache_read_tokens)} cached)` : ""} · ${count(x.usage.output_tokens)} out`],
        ["cost", money(x.cost_micro_usd)],
        ["history", x.join?.known ? `${count(x.join.known)} messages sent again, not shown` : null],
        ["joined by", x.join && x.join.evidence !== "none" ? `${x.join.evidence.replaceAll("_", " ")} (${x.join.relation.replaceAll("_", " ")})` : null],
        ["retry", x.retry || null],
        ["in place of", x.in_place_of ? h("span.mono", {}, x.in_place_of) : null],
        ["finish", x.finish_reasons.join(", ")], ["note", x.note],
      ]),
      this.why.advice ? h("p.advice", {}, this.why.advice) : null,
      h("section.changed", { hidden: !(this.compared && compare), tabindex: "0", "aria-label": "What the request changed since the turn before" }),
      h("div.columns", {},
        h("div.rendered", { tabindex: "0", role: "region", "aria-label": "What was new" },
          steps.length ? this.steps(steps, why) : h("p.dim", {}, "This exchange carries no steps."),
          critiques(this.why.critiques),
          this.guards()),
        h("div.wire", { hidden: !this.wire })));
    if (this.wire) this.loadWire();
    if (this.compared && compare) this.loadChanges();
  }

  // Tool definitions that nothing was said of are folded.
  steps(steps, why) {
    const quiet = steps.filter((step) => step.kind === "tool_definitions" && step.verdict === "allow" && !why.get(step.seq)?.matches.length);
    const shown = (step) => this.step(step, why.get(step.seq));
    if (quiet.length < 2) return steps.map(shown);
    const fold = h("details.stepview", { "data-seq": quiet[0].seq }, h("summary", {}, kind("tool_definitions"), h("b", {}, `${quiet.length} `), h("span.dim", {}, quiet.map((each) => each.tool).join(", "))), quiet.map(shown));
    return steps.flatMap((step) => (step === quiet[0] ? [fold] : quiet.includes(step) ? [] : [shown(step)]));
  }

  step(step, said) {
    const matches = said?.matches ?? [];
    const opined = about(this.why.critiques, step.step_id);
    const quotes = opined.flatMap((each) => each.quotes);
    const numbered = new Map([...matches.map((match, i) => [match, i + 1]), ...opined.flatMap((each, i) => each.quotes.map((quote) => [quote, letter(i)]))]);
    const marked = [...matches, ...quotes];
    const shown = step.text === null ? null : step.kind === "tool_call" && !marked.some((each) => each.start < each.end) ? pretty(step.text) : step.text;
    const sought = shown === null ? [] : places(shown);
    return h("section.stepview", { "data-seq": step.seq, class: `s-${step.kind}${step.verdict === "allow" ? "" : ` is-${step.verdict}`}` },
      h("header.line", {}, kind(step.kind), step.tool ? h("b.tool", {}, step.tool) : null,
        step.fidelity === "witnessed" ? null : fidelity(step.fidelity),
        step.server_side ? h("span.tag", { title: "The provider ran this tool itself: seen only after the act" }, "server side") : null,
        h("span.grow"), this.why.labels.filter((each) => each.step_id === step.step_id).map((each) => labelled(each, this.why.guards.length ? step.verdict : null)),
        verdict(step.verdict, step.shadow, step.reason), h("span.dim", {}, bytes(step.size)), this.labelling(step, said, opined)),
      step.unread ? h("p.dim", {}, `No guard can read this: ${step.unread}.`) : null,
      shown === null ? h("p.dim", {}, "The content was not kept.") : h("pre.text", { class: "said", tabindex: "0", "aria-label": "Its text" }, pieces(shown, [...marked, ...sought]).map(([text, on]) =>
        on.length === 0 ? text : on.every((each) => sought.includes(each)) ? h("mark.m-sought", {}, text) : h("mark", { class: `m-${severity(strongest(on.filter((each) => !sought.includes(each))))}${on.some((each) => quotes.includes(each)) ? " m-quote" : ""}`, title: on.filter((each) => each.clause).map((each) => `${clauseName(each.clause)}: ${each.label}`).join("\n") },
          text, h("sup", {}, on.map((each) => numbered.get(each)).filter(Boolean).join(" "))))),
      step.truncated ? h("p.dim", {}, `The first ${count(LONGEST)} characters; the wire has all of it.`) : null,
      said?.edits.length ? h("p.dim", {}, `Put in its place: ${said.edits.join(" · ")}`) : null,
      matches.length ? h("ol.findings", {}, matches.map((match) => this.finding(match))) : null,
      opined.length ? h("ol.findings.opinions", {}, opined.map(aside)) : null);
  }

  labelling(step, said, opined) {
    if (!may("decide")) return null;
    const clauses = [...new Set([...(said?.clauses ?? []), ...(said?.matches ?? []).map((each) => each.clause), ...opined.map((each) => each.clause)])];
    return h("button.quiet.small", { type: "button", "aria-label": `Label step ${step.seq}`, onclick: () => this.label(step, clauses) }, "Label…");
  }

  async label(step, clauses) {
    try {
      if (!(await label(step.step_id, clauses))) return;
      const { id } = this;
      this.id = null;
      await this.show(id, step.seq);
      this.told();
    } catch (error) {
      this.element.querySelector(`[data-seq="${step.seq}"]`)?.append(failure(error));
    }
  }

  finding(match) {
    return h("li", { class: `f-${severity(match)}` },
      h("div.line", {}, h("a", { href: `#/policies?clause=${encodeURIComponent(match.clause)}`, title: match.clause }, clauseName(match.clause)),
        h("span.tag", {}, match.guard), match.label ? h("span.tag", {}, match.label) : null, match.pointer ? h("span.mono.dim", {}, match.pointer) : null,
        h("span.grow"), h("span.score", { title: "Score: 0 routine, 50 a second look, 75 likely, 90 near-certain" },
          h("meter", { min: 0, max: 100, low: 50, high: 75, optimum: 0, value: match.score, "aria-label": "score" }), match.score), h("span.dim", {}, match.state)),
      match.note ? h("p", {}, match.note) : null,
      match.text ? h("p.quote", {}, match.text) : null,
      match.source ? h("p.source", {}, `goes back to ${match.source.kind.replaceAll("_", " ")}${match.source.tool ? ` of ${match.source.tool}` : ""}`,
        match.source.text ? h("span.quote", {}, match.source.text) : null) : null);
  }

  guards() {
    const runs = this.why.guards;
    if (this.why.unread) return h("section.guards", {}, h("h3", {}, "Guards"), h("p.verdict.v-hold", {}, `No guard read this exchange: ${this.why.unread}.`));
    if (!runs.length) return h("section.guards", {}, h("h3", {}, "Guards"), h("p.dim", {}, "No policy was in force for this app, so nothing looked at it."));
    const missing = runs.filter((each) => each.not_run);
    return h("section.guards", {},
      h("h3", {}, `Guards · ${runs.length - missing.length} ran`, missing.length ? h("span.verdict.v-hold", {}, ` ${missing.length} did not on some steps`) : null),
      table({ label: "Guards", columns: ["Clause", "Guard", "#Steps", "#Read", "#Took", "Not run"],
        rows: runs.map((each) => h("tr", { class: each.not_run ? "missing" : "" },
          h("th", { scope: "row" }, clauseName(each.clause), each.shadow ? h("span.tag", {}, "shadow") : null), h("td", {}, each.guard),
          h("td.n", {}, each.steps), h("td.n", {}, bytes(each.scanned)), h("td.n", {}, took(each.micros / 1000)),
          h("td", {}, each.not_run ? `${each.not_run}: ${each.skipped.join(", ")}` : ""))) }));
  }

  flip() {
    this.wire = !this.wire;
    this.element.closest(".split")?.classList.toggle("wide", this.wire);
    this.draw();
  }

  compare() {
    this.compared = !this.compared;
    this.draw();
  }

  async loadChanges() {
    const box = this.element.querySelector(".changed");
    const id = this.id;
    put(box, h("p.dim", {}, "Comparing…"));
    const found = await get(`/api/exchanges/${encodeURIComponent(id)}/changes`, { text: LONGEST }).catch((error) => error);
    if (id === this.id) put(box, found instanceof Error ? failure(found) : requestChanges(found));
  }

  async loadWire() {
    const box = this.element.querySelector(".wire");
    if (!may("wire")) {
      put(box, h("p.dim", {}, "The exact bytes are for the roles auditor and admin."));
      return;
    }
    const id = this.id;
    put(box, h("p.dim", {}, "Reading…"));
    const sides = await Promise.all(["request", "response"].map(async (side) => {
      try {
        return [side, await plain(await body(`/api/exchanges/${encodeURIComponent(id)}/${side}`))];
      } catch (error) {
        return [side, error];
      }
    }));
    if (id !== this.id) return;
    put(box, sides.map(([side, found]) => h("section", {}, h("h3", {}, side, found.text === undefined ? null : h("span.dim", {}, ` ${found.type || "unknown type"} · ${bytes(found.length)}`)),
      found instanceof Error ? failure(found) : h("pre.raw", { tabindex: "0", "aria-label": `${side} body` }, found.text),
      found.cut ? h("p.dim", {}, `The first ${count(WIRE_MOST)} characters.`) : null,
      found.sha256 ? h("p.mono.dim", {}, `sha256 ${found.sha256}`) : null)));
  }
}

const letter = (i) => String.fromCharCode(97 + (i % 26));

// What an exchange is called: its model, or the method and the tool of a message to an MCP server.
const named = (x, steps) => (x.dialect === "mcp" ? [x.operation, steps.find((each) => each.kind === "tool_call")?.tool].filter(Boolean).join(" ") : x.model ?? x.model_requested ?? x.path);

const strongest = (matches) => matches.reduce((a, b) => (b.score > a.score ? b : a));

// A body as text: unpacked where the browser can, and said where it cannot.
async function plain(got) {
  const packed = { gzip: "gzip", deflate: "deflate" }[got.encoding];
  let raw = got.bytes;
  if (packed) {
    const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream(packed));
    raw = new Uint8Array(await new Response(stream).arrayBuffer());
  } else if (got.encoding && got.encoding !== "identity") {
    throw Object.assign(new Error(`This body is encoded as ${got.encoding}, which browsers do not unpack here.`), { remedy: "Use `stepwarden exchanges show`." });
  }
  const text = new TextDecoder().decode(raw);
  return { text: text.slice(0, WIRE_MOST), cut: text.length > WIRE_MOST, type: got.type, length: got.bytes.length, sha256: got.sha256 };
}
