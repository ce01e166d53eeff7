// The canary as a picture: sessions under the candidate along the bottom, those that came to harm upwards, and what is
// allowed as a line. It is drawn of what the record holds: the newest state, and where there is one, how it came there.

import { h, svg } from "./dom.js";
import { count, plural } from "./format.js";

const WIDTH = 420, HEIGHT = 150, EDGE = 30;
const MARGIN = 0.02;

export function canaryTrace(proposal) {
  const last = proposal.rungs.find((each) => each.rung === "canary");
  const points = (proposal.canary?.trace ?? []).map((each) => [each.sessions, each.harmed]);
  if (last) points.push([last.scores.sessions ?? 0, last.scores.harmed ?? 0]);
  if (!points.length) return null;
  const [sessions, harmed] = points.at(-1);
  const wide = Math.max(...points.map(([at]) => at), 10), high = Math.max(...points.map(([, value]) => value), wide * MARGIN, 1) * 1.15;
  const x = (at) => EDGE + (at / wide) * (WIDTH - EDGE - 14);
  const y = (value) => HEIGHT - 24 - (value / high) * (HEIGHT - 36);
  return h("figure.canary", {},
    svg("svg", { class: "diagram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `Canary: ${plural(sessions, "session")}, of which ${count(harmed)} came to harm` },
      svg("line", { x1: x(0), x2: x(wide), y1: y(0), y2: y(0), class: "grid" }), svg("line", { x1: x(0), x2: x(0), y1: y(0), y2: y(high), class: "grid" }),
      svg("line", { x1: x(0), y1: y(0), x2: x(wide), y2: y(wide * MARGIN), class: "ideal" }),
      svg("polyline", { points: [[0, 0], ...points].map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" "), class: "curve" }),
      svg("circle", { cx: x(sessions).toFixed(1), cy: y(harmed).toFixed(1), r: 4 }),
      svg("text", { x: x(wide), y: HEIGHT - 8, "text-anchor": "end" }, `${count(wide)} sessions`), svg("text", { x: EDGE - 5, y: y(0) + 3, "text-anchor": "end" }, "0"),
      svg("text", { x: EDGE - 5, y: y(high) + 8, "text-anchor": "end" }, count(Math.round(high)))),
    h("figcaption.dim", {}, `${count(harmed)} of ${plural(sessions, "session")} under it came to harm; the dashed line is what is allowed beyond what is in force.`));
}
