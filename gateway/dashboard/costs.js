// Costs and latency over time.

import { get } from "./api.js";
import { h } from "./dom.js";
import { count, money, span, took } from "./format.js";
import { empty, segments, sparkline, table } from "./parts.js";

const SPANS = [["1h", "1 hour"], ["24h", "24 hours"], ["7d", "7 days"], ["30d", "30 days"]];

export async function costs(draw, where) {
  const since = where.query.get("since") ?? "24h";
  const found = await get("/api/usage", { since, slots: 60 });
  const t = found.total;
  const of = (name) => found.slots.map((slot) => slot[name]);
  const tile = (label, value, values, second = null, note = null) => h("div.tile", {},
    h("div.label", {}, label), h("div.value", {}, value), note ? h("div.note", {}, note) : null,
    sparkline(values, { label: `${label} over time`, width: 240, height: 40, second }));
  draw(h("div.page.costs", {},
    h("div.bar", {}, h("h1", {}, "Costs and latency"),
      segments("Span of time", SPANS.map(([value, label]) => [`#/costs?since=${value}`, label]), `#/costs?since=${since}`),
      h("span.dim", {}, span(found.since, found.until))),
    t.exchanges === 0 ? empty("Nothing was asked in this span of time.") : [
      h("div.tiles", {},
        tile("Exchanges", count(t.exchanges), of("exchanges"), null, t.failed ? `${count(t.failed)} without a whole answer` : "all answered"),
        tile("Cost", money(t.cost_micro_usd, t.unpriced), of("cost_micro_usd").map((each) => each ?? 0), null, t.unpriced ? `${count(t.unpriced)} exchanges have no known price` : "every exchange is priced"),
        tile("Tokens", `${count(t.input_tokens)} / ${count(t.output_tokens)}`, of("input_tokens").map((each) => each ?? 0), of("output_tokens").map((each) => each ?? 0), "in / out"),
        tile("Stopped", count(t.stopped), of("stopped"), null, "held, rejected or ended"),
        tile("Duration", took(t.duration_p50_ms), of("duration_p95_ms"), of("duration_p50_ms"), `median; 95 % within ${took(t.duration_p95_ms)}`),
        tile("First token", took(t.first_token_p50_ms), of("first_token_p95_ms"), of("first_token_p50_ms"), `median of streams; 95 % within ${took(t.first_token_p95_ms)}`)),
      table({ label: "By app and model", columns: ["App", "Model", "Over time", "#Exchanges", "#Failed", "#In", "#Out", "#Cost", "#Median", "#95 %", "#First token"],
        rows: found.models.map((each) => h("tr", {},
          h("td", {}, each.app), h("th", { scope: "row" }, each.model || "none named"), h("td", {}, sparkline(each.slots, { label: `Exchanges of ${each.model} over time`, width: 120, height: 20 })),
          h("td.n", {}, count(each.sum.exchanges)), h("td.n", {}, each.sum.failed ? count(each.sum.failed) : "–"),
          h("td.n", {}, count(each.sum.input_tokens)), h("td.n", {}, count(each.sum.output_tokens)), h("td.n", {}, money(each.sum.cost_micro_usd, each.sum.unpriced)),
          h("td.n", {}, took(each.sum.duration_p50_ms)), h("td.n", {}, took(each.sum.duration_p95_ms)), h("td.n", {}, took(each.sum.first_token_p50_ms)))) }),
    ]));
}
