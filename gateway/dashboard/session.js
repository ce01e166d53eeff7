// A session: its turns and steps as a tree beside their time, and what was chosen in full.

import { get, may, post, who } from "./api.js";
import { announce, ask, h, put } from "./dom.js";
import { ExchangeView } from "./exchangeview.js";
import { listen } from "./feed.js";
import { STRENGTH, clauseName, clock, count, few, full, money, plural, short, took } from "./format.js";
import { LongList } from "./list.js";
import { spanMark, spanView } from "./reported.js";
import { ending, failure, fidelity, kind, labelled, opinion, verdict } from "./parts.js";

const HEIGHT = 26;
const PAGE = 80; // turns that are drawn before anything else is asked for
const PREVIEW = 160;
const PREVIEW_TURNS = 20;
// A wire shows a call as it happens, and its result in the next request.
const USUAL = { tool_result: "projected" };

export async function session(draw, where, signal) {
  const view = new SessionView(where.id, where.query.get("turn"), where.query.get("step"));
  signal.addEventListener("abort", () => view.close());
  await view.open(draw);
}

// Definitions of tools come by the dozen and say little one by one: those that nothing was said of stand in one row.
function grouped(steps) {
  const groups = [];
  for (const step of steps) {
    const quiet = step.kind === "tool_definitions" && step.verdict === "allow" && step.shadow === "allow" && !step.findings;
    if (quiet && groups.at(-1)?.quiet) groups.at(-1).push(step);
    else groups.push(Object.assign([step], { quiet }));
  }
  return groups;
}

class SessionView {
  constructor(id, wanted, step) {
    Object.assign(this, { id, wanted, step: step === null ? null : Number(step), turns: [], spans: [], told: true, detailed: null, rows: [], branches: new Map(), only: null, previews: new Map(), asked: new Set(), last: 0, total: 0, marks: new Map(), labels: new Map(), said: null });
  }

  async open(draw) {
    this.stop = listen((what, data) => this.heard(what, data));
    const path = `/api/sessions/${encodeURIComponent(this.id)}`;
    // Branches come with the session, turns a page at a time: a long session is drawn from its first page on.
    const [page, listed] = await Promise.all([get(`${path}/turns`, { limit: PAGE }), get(`${path}/branches`)]);
    this.id = page.session_id;
    this.path = `/api/sessions/${encodeURIComponent(this.id)}`;
    this.summary = listed.session;
    this.know(listed.branches);
    this.view = new ExchangeView({ inSession: true, labelled: () => this.mark() });
    this.list = new LongList({
      label: "Turns and steps", height: HEIGHT,
      draw: (index) => this.draw(this.rows[index]), chosen: (index) => this.chosen(this.rows[index]),
      seen: (first, last) => this.seen(first, last), classOf: (index) => this.classOf(this.rows[index]),
    });
    this.head = h("div.sessionhead");
    this.chips = h("div.chips", { role: "group", "aria-label": "Branches" });
    draw(h("div.sessionpage", {}, this.head,
      h("div.split", {},
        h("section.treeside", { "aria-label": "Turns and steps" }, this.chips, this.list.element),
        h("section.detailside", { "aria-label": "What was chosen" }, this.view.element))));
    this.drawHead();
    this.add(page.turns);
    this.drawChips();
    put(this.view.element, h("p.hint", {}, "Choose a turn or a step: ", h("kbd", {}, "↑"), h("kbd", {}, "↓"), " move."));
    if (this.missed) this.catchUpSoon();
    this.mark();
    this.report();
    if (!this.wanted) this.choose(this.strongest());
    await this.read(0, this.rows.length); // before the rest, which takes the gateway a while where a session is long
    await this.rest(page.next);
    if (this.wanted && !this.closed) this.find(this.wanted);
  }

  close() {
    this.closed = true;
    this.stop?.();
    this.list?.close();
    for (const each of [this.loading, this.opening, this.soon]) clearTimeout(each);
  }

  async rest(next) {
    while (next !== null && !this.closed) {
      const page = await get(`${this.path}/turns`, { after: next, limit: 1000 });
      if (this.closed) return;
      this.add(page.turns);
      if (this.wanted && page.turns.some((turn) => turn.exchange_id === this.wanted)) this.find(this.wanted);
      next = page.next;
    }
  }

  // What supervisors and persons said of steps: it comes after the tree is drawn.
  async mark() {
    const said = await get(`${this.path}/marks`).catch(() => null);
    if (said === null || this.closed) return;
    this.said = said;
    this.marks = Map.groupBy(said.marks, (each) => `${each.exchange_id}.${each.seq}`);
    this.labels = Map.groupBy(said.labels, (each) => unpadded(each.step_id));
    this.drawHead();
    this.list.again();
  }

  // What the application told of the session itself: spans that nobody here witnessed, in order of time.
  async report() {
    const found = await get(`${this.path}/reported`).catch(() => null);
    if (found === null || this.closed || !found.spans.length) return;
    this.spans = found.spans.map((each) => ({ ...each, start: Date.parse(each.started_at), end: Date.parse(each.ended_at) }))
      .sort((a, b) => a.start - b.start || a.depth - b.depth);
    this.more = found.more;
    this.keep(() => this.arrange());
    this.drawChips();
  }

  // Draw rows anew with the same one chosen.
  keep(change) {
    const chosen = this.rows[this.list.at];
    change();
    if (!chosen) return;
    const at = this.rows.findIndex((row) => (chosen.span ? row.span === chosen.span : !row.span && row.turn === chosen.turn && row.step === chosen.step && Boolean(row.branch) === Boolean(chosen.branch)));
    if (at >= 0) this.list.moved(at);
  }

  know(branches) {
    const lanes = new Map();
    for (const branch of branches) {
      const parent = lanes.get(branch.parent_branch_id);
      lanes.set(branch.branch_id, { ...branch, lane: lanes.size, depth: parent ? parent.depth + 1 : 0 });
    }
    this.branches = lanes;
  }

  // Turns after those that are known: the rest of a long session and what happens meanwhile come side by side.
  add(turns) {
    for (const turn of turns.filter((each) => each.number > this.last)) {
      turn.start = Date.parse(turn.started_at);
      this.turns.push(turn);
      this.last = turn.number;
    }
    this.arrange();
  }

  // Rows in order of time; a branch is announced where it begins. Pauses count for little, so that work has room.
  arrange() {
    const shown = this.only === null ? this.turns : this.turns.filter((turn) => turn.branch_id === this.only);
    const busy = shown.reduce((sum, turn) => sum + turn.took_ms, 0) || 1;
    const pause = busy / 40;
    const seen = new Set();
    const spans = this.only === null && this.told ? [...this.spans] : [];
    let at = 0, ended = null;
    this.rows = [];
    for (const turn of shown) {
      while (spans.length && spans[0].start <= turn.start) this.rows.push({ span: spans.shift() });
      if (ended !== null) at += Math.min(Math.max(turn.start - ended, 0), pause) - Math.max(ended - turn.start, 0);
      turn.at = Math.max(at, 0);
      at = turn.at + turn.took_ms;
      ended = turn.start + turn.took_ms;
      if (!seen.has(turn.branch_id) && this.branches.size > 1) this.rows.push({ branch: this.branches.get(turn.branch_id), turn });
      seen.add(turn.branch_id);
      this.rows.push({ turn });
      for (const group of grouped(turn.steps)) this.rows.push({ turn, step: group[0], group });
    }
    this.rows.push(...spans.map((span) => ({ span })));
    this.shown = shown;
    this.total = Math.max(...shown.slice(-50).map((turn) => turn.at + turn.took_ms), at, 1);
    this.list.size(this.rows.length);
    this.list.again();
  }

  // Where a moment of the clock stands on the axis, on which pauses are short.
  place(moment) {
    const next = this.shown.findIndex((turn) => turn.start > moment);
    const before = this.shown[next === -1 ? this.shown.length - 1 : next - 1];
    if (!before) return 0;
    const into = moment - before.start;
    if (into <= before.took_ms) return before.at + into;
    const after = next === -1 ? null : this.shown[next];
    const from = before.at + before.took_ms;
    if (after === null) return from;
    const pause = after.start - before.start - before.took_ms;
    return pause <= 0 ? from : from + (after.at - from) * Math.min(1, (into - before.took_ms) / pause);
  }

  strongest() {
    const most = Math.max(...this.rows.map((row) => (row.step ? STRENGTH.indexOf(row.step.verdict) : 0)), 0);
    return most === 0 ? 0 : this.rows.findIndex((row) => row.step && STRENGTH.indexOf(row.step.verdict) === most);
  }

  drawHead() {
    const s = this.summary;
    put(this.head,
      h("div.bar", {}, h("h1", {}, s.agent ?? s.app, " ", h("span.mono.dim", { title: s.session_id }, short(s.session_id))),
        s.terminated_at ? h("span.verdict.v-terminate", {}, "ended by a person or a clause") : null, verdict(s.verdict, s.shadow), this.trusting(), h("span.grow"),
        may("decide") && this.said?.supervised ? h("button.quiet", { type: "button", onclick: () => this.critique() }, "Ask the supervisor") : null,
        may("decide") && !s.terminated_at ? h("button.quiet.danger", { type: "button", onclick: () => this.terminate() }, "End session…") : null),
      h("p.line.dim", {}, [`app ${s.app}`, few(s.models), full(s.started_at), took(Date.parse(s.last_at) - Date.parse(s.started_at)),
        plural(s.exchanges, "turn"), plural(s.steps, "step"), `${count(s.input_tokens)} in · ${count(s.output_tokens)} out`,
        money(s.cost_micro_usd, s.unpriced), s.client, this.said?.critiques ? plural(this.said.critiques, "critique") : null,
        this.said?.waiting ? `${plural(this.said.waiting, "step")} to be read by the supervisor` : null].filter(Boolean).map((each) => h("span", {}, each))));
  }

  // A session that a critique distrusts: its next call waits for a person, until one trusts it again.
  trusting() {
    const distrusted = this.said?.distrusted;
    if (!distrusted) return null;
    return [h("span.verdict.v-hold", { title: `Since ${full(distrusted.at)}, by ${distrusted.clauses.join(", ")}` }, h("span", { "aria-hidden": "true" }, "‖ "), `distrusted: its next call waits (${distrusted.clauses.map(clauseName).join(", ")})`),
      may("decide") ? h("button.small.trust", { type: "button", onclick: () => this.trust() }, "Trust…") : null];
  }

  async trust() {
    const values = await ask({ title: "Trust this session again?", text: "Its calls wait for nobody any more, until another critique says otherwise.",
      fields: [{ name: "by", label: "Your name, for the audit log", value: who().name ?? "", required: true }], yes: "Trust" });
    if (values !== null) await this.change(`${this.path}/trust`, { by: values.by }, "The session is trusted again.");
  }

  critique() {
    return this.change(`${this.path}/critique`, {}, "The session waits for the supervisor.");
  }

  async change(path, content, done) {
    try {
      await post(path, content);
      announce(done);
      await this.mark();
    } catch (error) {
      this.head.append(failure(error));
    }
  }

  drawChips() {
    this.chips.hidden = this.branches.size < 2 && !this.spans.length;
    const chip = (id, label, lane) => h("button.chip", { type: "button", "aria-pressed": String(this.only === id), class: lane === null ? "" : `lane-${lane % 6}`,
      onclick: () => { this.only = id; this.arrange(); this.drawChips(); } }, label);
    const told = this.spans.length ? h("button.chip.told", { type: "button", "aria-pressed": String(this.told), title: "Spans the application sent of this session itself. Nobody here saw them happen.",
      onclick: () => { this.told = !this.told; this.keep(() => this.arrange()); this.drawChips(); } }, `reported by the application · ${this.more ? "first " : ""}${count(this.spans.length)}`) : null;
    put(this.chips, this.branches.size < 2 ? null : [chip(null, "All branches", null), [...this.branches.values()].map((each) =>
      chip(each.branch_id, `${each.agent_name ?? each.relation.replaceAll("_", " ")} · ${count(each.exchanges)}`, each.lane))], told);
  }

  classOf(row) {
    if (row.span) return `r-told${row.span.status === "error" ? " is-flag" : ""}`;
    if (row.branch) return "r-branch";
    const said = row.step ?? row.turn;
    return `${row.step ? "r-step" : "r-turn"}${said.verdict === "allow" ? "" : ` is-${said.verdict}`}`;
  }

  draw(row) {
    if (row.span) return this.drawSpan(row.span);
    const { turn, step, branch, group } = row;
    const lane = this.branches.get(turn.branch_id) ?? { lane: 0, depth: 0 };
    const gutter = h("span.lane", { class: `lane-${lane.lane % 6}`, style: { "margin-left": `${Math.min(lane.depth, 6) * 12}px` }, "aria-hidden": "true" });
    if (branch) return [gutter, h("span.what", {}, h("b", {}, branch.agent_name ?? (branch.parent_branch_id ? "branch" : "main")),
      h("span.dim", {}, ` ${branch.relation.replaceAll("_", " ")}, joined by ${branch.evidence.replaceAll("_", " ")}`))];
    if (step) return [gutter, kind(step.kind), group.length > 1
      ? h("span.what", {}, h("b", {}, count(group.length)), h("span.dim", {}, ` ${group.map((each) => each.tool).join(", ")}`))
      : h("span.what", {}, step.tool ? h("b.tool", {}, step.tool) : null, this.preview(turn, step)),
      h("span.marks", {}, this.saidOf(turn, step), step.findings && step.verdict === "allow" ? h("span.verdict.v-quiet", {}, plural(step.findings, "finding")) : null, verdict(step.verdict, step.shadow, step.reason)), this.bar(turn, step)];
    return [gutter, h("time", {}, clock(turn.started_at)),
      h("span.what", {}, h("b", {}, turn.dialect === "mcp" ? [turn.operation, turn.steps.find((each) => each.kind === "tool_call")?.tool].filter(Boolean).join(" ") : turn.model ?? "?"),
        h("span.dim", {}, turn.dialect === "mcp" ? took(turn.took_ms) : `${took(turn.took_ms)} · ${count(turn.input_tokens)} → ${count(turn.output_tokens)} · ${money(turn.cost_micro_usd)}`),
        turn.in_place_of ? h("span.tag", { title: "The provider was asked again in the caller's place" }, "asked again") : null, turn.retry ? h("span.tag", {}, `retry ${turn.retry}`) : null),
      h("span.marks", {}, ending(turn)), this.bar(turn, null)];
  }

  drawSpan(span) {
    const [left, right] = [this.place(span.start), this.place(span.end)];
    const part = (ms) => `${Math.max(0, Math.min(100, (ms / this.total) * 100)).toFixed(3)}%`;
    return [h("span.lane.told", { style: { "margin-left": `${Math.min(span.depth, 8) * 12}px` }, "aria-hidden": "true" }), spanMark(span),
      h("span.what", {}, h("b", {}, span.name), h("span.dim", {}, ` ${[span.tool ?? span.model ?? span.operation, took(span.end - span.start)].filter(Boolean).join(" · ")}`)),
      h("span.marks", {}, fidelity("reported"), span.status === "error" ? h("span.verdict.v-reject", {}, "error") : null),
      h("span.fall", { "aria-hidden": "true" }, h("i.told", { style: { left: part(left), width: part(right - left) } }))];
  }

  // What was said of a step beside the guards; and how it is known, where that is not as usual for its kind.
  saidOf(turn, step) {
    const id = `${turn.exchange_id}.${step.seq}`;
    const worst = this.marks.get(id)?.reduce((a, b) => (b.score > a.score ? b : a));
    return [step.fidelity !== (USUAL[step.kind] ?? "witnessed") ? fidelity(step.fidelity) : null, worst ? opinion(worst.label, worst.score) : null, this.labels.has(id) ? labelled(this.labels.get(id).at(-1), step.verdict === "allow" ? null : step.verdict) : null];
  }

  bar(turn, step) {
    const part = (ms) => `${Math.max(0, Math.min(100, (ms / this.total) * 100)).toFixed(3)}%`;
    const offset = step ? Math.min(step.at_ms, turn.took_ms) : 0;
    const length = step ? step.took_ms : turn.took_ms;
    return h("span.fall", { "aria-hidden": "true" }, h("i", { class: step ? "thin" : "", style: { left: part(turn.at + offset), width: part(length) } }),
      step || turn.first_token_ms === null ? null : h("i.wait", { style: { left: part(turn.at), width: part(turn.first_token_ms) } }));
  }

  preview(turn, step) {
    const text = this.previews.get(`${turn.exchange_id}.${step.seq}`);
    if (text === undefined) return h("span.dim", {}, "…");
    return text === null ? h("span.dim", {}, step.unread ? `not readable: ${step.unread}` : "not kept") : h("span", {}, text);
  }

  seen(first, last) {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.read(first, last), 60);
  }

  // Texts of what is in sight, a page at a time: each page is an entry in the audit log.
  async read(first, last) {
    const missing = this.rows.slice(first, last).find((row) => row.step && !this.asked.has(row.turn.number));
    if (!missing || this.closed) return;
    const from = this.turns.indexOf(missing.turn);
    const page = this.turns.slice(from, from + PREVIEW_TURNS);
    for (const turn of page) this.asked.add(turn.number);
    const after = from > 0 ? this.turns[from - 1].number : 0;
    const found = await get(`${this.path}/steps`, { text: PREVIEW, after, turns: page.length }).catch(() => null);
    for (const step of found?.steps ?? []) this.previews.set(`${step.exchange_id}.${step.seq}`, step.text?.replace(/\s+/g, " ") ?? null);
    this.list.again();
  }

  choose(index) {
    if (this.rows.length) this.list.choose(index, { centre: index > 5 });
  }

  async chosen(row) {
    this.wanted = null; // who chose a row before another was found stays there
    this.view.element.parentElement.classList.add("open");
    if (row.span) {
      clearTimeout(this.opening);
      this.showSpan(row.span);
      return;
    }
    history.replaceState(null, "", `#/sessions/${encodeURIComponent(this.id)}?turn=${encodeURIComponent(row.turn.exchange_id)}`);
    clearTimeout(this.opening);
    this.opening = setTimeout(() => this.view.show(row.turn.exchange_id, row.step?.seq ?? null), 60);
  }

  // What a span says is read when one is first looked at, for all of them: it is an entry in the audit log.
  async showSpan(span) {
    this.view.clear();
    this.detailed ??= get(`${this.path}/reported`, { detail: true });
    const found = await this.detailed.catch((error) => error);
    if (this.closed || this.rows[this.list.at]?.span !== span) return;
    if (found instanceof Error) {
      this.detailed = null;
      put(this.view.element, failure(found));
      return;
    }
    const detail = found.spans.find((each) => each.span_id === span.span_id && each.trace_id === span.trace_id)?.detail ?? null;
    put(this.view.element, spanView(span, detail, (id) => this.find(id)));
  }

  find(id) {
    const of = (row) => row.turn?.exchange_id.startsWith(id) && !row.branch;
    const named = this.step === null ? -1 : this.rows.findIndex((row) => of(row) && row.group?.some((each) => each.seq === this.step));
    const index = named >= 0 ? named : this.rows.findIndex(of);
    this.step = null;
    this.wanted = null;
    if (index >= 0) this.choose(index);
    else put(this.view.element, failure(Object.assign(new Error("This session has no such turn."), { remedy: "" })));
  }

  heard(what, data) {
    if (what !== "exchange") return;
    if (!this.list) this.missed = true; // whose exchanges are ours is only known with the first answer
    else if (data.join?.session_id === this.id) this.catchUpSoon();
  }

  catchUpSoon() {
    this.loading ??= setTimeout(() => this.catchUp(), 300);
  }

  async catchUp() {
    this.loading = undefined; // what is heard from here on may be in none of these answers
    const [page, listed] = await Promise.all([get(`${this.path}/turns`, { after: this.last, limit: 1000 }), get(`${this.path}/branches`)]);
    if (this.closed) return;
    this.summary = listed.session;
    this.know(listed.branches);
    this.keep(() => this.add(page.turns));
    this.drawHead();
    this.drawChips();
    this.mark();
  }

  async terminate() {
    const values = await ask({ title: "End this session?", text: "Every later request of it is refused. This cannot be taken back.", yes: "End session", danger: true });
    if (values === null) return;
    try {
      this.summary = await post(`${this.path}/terminate`);
      announce("The session is ended.");
      this.drawHead();
    } catch (error) {
      this.head.append(failure(error));
    }
  }
}

// A step's id holds its number in four digits; turns count without.
function unpadded(step) {
  const [exchange, seq] = step.split(".");
  return `${exchange}.${Number(seq)}`;
}
