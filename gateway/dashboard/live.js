// Live: what the agents do now.

import { get, may } from "./api.js";
import { h, put } from "./dom.js";
import { feedState, listen } from "./feed.js";
import { clock, count, money, plural, short, took } from "./format.js";
import { HoldCard } from "./holdcard.js";
import { empty, ending, exchangeLink, kind, sessionLink, sparkline, time, verdict } from "./parts.js";

const ROWS = 300;
const SECONDS = 60;
const SHOWN = 12;
const DRAW_MS = 400;
const ASK_MS = 10_000;

export async function live(draw, where, signal) {
  const stream = h("ol.stream", { "aria-label": "Steps, newest first" });
  const cards = h("div.cards");
  const active = h("div.active");
  const pace = h("div.pace");
  const pause = h("button.quiet", { type: "button", "aria-pressed": "false", onclick: () => hold(!paused) }, "Pause");
  const state = h("span.state");
  const perSecond = Array(SECONDS).fill(0);
  const pending = [], tools = [];
  const sessions = new Map();
  const holds = new Map();
  const told = new Set(); // holds the feed spoke of: it knows better than what was asked for before
  const underway = new Map(); // by exchange: what it is, from its first sight to its end
  const fresh = new Map(); // by exchange: how many of its steps were told
  let paused = false, due, drawing, asking;

  draw(h("div.livepage", {},
    h("section", { "aria-labelledby": "live-h" },
      h("div.bar", {}, h("h1", { id: "live-h" }, "Live"), state, h("span.grow"), pace, pause),
      stream),
    h("aside", { "aria-label": "What waits and who is active" }, cards, h("h2", {}, "Active sessions"), active)));

  function hold(on) {
    paused = on;
    pause.setAttribute("aria-pressed", String(on));
    pause.textContent = on ? "Go on" : "Pause";
    drawSteps();
  }

  function drawState() {
    const open = feedState() === "open";
    state.className = `state ${open ? "ok" : "bad"}`;
    state.textContent = open ? "watching" : "not connected, trying again";
  }

  function drawPace() {
    const rate = perSecond.slice(-5).reduce((a, b) => a + b, 0) / 5;
    put(pace, sparkline(perSecond, { label: `Steps a second over the last minute; now ${rate.toFixed(1)}`, width: 120, height: 22 }),
      h("span.figure", {}, `${rate.toFixed(1)} steps/s`));
  }

  const newestSessions = () => [...sessions.values()].sort((a, b) => b.last_at.localeCompare(a.last_at));

  function drawActive() {
    // A card that is drawn anew while it is pressed would hear of no click.
    drawing = active.matches(":active") ? setTimeout(drawActive, DRAW_MS) : undefined;
    if (drawing) return;
    const newest = newestSessions().slice(0, SHOWN);
    put(active, newest.length ? newest.map((each) =>
      h("a.sessioncard", { href: `#/sessions/${encodeURIComponent(each.session_id)}` },
        h("span.line", {}, h("strong", {}, each.agent ?? each.app), h("span.mono.dim", {}, short(each.session_id)), h("span.grow"), time(each.last_at)),
        h("span.line.dim", {}, busy(each.session_id), `${plural(each.exchanges, "turn")} · ${plural(each.steps, "step")} · ${money(each.cost_micro_usd, each.unpriced)}`,
          h("span.grow"), verdict(each.verdict, each.shadow)))) : empty("No sessions yet."));
  }

  // Since when a session's model has been answering, where it is.
  function busy(id) {
    const began = [...underway.values()].filter((each) => each.session_id === id).map((each) => Date.parse(each.started_at));
    return began.length ? h("span.underway", {}, h("span", { "aria-hidden": "true" }, "● "), `under way ${whole(Date.now() - Math.min(...began))} · `) : null;
  }

  function drawHolds() {
    put(cards, holds.size ? h("h2", {}, `Waiting for a person · ${holds.size}`) : null,
      [...holds.values()].map((card) => card.element));
  }

  function drawSteps() {
    due = undefined;
    if (paused || pending.length === 0) return;
    const made = document.createDocumentFragment();
    for (const row of pending.splice(0).slice(-ROWS).reverse()) made.append(row.make());
    stream.querySelector(".empty")?.parentElement.remove();
    stream.prepend(made);
    while (stream.children.length > ROWS) stream.lastElementChild.remove();
  }

  // Definitions of tools come by the dozen: those that nothing was said of stand in one row.
  function stepRows(step) {
    const [first, ...others] = tools.splice(0);
    const made = first ? [{ make: () => stepRow(first, others) }] : [];
    return step ? [...made, { id: step.step_id, make: () => stepRow(step) }] : made;
  }

  function add(...rows) {
    pending.push(...rows);
    if (pending.length > 2 * ROWS) pending.splice(0, ROWS);
    if (!paused) due ??= requestAnimationFrame(drawSteps);
  }

  function heard(what, data) {
    if (what === "step") {
      if (isTold(data)) return;
      perSecond[SECONDS - 1] += 1;
      fresh.set(data.exchange_id, (fresh.get(data.exchange_id) ?? 0) + 1);
      if (data.kind === "tool_definitions" && data.verdict === "allow" && data.shadow === "allow") tools.push(data);
      else add(...stepRows(data));
    } else if (what === "exchange") {
      add(...stepRows(null), { make: () => turnRow(data) });
      if (data.join) seen(data);
      fresh.delete(data.exchange_id);
      underway.delete(data.exchange_id);
    } else if (what === "begun") {
      underway.set(data.exchange_id, data);
      const known = sessions.get(data.session_id) ?? unknown(data.session_id, data.app, data.agent);
      sessions.set(data.session_id, { ...known, last_at: data.started_at });
      drawing ??= setTimeout(drawActive, DRAW_MS);
    } else if (what === "hold") {
      told.add(data.hold_id);
      heldOrNot(data);
    } else if (what === "dropped") {
      add({ make: () => h("li.note", {}, `${count(data.events)} events came faster than this browser read them and are not shown; the record has them all.`) });
    } else if (what === "state") {
      underway.clear(); // what ended meanwhile was told to nobody
      drawState();
    }
  }

  // A step that was shown while its exchange was under way is told again where a clause has made something of it since.
  function isTold(step) {
    if (step.verdict === "allow" && step.shadow === "allow") return false;
    const waiting = pending.find((each) => each.id === step.step_id);
    if (waiting) waiting.make = () => stepRow(step);
    const row = stream.querySelector(`[data-step="${CSS.escape(step.step_id)}"]`);
    row?.replaceWith(stepRow(step));
    return Boolean(row ?? waiting);
  }

  const unknown = (id, app, agent) => ({ session_id: id, app, agent, exchanges: 0, steps: 0, cost_micro_usd: null, unpriced: 0, verdict: "allow", shadow: "allow" });

  // Counted along here, and asked anew now and then: a page that asked after each turn would cost the gateway more than
  // the feed does.
  function seen(exchange) {
    const id = exchange.join.session_id;
    const known = sessions.get(id) ?? unknown(id, exchange.app, exchange.join.agent_name);
    sessions.set(id, { ...known, last_at: exchange.ended_at, exchanges: known.exchanges + 1, steps: known.steps + (fresh.get(exchange.exchange_id) ?? 0),
      cost_micro_usd: exchange.cost_micro_usd === null ? known.cost_micro_usd : (known.cost_micro_usd ?? 0) + exchange.cost_micro_usd,
      verdict: known.verdict === "allow" ? exchange.verdict : known.verdict });
    drawing ??= setTimeout(drawActive, DRAW_MS);
    asking ??= setTimeout(ask, ASK_MS);
  }

  async function ask() {
    asking = undefined;
    const listed = await get("/api/sessions", { limit: SHOWN }).catch(() => null);
    if (listed) for (const each of listed.sessions) sessions.set(each.session_id, each);
    if (sessions.size > 20 * SHOWN) for (const each of newestSessions().slice(SHOWN)) sessions.delete(each.session_id);
    drawActive();
  }

  function heldOrNot(data) {
    if (data.state === "waiting") holds.set(data.hold_id, new HoldCard(data, { brief: true }));
    else holds.delete(data.hold_id);
    drawHolds();
  }

  const ticking = setInterval(() => {
    drawPace();
    perSecond.shift();
    perSecond.push(0);
    for (const card of holds.values()) card.tick();
    if (underway.size) drawActive();
  }, 1000);
  const stop = listen(heard);
  signal.addEventListener("abort", () => {
    stop();
    clearInterval(ticking);
    clearTimeout(drawing);
    clearTimeout(asking);
  });
  drawState();
  drawPace();
  const [listed, recent, waiting] = await Promise.all([
    get("/api/sessions", { limit: SHOWN }), get("/api/exchanges", { limit: 25 }),
    may("holds") ? get("/api/holds", { only: "waiting" }) : { holds: [] }]);
  for (const each of listed.sessions) sessions.set(each.session_id, each);
  drawActive();
  for (const each of waiting.holds.reverse()) if (!told.has(each.hold_id)) heldOrNot(each);
  if (recent.exchanges.length) stream.append(h("li.note.before", {}, "Turns from before you came; steps appear above as they happen."), ...recent.exchanges.map(turnRow));
  else stream.append(h("li", {}, empty("Nothing yet.", "Point an agent at this gateway and its steps appear here as they happen:",
    h("code", {}, `ANTHROPIC_BASE_URL=${location.origin}/anthropic`), h("code", {}, `OPENAI_BASE_URL=${location.origin}/openai/v1`))));
}

// A span of time that is still running, without the digits that would flicker.
const whole = (ms) => (ms < 60_000 ? `${Math.max(0, Math.floor(ms / 1000))} s` : took(ms));

function stepRow(step, others = []) {
  const what = others.length
    ? [h("b", {}, `${others.length + 1} `), h("span.dim", {}, [step, ...others].map((each) => each.tool).join(", "))]
    : [step.tool ? h("b.tool", {}, step.tool) : null, (step.text ?? "").slice(0, 300)];
  return h("li.step", { class: step.verdict !== "allow" ? `is-${step.verdict}` : "", "data-step": step.step_id },
    h("time", { datetime: step.ended_at }, clock(step.ended_at)),
    sessionLink(step.session_id),
    kind(step.kind),
    h("span.what", {}, what),
    h("span.marks", {}, verdict(step.verdict, step.shadow, step.reason)));
}

function turnRow(exchange) {
  const ms = Date.parse(exchange.ended_at) - Date.parse(exchange.started_at);
  return h("li.turn", {},
    h("time", { datetime: exchange.ended_at }, clock(exchange.ended_at)),
    exchangeLink(exchange.join?.session_id, exchange.exchange_id),
    h("span.kind", {}, exchange.operation),
    h("span.what.dim", {}, h("b", {}, exchange.dialect === "mcp" ? exchange.operation : exchange.model ?? exchange.model_requested ?? exchange.path),
      [exchange.app, took(ms), ...(exchange.usage.input_tokens === null && exchange.usage.output_tokens === null ? [] : [`${count(exchange.usage.input_tokens)} in`, `${count(exchange.usage.output_tokens)} out`]),
        exchange.cost_micro_usd ? money(exchange.cost_micro_usd) : null].filter(Boolean).join(" · ")),
    h("span.marks", {}, ending(exchange), verdict(exchange.verdict)));
}
