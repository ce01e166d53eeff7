// A proposal on live traffic, as far as the record holds it: how the sessions under it fare beside those under what is in
// force, what bets on either outcome have come to, with which steps it would do otherwise, and every move it made.

import { h, svg } from "./dom.js";
import { count, full, plural } from "./format.js";
import { sentence } from "./ladder.js";

const WIDTH = 460, LABEL = 170, RIGHT = 70;
const DECIDES = 20;
const STAGES = { shadow: "Beside live traffic, without acting", canary: "In force for a share of sessions", watch: "In force, and still watched" };

export function trial(proposal) {
  const said = proposal.rungs.find((each) => each.rung === "canary");
  const figures = proposal.trial?.figures ?? said?.scores ?? null;
  if (figures === null) return null;
  const stage = proposal.trial?.stage ?? "canary";
  return [h("h3", {}, "On live traffic"), h("p", {}, STAGES[stage] ?? stage, figures.requests === undefined ? null : `: ${plural(figures.requests, "request")} watched, in ${count(figures.extra ?? 0)} of them it would have stopped more.`),
    figures.sessions === undefined ? null : canary(figures), uncounted(figures), woulds(proposal.trial?.woulds ?? [])];
}

// Sessions of which nothing is known count neither way, and whoever decides is told how many there were.
function uncounted({ unread = 0, skipped = 0 }) {
  const said = [unread ? `${plural(unread, "session")} could not be read back whole` : null, skipped ? `${plural(skipped, "session")} came faster than they could be looked at` : null].filter(Boolean);
  return said.length ? h("p.dim", {}, `Not counted: ${said.join("; ")}.`) : null;
}

// Rows of a picture: shares of sessions that came to harm, and bets on a scale of odds, which decide at 20 to 1.
function canary({ sessions, harmed = 0, sessions_before: before, harmed_before: harmedBefore = 0, worse, not_worse: notWorse }) {
  const arms = [["under the candidate", harmed, sessions], ...(before ? [["under what is in force", harmedBefore, before]] : [])];
  const bets = [["bet: no worse", notWorse, "better"], ["bet: worse", worse, "worse"]].filter(([, won]) => won !== undefined);
  const most = Math.max(...arms.map(([, bad, of]) => (of ? bad / of : 0)), 0.02);
  const share = (value) => LABEL + (value / most) * (WIDTH - LABEL - RIGHT);
  const odds = (won) => LABEL + (Math.log(Math.min(Math.max(won, 1 / DECIDES), DECIDES) * DECIDES) / Math.log(DECIDES * DECIDES)) * (WIDTH - LABEL - RIGHT);
  const row = (at, label, x, kind, value) => [svg("text", { x: 0, y: at + 11 }, label), svg("rect", { x: LABEL, y: at + 2, width: Math.max(x - LABEL, 2).toFixed(1), height: 11, rx: 2, class: kind }), svg("text", { x: WIDTH, y: at + 11, "text-anchor": "end" }, value)];
  const height = (arms.length + bets.length) * 22 + (bets.length ? 20 : 0);
  const told = [...arms.map(([label, bad, of]) => `${label} ${count(bad)} of ${plural(of, "session")} came to harm`), ...bets.map(([label, won]) => `${label} ${won.toFixed(1)} to 1`)];
  return h("figure.canary", {},
    svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `Canary: ${told.join("; ")}` },
      arms.map(([label, bad, of], i) => row(i * 22, label, share(of ? bad / of : 0), "arm", `${count(bad)} of ${count(of)}`)),
      bets.length ? [svg("line", { x1: odds(DECIDES), x2: odds(DECIDES), y1: arms.length * 22, y2: height - 16, class: "decides" }),
        svg("text", { x: odds(DECIDES), y: height - 3, "text-anchor": "middle" }, `${DECIDES} to 1 decides`),
        bets.map(([label, won, kind], i) => row((arms.length + i) * 22, label, odds(won), kind, `${won >= 100 ? count(Math.round(won)) : won.toPrecision(2)} to 1`))] : null),
    h("figcaption.dim", {}, `${count(harmed)} of ${plural(sessions, "session")} under it came to harm.${bets.length ? ` After each session money is bet on either outcome; whichever comes to ${DECIDES} to 1 ends the canary.` : ""}`));
}

function woulds(found) {
  if (!found.length) return null;
  return h("details", {}, h("summary", {}, `${plural(found.length, "step")} with which it would do otherwise`), h("ul.plain", {}, found.map((each) => {
    const [exchange, seq] = each.step_id.split(".");
    return h("li.line", {}, h("a.mono", { href: `#/sessions/${encodeURIComponent(each.session_id)}?turn=${encodeURIComponent(exchange)}&step=${Number(seq)}` }, each.step_id), h("span.verdict.v-shadow", {}, each.would.replaceAll("_", " ")), h("span.dim", {}, `it was ${each.was}`));
  })));
}

// Everything that became of it, in order.
export function moves(proposal) {
  if (!proposal.moves?.length) return null;
  return [h("h3", {}, "What became of it"), h("ol.moves", {}, proposal.moves.map((each) => h("li", {}, h("time.dim", { datetime: each.at }, full(each.at)), h("b", {}, each.state.replaceAll("_", " ")),
    h("span.dim", {}, `${each.rung.replaceAll("_", " ")} ${each.outcome}${each.by_a_person ? " · on a person's word" : ""}`), sentence(each.why) ? h("span", {}, sentence(each.why)) : null)))];
}
