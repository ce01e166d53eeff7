// What changed between two texts, line by line.

import { h } from "./dom.js";
import { plural } from "./format.js";

const AROUND = 3;
const MOST = 2000;

// Pairs of `[mark, line]`, where the mark is " ", "-" or "+"; null where the texts are too long to compare here.
function lines(before, after) {
  const [a, b] = [before, after].map((each) => (each === null ? [] : each.split("\n")));
  if (a.length > MOST || b.length > MOST) return null;
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
  const same = (from) => from.map((line) => [" ", line]);
  const middle = between(a.slice(start, a.length - end), b.slice(start, b.length - end));
  return [...same(a.slice(0, start)), ...middle, ...same(end ? a.slice(-end) : [])];
}

// The same as it is read: what is otherwise with a few lines around it, and how many were left out. Null: there was no text.
export function difference(before, after) {
  const found = lines(before, after);
  if (found === null) return h("p.dim", {}, "Too long to compare here.");
  const near = found.map((_, i) => found.slice(Math.max(0, i - AROUND), i + AROUND + 1).some(([mark]) => mark !== " "));
  const shown = [];
  found.forEach(([mark, line], i) => {
    if (near[i]) shown.push(h(mark === "+" ? "ins" : mark === "-" ? "del" : "span", {}, `${mark} ${line}\n`));
    else if (i === 0 || near[i - 1]) shown.push(h("i.dim", {}, `  ${plural((near.indexOf(true, i) === -1 ? found.length : near.indexOf(true, i)) - i, "line")} as before\n`));
  });
  return h("pre.text.diff", { tabindex: "0", "aria-label": "What changed" }, shown);
}

// The longest common subsequence, by its table.
function between(a, b) {
  const width = b.length + 1;
  const table = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      table[i * width + j] = a[i] === b[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
  const found = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { found.push([" ", a[i]]); i++; j++; }
    else if (i < a.length && (j === b.length || table[(i + 1) * width + j] >= table[i * width + j + 1])) found.push(["-", a[i++]]);
    else found.push(["+", b[j++]]);
  }
  return found;
}
