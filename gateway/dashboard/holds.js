// Holds: what waits for a person, and what persons decided. j and k move, a approves, r rejects.

import { get } from "./api.js";
import { h, put } from "./dom.js";
import { listen } from "./feed.js";
import { HoldCard } from "./holdcard.js";
import { empty } from "./parts.js";

export async function holds(draw, where, signal) {
  const waiting = h("div.cards");
  const decided = h("div.cards");
  const past = h("section", { hidden: true }, h("h2", {}, "Decided"), decided);
  const count = h("span.dim");
  let cards = [], at = -1, asked = 0, loading;

  draw(h("div.page.holds", {},
    h("div.bar", {}, h("h1", {}, "Holds"), count, h("span.grow"),
      h("span.keys", {}, h("kbd", {}, "j"), h("kbd", {}, "k"), " move  ", h("kbd", {}, "a"), " approve  ", h("kbd", {}, "r"), " reject")),
    h("section", { "aria-label": "Waiting" }, waiting),
    past));

  async function load() {
    const mine = ++asked;
    const found = (await get("/api/holds")).holds;
    if (mine !== asked) return; // answers may overtake one another
    const open = found.filter((each) => each.state === "waiting").reverse();
    cards = open.map((each) => new HoldCard(each, { decided: load }));
    put(count, open.length ? `${open.length} waiting` : "");
    put(waiting, cards.length ? cards.map((each) => each.element) : empty("Nothing waits.", "A step that a clause holds stands here until somebody decides, and the agent waits with it."));
    past.hidden = open.length === found.length;
    put(decided, found.filter((each) => each.state !== "waiting").slice(0, 60).map((each) => new HoldCard(each, { brief: true }).element));
    if (at >= 0) move(Math.min(at, cards.length - 1));
  }

  function move(to) {
    if (cards.length === 0) return;
    at = Math.max(0, Math.min(cards.length - 1, to));
    cards.forEach((each, i) => each.element.classList.toggle("chosen", i === at));
    cards[at].element.focus();
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
    if (event.key === "j") move(at + 1);
    else if (event.key === "k") move(at - 1);
    else if (event.key === "a" && cards[at]) cards[at].answer(true);
    else if (event.key === "r" && cards[at]) cards[at].answer(false);
    else return;
    event.preventDefault();
  }

  addEventListener("keydown", key);
  // Before the first look, so that no hold is missed that begins to wait meanwhile.
  const stop = listen((what) => {
    if (what === "hold") loading ??= setTimeout(() => { loading = undefined; load(); }, 100);
  });
  const ticking = setInterval(() => cards.forEach((each) => each.tick()), 1000);
  signal.addEventListener("abort", () => {
    stop();
    clearInterval(ticking);
    clearTimeout(loading);
    removeEventListener("keydown", key);
  });
  await load();
}
