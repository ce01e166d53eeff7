// A list of any length: rows of one height, of which only those in sight are in the page.

import { h, put } from "./dom.js";

const BEYOND = 12;

export class LongList {
  // `draw(index)` gives a row's content, `chosen(index)` hears of a choice, `seen(first, last)` of what is in sight.
  constructor({ label, height, draw, chosen, seen = () => {}, classOf = () => "" }) {
    Object.assign(this, { height, draw, chosen, seen, classOf, count: 0, at: -1, rows: new Map() });
    this.inner = h("div.rows", { role: "presentation" });
    this.element = h("div.longlist", {
      role: "listbox", tabindex: "0", "aria-label": label,
      onscroll: () => this.later(), onkeydown: (event) => this.key(event),
      onmousedown: (event) => this.press(event), onclick: (event) => this.click(event),
    }, this.inner);
    this.watcher = new ResizeObserver(() => this.later());
    this.watcher.observe(this.element);
  }

  close() {
    this.watcher.disconnect();
  }

  size(count) {
    this.count = count;
    this.inner.style.setProperty("height", `${count * this.height}px`);
    this.later();
  }

  // Draw what is in sight anew; all of it, or one row.
  again(index = null) {
    if (index === null) {
      for (const row of this.rows.values()) row.remove();
      this.rows.clear();
    } else {
      this.rows.get(index)?.remove();
      this.rows.delete(index);
    }
    this.point();
    this.later();
  }

  // Name the chosen row to screen readers as long as it is in the page.
  point() {
    if (this.rows.has(this.at)) this.element.setAttribute("aria-activedescendant", `row-${this.at}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  choose(index, { quietly = false, centre = false } = {}) {
    if (index < 0 || index >= this.count) return;
    const before = this.at;
    this.at = index;
    this.reveal(index, centre);
    for (const each of [before, index]) this.again(each);
    if (!quietly) this.chosen(index);
  }

  // The chosen row stands elsewhere by now, and nobody chose anew.
  moved(index) {
    this.at = index;
    this.again();
  }

  reveal(index, centre) {
    const top = index * this.height, box = this.element;
    if (centre) box.scrollTop = top - box.clientHeight / 2;
    else if (top < box.scrollTop) box.scrollTop = top;
    else if (top + this.height > box.scrollTop + box.clientHeight) box.scrollTop = top + this.height - box.clientHeight;
  }

  key(event) {
    this.element.classList.remove("pressed");
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in moves)) return;
    event.preventDefault();
    this.choose(Math.max(0, Math.min(this.count - 1, this.at + moves[event.key])));
  }

  // A row is chosen as it is pressed: one that is drawn anew before it is let go hears of no click.
  press(event) {
    if (event.button !== 0 || !event.target.closest("[data-index]") || event.target.closest("a, button")) return;
    event.preventDefault();
    this.element.classList.add("pressed"); // whose focus needs no ring: who presses sees where
    this.element.focus({ preventScroll: true });
    this.click(event);
  }

  click(event) {
    const row = event.target.closest("[data-index]");
    if (row && !event.target.closest("a, button")) this.choose(Number(row.dataset.index));
  }

  later() {
    this.due ??= requestAnimationFrame(() => {
      this.due = undefined;
      this.show();
    });
  }

  show() {
    const box = this.element;
    const first = Math.max(0, Math.floor(box.scrollTop / this.height) - BEYOND);
    const last = Math.min(this.count, Math.ceil((box.scrollTop + box.clientHeight) / this.height) + BEYOND);
    for (const [index, row] of this.rows)
      if (index < first || index >= last) {
        row.remove();
        this.rows.delete(index);
      }
    for (let index = first; index < last; index++) if (!this.rows.has(index)) this.rows.set(index, this.row(index));
    this.point();
    if (last > first) this.seen(first, last);
  }

  row(index) {
    const row = h("div.row", {
      role: "option", id: `row-${index}`, "data-index": index, class: this.classOf(index),
      "aria-selected": String(index === this.at), "aria-posinset": index + 1, "aria-setsize": this.count,
      style: { transform: `translateY(${index * this.height}px)`, height: `${this.height}px` },
    });
    put(row, this.draw(index));
    this.inner.append(row);
    return row;
  }
}
