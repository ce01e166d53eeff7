// Audit: what the log says, and whether that can be believed.

import { get, may, post, text } from "./api.js";
import { announce, download, h, put } from "./dom.js";
import { full, plural, whole } from "./format.js";
import { Table, empty, exchangeLink, failure, time } from "./parts.js";
import { hex, verify } from "./proof.js";

const PAGE = 100;
const KEPT = "stepwarden.vkey";
const COMMON = new Set(["v", "seq", "ts", "type", "actor", "tenant", "exchange", "trace", "span", "root"]);
const SAID = ["decision", "verdict", "outcome", "status", "reason", "what", "clause", "mode", "hold", "key", "role", "provider", "operation", "by", "basis", "count", "session", "policy", "config"];
const KINDS = ["request.", "guard.", "action.", "human.", "label.", "critique.", "canary.", "session.", "stream.", "override.", "kill_switch", "config.", "clause.", "apikey.", "access.", "content.", "tool.", "tool_server.", "optimizer.", "proposal.", "revision.", "legal_hold.", "retention.", "step.", "checkpoint.", "verify.", "ingest.", "clock.", "log."];

export async function audit(draw, where) {
  if (!may("audit")) {
    draw(h("div.page", {}, h("h1", {}, "Audit"), empty("The audit log is for the roles auditor and admin.", "`stepwarden keys create --role auditor` makes a key for it.")));
    return;
  }
  const kind = where.query.get("kind") ?? "";
  const [first, keys] = await Promise.all([get("/api/audit/entries", { kind, limit: PAGE }), get("/api/audit/keys")]);
  const listed = new Table({ label: "Entries", kind: "entries", columns: ["#Index", "Type", "Who", "App", "Says", "#When"] });
  const pane = h("article.entry", { "aria-label": "Entry", tabindex: "-1" }, h("p.hint", {}, "Choose an entry to read and prove it."));
  const more = h("button.more", { type: "button", onclick: () => load() }, "Show more");
  const server = h("div");
  const vkey = h("input.mono", { name: "vkey", value: localStorage.getItem(KEPT) ?? keys.vkeys.at(-1) ?? "", spellcheck: "false", autocomplete: "off", "aria-label": "Key that must have signed (vkey)",
    onchange: () => localStorage.setItem(KEPT, vkey.value.trim()) });
  const origin = h("p.dim", {}, localStorage.getItem(KEPT) ? "This key is kept in this browser." : "This key comes from the gateway itself: compare it with the one you were given. What you enter is kept in this browser.");
  let next;

  draw(h("div.page.audit", {},
    h("div.bar", {}, h("h1", {}, "Audit"), h("span.dim", {}, plural(first.size, "entry", "entries")),
      h("label", {}, h("span.unseen", {}, "Type of entry"), h("select", { onchange: (event) => { location.hash = event.target.value ? `#/audit?kind=${encodeURIComponent(event.target.value)}` : "#/audit"; } },
        ["", ...KINDS].map((each) => h("option", { value: each, selected: each === kind }, each ? each.replace(/\.$/, "") : "all types")))),
      h("span.grow"),
      h("button", { type: "button", onclick: head }, "Download head"),
      h("button", { type: "button", onclick: whole_ }, "Verify the whole log")),
    server,
    h("div.split", {},
      listed.element,
      h("div.entryside", {}, h("label.field", {}, h("span", {}, "Key that must have signed"), vkey), origin, pane))));
  listed.element.append(more);
  fill(first);

  function fill(page) {
    next = page.next;
    more.hidden = next === null;
    listed.add(page.entries.map(row));
    if (!listed.body.children.length) listed.instead(empty("No entry of this type among those looked through."));
  }

  async function load() {
    fill(await get("/api/audit/entries", { kind, limit: PAGE, before: next }));
  }

  function row(line) {
    const entry = JSON.parse(line.entry);
    return h("tr", { onclick: (event) => { if (!event.target.closest("a")) show(line, entry); } },
      h("td.n", {}, h("button.link.mono", { type: "button" }, whole(line.index))),
      h("td", {}, h("span.type", { class: `t-${entry.type.split(".")[0]}` }, entry.type)), h("td.mono", {}, entry.actor), h("td", {}, entry.tenant ?? ""),
      h("td.what", {}, summary(entry)), h("td.n", { title: full(entry.ts) }, time(entry.ts)));
  }

  function show(line, entry) {
    const verdict = h("div.proofs", { role: "status" });
    const path = `/api/audit/proof/${line.index}`;
    put(pane,
      h("div.bar", {}, h("h2", {}, `Entry ${whole(line.index)}`), h("span.type", { class: `t-${entry.type.split(".")[0]}` }, entry.type)),
      h("p.dim", {}, full(entry.ts), entry.exchange ? [" · ", exchangeLink(null, entry.exchange)] : null),
      h("pre.text", { tabindex: "0", "aria-label": "The entry" }, JSON.stringify(entry, null, 2)),
      h("div.actions", {},
        h("button.primary", { type: "button", onclick: () => prove(line, path, verdict) }, "Verify here"),
        h("button", { type: "button", onclick: () => download(`${line.index}.json`, line.entry, "application/json") }, "Entry"),
        h("button", { type: "button", onclick: async () => download(`${line.index}.tlog-proof`, await text(path), "text/plain") }, "Proof")),
      verdict);
    pane.focus();
  }

  async function prove(line, path, verdict) {
    put(verdict, h("p.dim", {}, "Asking for the proof…"));
    try {
      const found = await verify(line.entry, await text(path), vkey.value);
      put(verdict, h("ul.checks", {},
        h("li", {}, "Entry hashed: ", h("span.mono", {}, hex(found.leaf).slice(0, 24), "…")),
        h("li", {}, `${found.hashes} hashes lead from entry ${whole(found.index)} to the root over ${whole(found.size)} entries`),
        h("li", {}, "That root is signed by the key above, for ", h("span.mono", {}, found.origin))),
        h("p.verdict.v-on", {}, "This entry is in the log. Checked in this browser."));
      announce("The entry is in the log.");
    } catch (error) {
      put(verdict, failure(Object.assign(new Error(`Not proven: ${error.message}`), { remedy: "Check the key; `stepwarden audit verify` looks at all of the log." })));
    }
  }

  async function head() {
    download("head.note", await text("/api/audit/head"), "text/plain");
  }

  async function whole_(event) {
    const button = event.target;
    button.disabled = true;
    put(server, h("p.dim", {}, "The gateway is verifying its log and record from their files…"));
    try {
      const report = await post("/api/audit/verify");
      put(server, report.ok
        ? h("p.verdict.v-on", { role: "status" }, `All of it holds: ${plural(report.entries, "entry", "entries")} under one signed head.`)
        : h("div.failure", { role: "alert" }, h("p.title", {}, `${plural(report.flaws.length, "thing does", "things do")} not hold.`), report.flaws.slice(0, 20).map((flaw) => h("p", {}, `${flaw.place}: ${flaw.what}`))));
    } catch (error) {
      put(server, failure(error));
    }
    button.disabled = false;
  }
}

function summary(entry) {
  const place = (name) => (SAID.includes(name) ? SAID.indexOf(name) : SAID.length);
  const told = Object.entries(entry).sort(([a], [b]) => place(a) - place(b)).filter(([name, value]) => !COMMON.has(name) && typeof value !== "object" && !/^[A-Za-z0-9+/]{43}=$/.test(String(value)))
    .slice(0, 5).map(([name, value]) => h("span.pair", {}, h("i", {}, name), ` ${String(value).slice(0, 80)}`));
  return told.length ? told : h("span.dim", {}, entry.exchange ?? "");
}
