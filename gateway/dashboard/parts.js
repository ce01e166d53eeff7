// Small things that stand on several pages.

import { h, put, svg } from "./dom.js";
import { FIDELITIES, KINDS, ago, full, short, stronger, verdictWords } from "./format.js";

export function verdict(name, shadow = "allow", reason = null) {
  const made = [];
  if (name && name !== "allow") {
    const [mark, word] = verdictWords(name);
    made.push(h("span.verdict", { class: `v-${name}`, title: reason ? reason.replaceAll("_", " ") : null },
      h("span", { "aria-hidden": "true" }, `${mark} `), word));
  }
  if (shadow && stronger(shadow, name ?? "allow")) {
    made.push(h("span.verdict.v-shadow", { title: "What clauses out of force, or an app that does not enforce, would have done" },
      `would ${shadow}`));
  }
  return made;
}

// How an exchange ended, where that was not well.
export const ending = (each) => (each.outcome !== "complete" || each.status >= 400 || each.error_type
  ? h("span.verdict.v-reject", {}, each.error_type ?? each.outcome.replaceAll("_", " ")) : null);

export function kind(name) {
  const [mark, word] = KINDS[name] ?? ["?", name];
  return h("span.kind", { class: `k-${name}` }, h("span.mark", { "aria-hidden": "true" }, mark), word);
}

export const fidelity = (name) => h("span.tag", { class: `fid-${name}`, title: FIDELITIES[name] ?? name }, name);

// The supervisor's word on a step or a clause, with its score.
export function opinion(label, score) {
  const state = { ok: "v-on", unsure: "v-flag", violation: "v-reject" }[label];
  return h("span.verdict", { class: state, title: "Score: 0 routine, 25 unusual, 50 a second look, 75 likely a violation, 90 near-certain" },
    h("span", { "aria-hidden": "true" }, "⚖ "), `${label} ${score}`);
}

// A person's word; beside the step's verdict, whether it says the contrary.
export function labelled(given, verdict = null) {
  const stopped = ["hold", "reject", "terminate"].includes(verdict);
  const contrary = verdict !== null && (given.label === "ok" ? stopped : verdict === "allow");
  const said = h("span.verdict", { class: given.label === "ok" ? "v-on" : "v-reject", title: [`${given.by}, ${full(given.at)}`, given.clause ? `of ${given.clause}` : null, given.reason].filter(Boolean).join("\n") },
    h("span", { "aria-hidden": "true" }, "☺ "), `${given.label === "ok" ? "in order" : "violation"} · ${given.by}`);
  return contrary ? [said, h("span.tag", { title: "A person says otherwise than what was done" }, "overrides")] : said;
}

export const sessionLink = (id, label = short(id)) =>
  h("a.mono", { href: `#/sessions/${encodeURIComponent(id)}`, title: id }, label);

export const exchangeLink = (session, id) =>
  h("a.mono", { href: session ? `#/sessions/${encodeURIComponent(session)}?turn=${encodeURIComponent(id)}` : `#/exchanges/${encodeURIComponent(id)}`, title: id }, short(id));

export function time(at) {
  return h("time", { datetime: at, title: full(at) }, ago(at));
}

export function empty(title, ...more) {
  return h("div.empty", {}, h("p.title", {}, title), more.map((each) => h("p", {}, each)));
}

export function failure(error) {
  return h("div.failure", { role: "alert" }, h("p.title", {}, error.message), error.remedy ? h("p", {}, error.remedy) : null);
}

export const facts = (pairs) =>
  h("dl.facts", {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

// A table that scrolls on its own, and on a phone stands as one card a row. Columns are names: `#Steps` holds numbers, `~Kind` is
// only said to who does not see the page. Cells are td or th elements in rows made by `row`.
export class Table {
  constructor({ label, columns, kind = "" }) {
    this.names = columns.map((each) => each.replace(/^[#~]/, ""));
    this.body = h("tbody");
    this.element = h("div.scroll", { tabindex: "0", role: "region", "aria-label": label }, h("table.stack", { class: kind },
      h("thead", {}, h("tr", {}, columns.map((each, i) => h(each.startsWith("#") ? "th.n" : "th", { scope: "col" },
        each.startsWith("~") ? h("span.unseen", {}, this.names[i]) : this.names[i])))), this.body));
  }

  add(rows) {
    for (const row of rows) {
      [...row.children].forEach((cell, i) => { if (cell.colSpan === 1) cell.dataset.name = this.names[i] ?? ""; });
      this.body.append(row);
    }
    return this;
  }

  // What stands there where there are no rows.
  instead(...content) {
    put(this.body, h("tr", {}, h("td", { colspan: this.names.length }, content)));
  }
}

export const table = ({ rows, ...options }) => new Table(options).add(rows).element;

// Spans of time to choose from; each is an address.
export const segments = (label, choices, current) => h("div.segments", { role: "group", "aria-label": label }, choices.map(([address, name]) =>
  h("a", { href: address, "aria-current": address === current ? "true" : null }, name)));

// A line of values over time. `say` puts the newest or largest of them into words.
export function sparkline(values, { label, width = 120, height = 28, second = null } = {}) {
  const known = [...values, ...(second ?? [])].filter((each) => each !== null);
  const most = Math.max(...known, 0) || 1;
  const x = (i) => (values.length < 2 ? width / 2 : 1 + (i * (width - 2)) / (values.length - 1));
  const y = (value) => height - 2 - (value / most) * (height - 5);
  const path = (of) => {
    let d = "", open = false;
    of.forEach((value, i) => {
      if (value === null) { open = false; return; }
      d += `${open ? "L" : "M"}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
    });
    return d;
  };
  // The ground under each run of known values; nothing is drawn where nothing is known.
  const areas = [];
  values.forEach((value, i) => {
    if (value === null) return;
    if ((values[i - 1] ?? null) === null) areas.push([]);
    areas.at(-1).push([x(i), y(value)]);
  });
  const ground = (run) => [[run[0][0], height - 1], ...run, [run.at(-1)[0], height - 1]].map((each) => each.map((one) => one.toFixed(1)).join(",")).join(" ");
  return svg("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" },
    svg("line", { x1: 0, x2: width, y1: height - 1, y2: height - 1, class: "base" }),
    areas.map((run) => svg("polygon", { points: ground(run), class: "area" })),
    second ? svg("path", { d: path(second), class: "second" }) : null,
    svg("path", { d: path(values), class: "line" }),
    values.map((value, i) => (value !== null && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null
      ? svg("path", { d: `M${x(i).toFixed(1)} ${y(value).toFixed(1)}h.01`, class: "alone" }) : null)));
}
