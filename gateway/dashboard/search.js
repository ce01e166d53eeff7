// Search: words in recorded contents, for apps that allow it. The gateway opens and reads them one by one while this page
// listens; leaving ends it.

import { follow, get, may } from "./api.js";
import { announce, h, put } from "./dom.js";
import { count, full, plural, short } from "./format.js";
import { empty, failure, kind, time } from "./parts.js";
import { sought } from "./sought.js";

const SINCE = [["", "any time"], ["1h", "last hour"], ["24h", "last 24 hours"], ["7d", "last 7 days"], ["30d", "last 30 days"]];
const MOST = 10_000;

export async function search(draw, where, signal) {
  if (!may("search")) {
    draw(h("div.page", {}, h("h1", {}, "Search"), empty("Contents are searched by the roles auditor, operator and admin.", "Sessions and exchanges are found by their ids in the field above.")));
    return;
  }
  const { apps } = await get("/api/search");
  if (!apps.length) {
    draw(h("div.page", {}, h("h1", {}, "Search"), empty("No app allows its contents to be searched.",
      h("span", {}, "Contents lie sealed. In stepwarden.toml, ", h("code", {}, "search = true"), " in ", h("code", {}, "[app.NAME]"), " lets auditors and operators look for words in them; every search is kept in the audit log."))));
    return;
  }
  const page = new SearchPage(apps);
  page.open(draw);
  signal.addEventListener("abort", () => page.leave());
}

class SearchPage {
  constructor(apps) {
    this.apps = apps;
    this.running = null;
  }

  open(draw) {
    const { ask } = sought;
    this.words = h("input", { name: "words", type: "search", value: sought.words ?? "", required: true, minlength: 3, maxlength: 200, "aria-label": "Words to look for", placeholder: "Words, as they stand there", autocomplete: "off", spellcheck: "false" });
    const select = (name, label, choices) => h("label", {}, h("span.unseen", {}, label), h("select", { name }, choices.map(([value, text]) => h("option", { value, selected: value === (ask[name] ?? "") }, text))));
    this.button = h("button.primary", {}, "Search");
    this.form = h("form.filters", { role: "search", "aria-label": "Search contents", onsubmit: (event) => { event.preventDefault(); if (this.running) this.leave(); else this.run(); } },
      this.words, select("app", "App", [["", this.apps.length === 1 ? `app ${this.apps[0]}` : "every app that allows it"], ...(this.apps.length === 1 ? [] : this.apps.map((each) => [each, each]))]),
      select("since", "Began since", SINCE), this.button);
    this.far = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "How much is read" });
    this.said = h("p.dim", { role: "status" });
    this.named = h("p.dim");
    this.list = h("ol.places", { "aria-label": "Steps that hold the words" });
    draw(h("div.page.search", {}, h("div.bar", {}, h("h1", {}, "Search"), h("span.dim", {}, "in recorded contents")), this.form, this.far, this.said, this.named, this.list));
    this.words.focus();
    if (sought.report === null && sought.words) this.run();
    else this.again();
  }

  // What was found before this page was left for one of its places.
  again() {
    put(this.list, sought.found.map(place));
    this.tell();
  }

  async run() {
    const asked = new FormData(this.form);
    const words = asked.get("words");
    const found = [];
    const isMine = () => sought.found === found; // other words may be sought before this search has ended
    Object.assign(sought, { words, ask: { app: asked.get("app"), since: asked.get("since") }, found, report: null });
    this.running = new AbortController();
    this.button.textContent = "Stop";
    this.far.hidden = false;
    put(this.list);
    put(this.said, "Opening and reading…");
    try {
      const report = await follow("/api/search", { words, app: asked.get("app") || null, since: asked.get("since") || null, most: MOST }, (name, data) => isMine() && this.hear(name, data), this.running.signal);
      if (isMine()) sought.report = report;
      this.tell();
      announce(this.said.textContent);
    } catch (error) {
      if (error.name === "AbortError") {
        if (isMine()) sought.report = { stopped: true };
        this.tell();
      } else {
        put(this.said, failure(error));
      }
    }
    this.running = null;
    this.far.hidden = true;
    this.button.textContent = "Search";
  }

  hear(name, data) {
    if (name === "found") {
      sought.found.push(data);
      this.list.append(place(data));
    } else if (name === "progress") {
      this.far.max = data.of || 1;
      this.far.value = data.done;
      put(this.said, `${count(data.done)} of ${plural(data.of, "exchange")} read · ${plural(sought.found.length, "step")} found`);
    }
  }

  tell() {
    // A client may have named its session so.
    const words = sought.words?.trim();
    put(this.named, words && !/\s/.test(words) ? h("button.link", { type: "button", onclick: () => { location.hash = `#/sessions/${encodeURIComponent(words)}`; } }, "Open the session of this name or id") : null);
    const report = sought.report;
    if (report === null) {
      put(this.said, "Contents are opened and read one by one, newest sessions first; nothing is kept of it but an entry in the audit log, without the words.");
    } else if (report.stopped) {
      put(this.said, `Stopped. ${plural(sought.found.length, "step")} found so far.`);
    } else {
      put(this.said, `${plural(report.places, "step")} found · ${plural(report.exchanges, "exchange")} read`,
        report.unread ? ` · ${plural(report.unread, "step")} could not be read` : null,
        report.whole ? ", which is all there is" : " · there is more: narrow it by app or time");
      if (report.places === 0) put(this.list, h("li", {}, empty("No step holds these words.", "They are looked for as they stand, in any case of letters.")));
    }
  }

  leave() {
    this.running?.abort();
  }
}

function place(each) {
  const address = each.session_id ? `#/sessions/${encodeURIComponent(each.session_id)}?turn=${encodeURIComponent(each.exchange_id)}&step=${each.seq}` : `#/exchanges/${encodeURIComponent(each.exchange_id)}`;
  return h("li", {}, h("a.place", { href: address },
    h("span.line", {}, kind(each.kind), each.tool ? h("b.tool", {}, each.tool) : null, h("span.dim", {}, each.app), h("span.mono.dim", { title: each.session_id }, short(each.session_id ?? each.exchange_id)),
      h("span.grow"), each.times > 1 ? h("span.tag", {}, `${count(each.times)} times`) : null, h("span.dim", { title: full(each.at) }, time(each.at))),
    h("span.snippet", {}, each.before, h("mark.m-sought", {}, each.words), each.after)));
}
