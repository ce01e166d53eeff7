// One hold as a card: what is asked, by whom, why, and the two answers.

import { may, post, who } from "./api.js";
import { announce, ask, h, put } from "./dom.js";
import { ago, clauseName, full } from "./format.js";
import { exchangeLink, failure, sessionLink } from "./parts.js";

export class HoldCard {
  constructor(hold, { brief = false, decided = () => {} } = {}) {
    Object.assign(this, { hold, decided });
    this.left = h("span.left");
    this.wrong = h("div");
    this.element = h("article.hold", { class: `is-${hold.state}`, tabindex: "-1", "data-hold": hold.hold_id, "aria-label": `Hold of ${hold.tool ?? hold.kind}` },
      h("div.line", {}, h("strong.tool", {}, hold.tool ?? hold.kind.replaceAll("_", " ")), h("span.dim", {}, hold.app),
        hold.session_id ? sessionLink(hold.session_id) : exchangeLink(null, hold.exchange_id), h("span.grow"), this.left),
      h("pre.asked", { class: brief ? "brief" : "", tabindex: "0", "aria-label": "What is asked" }, hold.text ? pretty(hold.text) : "Only an auditor, operator or admin sees what is asked."),
      h("p.why", {}, h("span.verdict.v-hold", {}, hold.reason.replaceAll("_", " ")), hold.clauses.map((each) =>
        h("a", { href: `#/policies?clause=${encodeURIComponent(each)}`, title: each }, clauseName(each)))),
      hold.state === "waiting" ? this.answers() : h("p.dim", {}, said(hold)),
      this.wrong);
    this.tick();
  }

  answers() {
    if (!may("decide")) return h("p.dim", {}, "An operator decides on this.");
    return h("div.actions", {},
      h("button.approve", { type: "button", onclick: () => this.answer(true) }, "Approve"),
      h("button.reject", { type: "button", onclick: () => this.answer(false) }, "Reject"));
  }

  tick() {
    if (this.hold.state !== "waiting") return put(this.left, ago(this.hold.decided_at ?? this.hold.asked_at));
    const seconds = Math.round((Date.parse(this.hold.expires_at) - Date.now()) / 1000);
    this.left.classList.toggle("soon", seconds < 30);
    return put(this.left, seconds > 0 ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left` : "time is over");
  }

  async answer(approve) {
    const word = approve ? "Approve" : "Reject";
    const who_ = who();
    const values = await ask({
      title: `${word} ${this.hold.tool ?? "this step"}?`,
      text: approve ? "Exactly this step passes, once." : "The agent is told no; a retry of the same step is refused too.",
      fields: [
        ...(who_.key_id ? [] : [{ name: "by", label: "Your name, for the audit log", required: true }]),
        { name: "reason", label: "Reason", long: true, required: !approve },
      ],
      yes: word, danger: !approve,
    });
    if (values === null) return;
    try {
      const hold = await post(`/api/holds/${encodeURIComponent(this.hold.hold_id)}/${approve ? "approve" : "reject"}`,
        { by: values.by || null, reason: values.reason || null });
      announce(`${approve ? "Approved" : "Rejected"}: ${hold.tool ?? hold.kind}`);
      this.decided(hold);
    } catch (error) {
      // A card goes as soon as somebody else decides; whoever was still writing is told all the same.
      if (this.element.isConnected) put(this.wrong, failure(error));
      else await ask({ title: error.message, text: error.remedy, yes: "Close", no: null });
    }
  }
}

function said(hold) {
  if (hold.state === "expired") return `Nobody answered until ${full(hold.expires_at)}: rejected.`;
  const word = hold.state === "rejected" ? "Rejected" : hold.state === "used" ? "Approved, and used" : "Approved";
  const by = hold.decided_by ? ` by ${hold.decided_by}` : "";
  return `${word}${by}${hold.decided_reason ? `: ${hold.decided_reason}` : "."}`;
}

export function pretty(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}
