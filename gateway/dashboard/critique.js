// What supervisors said of steps, beside the very words they stand on, and a person's word on it.

import { post, who } from "./api.js";
import { announce, ask, h } from "./dom.js";
import { clauseName, money, plural, took } from "./format.js";
import { opinion, time, verdict } from "./parts.js";

// Opinions that are about a step: they quote it or call it the first bad one. Their quotes stand like findings of guards.
export function about(critiques, step) {
  return critiques.flatMap((critique) => critique.opinions.filter((each) => each.label !== "ok" && (each.first_bad_step === step || each.quotes.some((quote) => quote.step_id === step)))
    .map((each) => ({ ...each, seat: critique.seat, quotes: each.quotes.filter((quote) => quote.step_id === step).map((quote) =>
      ({ ...quote, clause: each.clause, label: `supervisor: ${each.label}`, score: each.score, state: each.label })) })));
}

// One opinion below its step.
export function aside(each) {
  return h("li", {}, h("div.line", {}, h("a", { href: `#/policies?clause=${encodeURIComponent(each.clause)}`, title: each.clause }, clauseName(each.clause)),
    h("span.tag", {}, each.seat), h("span.grow"), opinion(each.label, each.score)), each.feedback ? h("p", {}, each.feedback) : null);
}

// Every critique of an exchange, with those opinions that no step of it carries.
export function critiques(found) {
  if (!found.length) return null;
  return h("section.critiques", {}, h("h3", {}, `Supervisor · ${plural(found.length, "critique")}`), found.map((critique) =>
    h("article.critique", { "aria-label": `Critique by the ${critique.seat}` },
      h("div.line", {}, h("b", {}, critique.seat), h("span.dim", {}, critique.steps.length ? `on ${plural(critique.steps.length, "step")}` : "on a proposed call"), time(critique.at),
        h("span.grow"), critique.failure ? h("span.verdict.v-hold", {}, `not judged: ${critique.failure.replaceAll("_", " ")}`) : verdict(critique.verdict, critique.shadow)),
      critique.opinions.length ? h("ul.opinionlist", {}, critique.opinions.map((each) => said(each, critique))) : null,
      critique.blamed.length ? h("p.dim", {}, `Blamed: ${critique.blamed.map((each) => `${each.component.replaceAll("_", " ")} ${each.name}`.trim()).join(", ")}`) : null,
      critique.calls.length ? h("p.dim", {}, cost(critique.calls)) : null)));
}

function said(each, critique) {
  const placed = each.label !== "ok" && (each.first_bad_step || each.quotes.some((quote) => quote.step_id));
  return h("li", {}, h("div.line", {}, opinion(each.label, each.score), h("span", { title: each.clause }, clauseName(each.clause)),
    each.view === "policy" ? null : h("span.dim", {}, `${each.view} view`),
    each.first_bad_step && critique.steps.length > 1 ? h("span.dim", {}, `first in ${each.first_bad_step}`) : null),
    placed ? null : [each.feedback ? h("p", {}, each.feedback) : null, each.quotes.filter((quote) => quote.text).map((quote) => h("p.quote", {}, quote.text))]);
}

function cost(calls) {
  const unknown = calls.some((each) => each.cost_micro_usd === null);
  const sum = calls.reduce((total, each) => total + (each.cost_micro_usd ?? 0), 0);
  const micros = calls.reduce((total, each) => total + each.micros, 0);
  return `${calls.at(-1).model} · ${plural(calls.length, "call")} · ${took(micros / 1000)} · ${unknown ? "cost unknown" : money(sum)}`;
}

// A person's label of a step; whether one was given.
export async function label(step, clauses) {
  const values = await ask({
    title: "Was this step in order?",
    text: "Supervisors and optimizers are measured by what persons say. It is kept in the audit log, and a later word of yours replaces it.",
    fields: [
      { name: "label", label: "It is", required: true, choices: [["ok", "in order"], ["violation", "a violation"]] },
      { name: "clause", label: "Of", choices: [["", "the step as a whole"], ...clauses.map((each) => [each, each])] },
      { name: "reason", label: "Why", long: true },
      { name: "by", label: "Your name, for the audit log", value: who().name ?? "", required: true },
    ],
    yes: "Label",
  });
  if (values === null) return false;
  await post(`/api/steps/${encodeURIComponent(step)}/label`, { label: values.label, by: values.by, clause: values.clause || null, reason: values.reason.trim() || null });
  announce("The step is labelled.");
  return true;
}
