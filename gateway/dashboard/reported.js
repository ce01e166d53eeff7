// Spans that an application reported of its own session: what it says it did, beside what was seen on the wire.

import { h } from "./dom.js";
import { count, full, short, took } from "./format.js";
import { facts, fidelity } from "./parts.js";

const MARKS = [[(span) => span.tool || span.operation === "execute_tool", "⚙", "tool"], [(span) => span.operation === "retrieval", "⊕", "retrieval"],
  [(span) => span.agent || span.operation === "invoke_agent", "◇", "agent"], [(span) => span.model, "◂", "model"]];

export function spanMark(span) {
  const [, mark, word] = MARKS.find(([fits]) => fits(span)) ?? [null, "○", "span"];
  return h("span.kind.k-told", {}, h("span.mark", { "aria-hidden": "true" }, mark), word);
}

// One span in full; `go` leads to an exchange that it was the parent of.
export function spanView(span, detail, go) {
  return [
    h("div.bar", {}, h("h2", {}, span.name), fidelity("reported"), span.status === "error" ? h("span.verdict.v-reject", {}, "error") : null),
    h("p.advice.told", {}, "The application told this itself. Nobody here saw it happen, no clause was held against it, and it counts in no cost."),
    facts([
      ["operation", span.operation], ["tool", span.tool], ["agent", span.agent], ["model", span.model], ["provider", span.provider], ["kind", span.kind],
      ["began", full(span.started_at)], ["took", took(span.end - span.start)],
      ["tokens", span.input_tokens === null && span.output_tokens === null ? null : `${count(span.input_tokens)} in · ${count(span.output_tokens)} out`],
      ["conversation", span.conversation], ["trace", h("span.mono", {}, span.trace_id)], ["span", h("span.mono", {}, span.span_id)],
      ["below", span.parent_span_id ? h("span.mono", {}, span.parent_span_id) : null],
      ["shortened", span.shortened ? `${count(span.shortened)} values were cut for their size` : null],
    ]),
    span.exchanges.length ? h("p.line", {}, h("span.dim", {}, "Seen on the wire below it:"), span.exchanges.map((id) => h("button.link.mono", { type: "button", title: id, onclick: () => go(id) }, short(id)))) : null,
    h("div.rendered", { tabindex: "0", role: "region", "aria-label": "What it says" },
      detail === null ? h("p.dim", {}, "What it says was not kept.") : Object.entries(detail).filter(([, value]) => !isEmpty(value)).map(([name, value]) =>
        h("section.stepview", {}, h("h3", {}, name), Array.isArray(value) || typeof value !== "object" ? h("pre.text", { tabindex: "0", "aria-label": name }, JSON.stringify(value, null, 2)) : pairs(value)))),
  ];
}

const isEmpty = (value) => value === null || value === "" || (typeof value === "object" && Object.keys(value).length === 0);

const pairs = (value) => h("dl.attributes", {}, Object.entries(value).map(([name, each]) =>
  h("div", {}, h("dt.mono", {}, name), h("dd.mono", {}, typeof each === "string" ? each : JSON.stringify(each)))));
