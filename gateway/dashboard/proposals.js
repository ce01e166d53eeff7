// Proposals and revisions: what optimizers suggest, how far each came, and what is and was in force.

import { follow, get, may, post, who } from "./api.js";
import { backtest } from "./backtest.js";
import { changes, edits } from "./changes.js";
import { announce, ask, h, put } from "./dom.js";
import { full, plural } from "./format.js";
import { ladder } from "./ladder.js";
import { empty, facts, failure, segments, time } from "./parts.js";
import { revisions } from "./revisions.js";
import { moves, trial } from "./trial.js";

const STATES = {
  waiting: ["v-hold", "… ", "waits"], canary: ["v-flag", "◐ ", "canary"], active: ["v-on", "✓ ", "in force"], refused: ["", "✕ ", "refused"], rejected: ["v-reject", "✕ ", "rejected"], rolled_back: ["v-reject", "↶ ", "rolled back"],
};
const SHOWN = [["", "All"], ["waiting", "Waiting"], ["active", "In force"], ["refused", "Refused"]];
const DIRECTIONS = { tightens: "No step can be judged more mildly by it", neutral: "Every step is judged alike", loosens: "Some step may be judged more mildly" };

export async function proposals(draw, where, signal) {
  const tabs = segments("What is shown", [["#/proposals", "Proposals"], ["#/proposals/revisions", "Revisions"]], where.id === "revisions" || !may("holds") ? "#/proposals/revisions" : "#/proposals");
  const head = (...more) => h("div.bar", {}, h("h1", {}, "Proposals"), may("holds") ? tabs : h("span.dim", {}, "Proposals are shown to auditors, operators and admins; this is what was put in force."), h("span.grow"), more);
  if (where.id === "revisions" || !may("holds")) {
    await revisions(draw, head);
    return;
  }
  const page = new ProposalsPage(draw, where, head);
  signal.addEventListener("abort", () => page.leave());
  await page.load();
}

class ProposalsPage {
  constructor(draw, where, head) {
    Object.assign(this, { put: draw, where, head, running: null });
  }

  async load() {
    const only = this.where.query.get("only") ?? "";
    this.listed = (await get("/api/proposals")).proposals;
    const shown = only ? this.listed.filter((each) => each.state === only || (only === "refused" && each.state === "rejected")) : this.listed;
    const wanted = this.where.id === null ? null : Number(this.where.id);
    this.chosen = this.listed.find((each) => each.number === wanted) ?? (wanted === null ? shown[0] ?? null : null);
    this.wrong = h("div");
    const detail = h("article.proposal", { "aria-label": "Proposal", tabindex: "-1" });
    const address = (value) => (value ? `#/proposals?only=${value}` : "#/proposals");
    const run = may("decide") ? h("button", { type: "button", onclick: () => this.run(run) }, "Look for proposals") : null;
    this.put(h("div.page.proposals", {}, this.head(run), this.wrong,
      this.listed.length === 0 ? empty("Nothing was proposed yet.", h("span", {}, "Optimizers learn from labels, decided holds and critiques: label steps on their session's page, then look for proposals here, or run ", h("code", {}, "stepwarden optimize"), ".")) :
      h("div.split", {}, h("div.listside", {}, h("div.bar", {}, segments("State", SHOWN.map(([value, label]) => [address(value), label]), address(only)), h("span.dim", {}, plural(shown.length, "proposal"))),
        h("ul.proposallist", {}, shown.map((each) => this.item(each)))), detail)));
    if (this.chosen) this.draw(detail, this.chosen);
    else put(detail, wanted === null ? empty("None is in this state.") : failure(Object.assign(new Error(`There is no proposal ${wanted}.`), { remedy: "" })));
  }

  item(each) {
    const last = each.rungs.at(-1);
    return h("li", {}, h("a.proposalcard", { href: `#/proposals/${each.number}`, "aria-current": each === this.chosen ? "true" : null },
      h("span.line", {}, h("strong", {}, `${each.number}`), state(each), h("span.dim", {}, each.app), h("span.grow"), each.filed_at ? time(each.filed_at) : null),
      h("span.why", {}, each.why || each.author), h("span.line.dim", {}, each.author.replace(/^optimizer:/, ""), each.state === "refused" && last ? `· at ${last.rung.replaceAll("_", " ")}` : null)));
  }

  draw(detail, found) {
    put(detail,
      h("div.bar", {}, h("h2", {}, `Proposal ${found.number}`), state(found), h("span.tag", { title: DIRECTIONS[found.direction] }, found.direction), h("span.grow"),
        may("decide") && found.state === "waiting" ? h("button.approve", { type: "button", onclick: () => this.answer(found, true) }, "Approve…") : null,
        may("decide") && ["waiting", "canary"].includes(found.state) ? h("button.reject", { type: "button", onclick: () => this.answer(found, false) }, "Reject…") : null),
      found.why ? h("p.lead", {}, found.why) : null,
      edits(found.edits),
      facts([["app", found.app], ["by", found.author.replace(/^optimizer:/, "optimizer ")], ["rests on", `${plural(found.sessions, "session")}, on the word of ${plural(found.principals, "person or key", "persons or keys")}`],
        ["filed", found.filed_at ? full(found.filed_at) : null], ["decided by", found.decided_by], ["on", found.decided_at ? full(found.decided_at) : null]]),
      found.decided_reason ? h("p.quote", {}, found.decided_reason) : null,
      found.state === "waiting" && !may("decide") ? h("p.dim", {}, "An operator decides on this.") : null,
      h("h3", {}, "What changes"), found.diff === null ? h("p.dim", {}, "What it changes is not in force here any more, so it cannot be shown beside it.") : changes(found.diff),
      trial(found),
      this.tried(found),
      h("h3", {}, "How far it came"), ladder(found), moves(found));
  }

  async answer(found, approve) {
    // A yes leads to live traffic first, unless a person wants it otherwise.
    const values = await ask({
      title: approve ? `Put proposal ${found.number} in force?` : `Reject proposal ${found.number}?`,
      text: approve ? `For ${found.app}, in every worker. It can be rolled back at once.` : "The same is not proposed again.",
      fields: [...(approve ? [{ name: "when", label: "How", choices: [["trial", "through shadow and canary, on a share of sessions first"], ["at_once", "at once, for every session that begins"]] }] : []),
        { name: "by", label: "Your name, for the audit log", value: who().name ?? "", required: true }, { name: "reason", label: "Reason", long: true, required: true }],
      yes: approve ? "Put in force" : "Reject", danger: !approve,
    });
    if (values === null) return;
    try {
      await post(`/api/proposals/${found.number}/${approve ? "approve" : "reject"}`, { by: values.by, reason: values.reason, ...(approve ? { at_once: values.when === "at_once" } : {}) });
      announce(approve ? "The proposal is approved." : "The proposal is rejected.");
      await this.load();
    } catch (error) {
      put(this.wrong, failure(error));
      this.wrong.scrollIntoView();
    }
  }

  // The whole record of its app held against what it would put in force; pressing again gives that up.
  tried(found) {
    if (!may("decide") || found.diff === null) return null;
    const said = h("div.tried", { role: "status" });
    const button = h("button.quiet.small", { type: "button" }, "Hold it against recorded history");
    button.addEventListener("click", async () => {
      if (this.trying) {
        this.trying.abort();
        return;
      }
      this.trying = new AbortController();
      const far = h("progress", { max: 1, value: 0, "aria-label": "How far the replay is" });
      put(said, far, h("span.dim", {}, " Recorded exchanges are judged anew, newest sessions first…"));
      button.textContent = "Stop";
      try {
        put(said, backtest(await follow(`/api/proposals/${found.number}/backtest`, {}, (name, data) => { if (name === "progress") { far.max = data.of || 1; far.value = data.done; } }, this.trying.signal)));
      } catch (error) {
        put(said, error.name === "AbortError" ? null : failure(error));
      }
      this.trying = null;
      button.textContent = "Hold it against recorded history";
    });
    return [h("h3", {}, "Backtest"), button, said];
  }

  // Let optimizers look at what was said since; pressing again gives it up.
  async run(button) {
    if (this.running) {
      this.running.abort();
      return;
    }
    this.running = new AbortController();
    const far = h("progress", { max: 1, value: 0, "aria-label": "How far optimizers are" });
    put(this.wrong, h("p.line.dim", { role: "status" }, far, "Optimizers read labelled sessions and replay them…"));
    button.textContent = "Stop";
    try {
      const report = await follow("/api/optimize", {}, (name, data) => { if (name === "progress") { far.max = data.of || 1; far.value = data.done; } }, this.running.signal);
      this.running = null;
      if (this.left) return;
      await this.load();
      put(this.wrong, h("p.advice", { role: "status" }, report.apps.map((each) => `${each.app}: ${plural(each.proposals.length, "new proposal")} from ${plural(each.episodes, "labelled session")}${each.known ? `, ${each.known} known before` : ""}.`).join(" ")));
    } catch (error) {
      this.running = null;
      button.textContent = "Look for proposals";
      put(this.wrong, error.name === "AbortError" ? null : failure(error));
    }
  }

  leave() {
    this.left = true;
    this.running?.abort();
    this.trying?.abort();
  }
}

function state(each) {
  const [kind, mark, word] = STATES[each.state] ?? ["", "", each.state];
  return h("span.verdict", { class: kind }, h("span", { "aria-hidden": "true" }, mark), word);
}
