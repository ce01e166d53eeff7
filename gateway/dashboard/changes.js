// What a change of parameters does, as people read it: its edits in words, and its lines with the clause they are about
// said once.

import { h } from "./dom.js";
import { clauseName, full } from "./format.js";

const bands = (action) => action.map((band) => `${band.do}${band.else ? ` (else ${band.else})` : ""} at ${band.at}`).join(", ");
const b = (text) => h("b.mono", { title: text }, clauseName(String(text)));
const WORDS = {
  add_clause: (e) => ["Adds the clause ", b(`${e.policy}/${e.clause.id}`), `: ${e.clause.text ?? ""}`],
  delete_clause: (e) => ["Takes away the clause ", b(e.clause)],
  add_guard: (e) => ["Adds a guard ", h("b", {}, e.guard.kind), " to ", b(e.clause), e.expires_ns ? `, until ${full(new Date(e.expires_ns / 1e6).toISOString())}` : ""],
  replace_guard: (e) => ["Defines a guard ", h("b", {}, e.guard.kind), " of ", b(e.clause), " anew"],
  delete_guard: (e) => ["Takes a guard away from ", b(e.clause)],
  merge_guards: (e) => [`Puts one guard `, h("b", {}, e.guard.kind), ` in place of ${e.were.length} of `, b(e.clause)],
  set_bands: (e) => ["Changes when ", b(e.clause), ` acts: ${bands(e.action)}`],
  set_tools: (e) => ["Changes which tools ", b(e.clause), " is about"],
  set_mode: (e) => ["Lets ", b(e.clause), e.mode === "enforce" ? " act" : " only watch"],
  add_line: (e) => [e.clause ? ["Tells the judge of ", b(e.clause)] : "Tells the agent", `: ${e.line.text}`],
  replace_line: (e) => [e.clause ? ["Tells the judge of ", b(e.clause), " otherwise"] : "Tells the agent otherwise", `: ${e.line.text}`],
  delete_line: (e) => ["Takes an item away from ", e.clause ? b(e.clause) : "the agent's instructions"],
  describe_tool: (e) => ["Describes the tool ", b(e.tool), e.description ? ` as: ${e.description}` : " as the app does"],
  tag_tool: (e) => ["Tags the tool ", b(e.tool), `: ${e.tags.join(", ") || "as configured"}`],
};

export const edits = (made) => h("ul.edits", {}, made.map((each) => h("li", {}, WORDS[each.edit]?.(each) ?? each.edit.replaceAll("_", " "))));

// Lines of a unified diff, each naming its clause first.
export function changes(lines) {
  if (!lines.length) return h("p.dim", {}, "Nothing is otherwise.");
  const made = [];
  let about = null;
  for (const line of lines) {
    if (line.startsWith("@@")) { about = null; continue; }
    const mark = line[0];
    const [, name, rest] = line.slice(1).match(/^\[?(\S+?\/[^\s\]]+)\]? ?(.*)$/s) ?? [null, null, line.slice(1)];
    if (name !== about) made.push(h("span.about", {}, `${name ?? ""}\n`));
    about = name;
    if (rest) made.push(h(mark === "+" ? "ins" : mark === "-" ? "del" : "span", {}, `${mark} ${rest}\n`));
  }
  return h("pre.text.diff", { tabindex: "0", "aria-label": "What changes" }, made);
}
