// The shell: which page the address asks for, who is signed in, and what waits.

import { Refusal, get, identify, may, seesAll, signOut, who, whenSignedOut } from "./api.js";
import { announce, h, put } from "./dom.js";
import { closeFeed, listen } from "./feed.js";
import { failure } from "./parts.js";
import { audit } from "./audit.js";
import { costs } from "./costs.js";
import { holds } from "./holds.js";
import { live } from "./live.js";
import { policies } from "./policies.js";
import { proposals } from "./proposals.js";
import { search as searchPage } from "./search.js";
import { sought } from "./sought.js";
import { session } from "./session.js";
import { sessions } from "./sessions.js";
import { supervision } from "./supervision.js";
import { tools } from "./tools.js";
import { exchange } from "./exchange.js";
import { signInPage } from "./signin.js";

const PAGES = [
  ["live", "Live", live], ["sessions", "Sessions", sessions], ["holds", "Holds", holds],
  ["policies", "Policies", policies], ["proposals", "Proposals", proposals],
  ["supervision", "Supervision", supervision], ["tools", "Tools", tools], ["costs", "Costs", costs], ["audit", "Audit", audit],
];
const OTHERS = { exchanges: exchange, search: searchPage };

const main = document.getElementById("main");
const pages = document.getElementById("pages");
const search = document.getElementById("search");
let visit = new AbortController(); // of a page; over once somebody goes on to another

// A part of the address, as it stands where somebody cut it in the middle of a character.
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

// What the address says: `#/sessions/ID?turn=T` is page `sessions`, id `ID` and a query.
function place() {
  const [path, query = ""] = location.hash.slice(1).split("?");
  const [page = "", id = null] = path.split("/").filter(Boolean).map(decoded);
  return { page: page || "live", id, query: new URLSearchParams(query) };
}

// A page draws itself with `draw` for as long as its visit lasts, and hears by a signal when that is over. One that is only
// then answered by the gateway ends there: it must not take the place of the page that came after it.
async function show() {
  visit.abort();
  visit = new AbortController();
  const { signal } = visit;
  const where = place();
  const page = where.page === "sessions" && where.id ? session : OTHERS[where.page] ?? PAGES.find(([name]) => name === where.page)?.[2];
  for (const link of pages.children) {
    if (link.dataset.page === where.page) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  pages.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  document.title = `${PAGES.find(([name]) => name === where.page)?.[1] ?? (where.page === "search" ? "Search" : "Stepwarden")} · Stepwarden`;
  if (!page) {
    put(main, failure(new Refusal(404, { message: "There is no such page.", remedy: "" })));
    return;
  }
  const draw = (...content) => {
    signal.throwIfAborted();
    put(main, ...content);
  };
  try {
    await page(draw, where, signal);
  } catch (error) {
    if (!signal.aborted && !(error instanceof Refusal && error.status === 401)) put(main, failure(error));
    if (!(error instanceof Refusal) && error !== signal.reason) throw error;
  }
}

function frame() {
  pages.hidden = search.hidden = false;
  put(pages, PAGES.filter(([name]) => name !== "tools" || (may("tools") && seesAll())).map(([name, label]) =>
    h("a", { href: `#/${name}`, "data-page": name }, label, name === "holds" ? h("span.badge", { id: "waiting", hidden: true }) : null)));
  const me = who();
  put(document.getElementById("who"),
    h("span.role", { title: me.key_id ?? "No keys exist: whoever uses this machine is its owner" },
      me.key_id ? `${me.name} · ${me.role}` : "owner"),
    me.csrf ? h("button.quiet", { type: "button", onclick: leaveForGood }, "Sign out") : null);
}

async function leaveForGood() {
  await signOut().catch(() => {});
  location.hash = "#/";
  askWho();
}

function askWho() {
  if (main.querySelector(".signin")) return;
  visit.abort();
  closeFeed();
  pages.hidden = search.hidden = true;
  put(document.getElementById("who"));
  document.title = "Sign in · Stepwarden";
  put(main, signInPage(start));
}

const waiting = new Map();

function countHolds(kind, hold) {
  if (kind !== "hold") return;
  const isNew = hold.state === "waiting" && !waiting.has(hold.hold_id);
  if (hold.state === "waiting") waiting.set(hold.hold_id, true);
  else waiting.set(hold.hold_id, false);
  if (isNew) announce(`A step waits for a person: ${hold.tool ?? hold.kind} of ${hold.app}`);
  recount();
}

let recounting, counted = 0;
function recount() {
  recounting ??= setTimeout(async () => {
    recounting = undefined;
    const mine = ++counted;
    const { counters } = await get("/api/status").catch(() => ({ counters: {} }));
    const badge = document.getElementById("waiting");
    if (!badge || mine !== counted) return; // answers may overtake one another
    const count = counters.holds_waiting ?? 0;
    badge.hidden = count === 0;
    put(badge, count, h("span.unseen", {}, " waiting"));
  }, 50);
}

// Our own ids, their beginnings, and names that clients gave with what we add to them.
const ID = /^(?=.*\d)[0-9A-HJKMNP-TV-Z]{8,26}$|^\S+\.[0-9a-f]{8}$/;

// The one field at the top: an id leads to its session or exchange. Everything else is looked for in contents, and is put
// into no address, since it may be anything.
async function find(event) {
  event.preventDefault();
  const asked = new FormData(search).get("q").trim();
  if (!asked) return;
  search.reset();
  const place = may("search") && !ID.test(asked) ? null : await known(encodeURIComponent(asked));
  if (place === null && may("search")) {
    Object.assign(sought, { words: asked, found: [], report: null });
    if (location.hash === "#/search") await show();
    else location.hash = "#/search";
  } else {
    location.hash = place ?? `#/exchanges/${encodeURIComponent(asked)}`;
  }
}

async function known(id) {
  const found = await get(`/api/sessions/${id}/turns`, { limit: 1 }).catch(() => null);
  if (found !== null) return `#/sessions/${encodeURIComponent(found.session_id)}`;
  return get(`/api/exchanges/${id}`, { text: 0 }).then(() => `#/exchanges/${id}`, (error) => (error.status === 404 ? null : `#/exchanges/${id}`));
}

async function start() {
  try {
    await identify();
  } catch (error) {
    if (error instanceof Refusal && error.status === 401) askWho();
    else put(main, failure(error));
    return;
  }
  frame();
  listen(countHolds);
  recount();
  await show();
}

whenSignedOut(askWho);
search.addEventListener("submit", find);
document.getElementById("skip").addEventListener("click", () => main.focus());
addEventListener("hashchange", () => who() && show());
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, dialog")) return;
  event.preventDefault();
  search.elements.q.focus();
});
start();
