// A reliability diagram: scores along the bottom, the share that persons call violations upwards. On the diagonal a score
// means what it says. A dot is as large as it stands for many steps, and its line is where the share may be (95 %).

import { svg } from "./dom.js";
import { plural } from "./format.js";

const SIZE = 300;
const EDGE = 38;

export function reliability(bins) {
  const x = (score) => EDGE + (score / 100) * (SIZE - EDGE - 12);
  const y = (share) => SIZE - EDGE - share * (SIZE - EDGE - 12);
  const most = Math.max(...bins.map((each) => each.steps));
  const text = (where, said) => svg("text", where, said);
  return svg("svg", { class: "diagram", viewBox: `0 0 ${SIZE} ${SIZE}`, role: "img",
    "aria-label": `Reliability: ${bins.map((each) => `scores ${each.low} to ${each.high}: ${Math.round(each.share * 100)} % of ${plural(each.steps, "step")} are violations`).join("; ")}` },
    [0, 25, 50, 75, 100].map((each) => [
      svg("line", { x1: x(each), x2: x(each), y1: y(0), y2: y(1), class: "grid" }), svg("line", { x1: x(0), x2: x(100), y1: y(each / 100), y2: y(each / 100), class: "grid" }),
      text({ x: x(each), y: y(0) + 14, "text-anchor": "middle" }, each), text({ x: x(0) - 6, y: y(each / 100) + 3, "text-anchor": "end" }, `${each} %`)]),
    svg("line", { x1: x(0), y1: y(0), x2: x(100), y2: y(1), class: "ideal" }),
    bins.map((each) => svg("line", { x1: x(each.mean), x2: x(each.mean), y1: y(each.interval[0]), y2: y(each.interval[1]), class: "spread" })),
    svg("polyline", { points: bins.map((each) => `${x(each.mean).toFixed(1)},${y(each.share).toFixed(1)}`).join(" "), class: "curve" }),
    bins.map((each) => svg("circle", { cx: x(each.mean), cy: y(each.share), r: (3 + 6 * Math.sqrt(each.steps / most)).toFixed(1) })),
    text({ x: x(50), y: SIZE - 4, "text-anchor": "middle" }, "score of the supervisor"));
}
