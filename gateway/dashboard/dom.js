// Elements out of names and text. There is no other way in this page to make one: text is only ever text, so that what a
// model, a tool or a user wrote can be shown and can do nothing. What no eye can see in it is made seen, as on the command
// line (gateway/shown.py): else a recipient written backwards behind one invisible character is approved as another.

const SVG = "http://www.w3.org/2000/svg";
const READ = new Set(["title", "aria-label"]); // attributes that people read
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\u{e0000}-\u{e0fff}]/gu;

const seen = (text) => String(text).replace(/\r\n?/g, "\n").replace(UNSEEN, "\ufffd");

// h("a.quiet", {href: "#/"}, "text", element, [elements], null)
export function h(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  return filled(document.createElement(tag), classes, attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), [], attributes, children);
}

function filled(element, classes, attributes, children) {
  if (classes.length) element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name === "class") element.classList.add(...value.split(" ").filter(Boolean));
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else element.setAttribute(name, value === true ? "" : READ.has(name) ? seen(value) : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child instanceof Node ? child : seen(child));
  }
}

export function put(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// What is said to who does not see the page.
export function announce(text) {
  document.getElementById("announce").textContent = seen(text);
}

// A question in a dialog; gives the form's values, or null where it was left. `no` is null where there is nothing to leave.
export function ask({ title, text, fields = [], yes, no = "Cancel", danger = false }) {
  return new Promise((answered) => {
    const inputs = fields.map((field) =>
      h("label.field", {}, h("span", {}, field.label),
        field.choices
          ? h("select", { name: field.name, required: field.required }, field.choices.map(([value, label]) =>
              h("option", { value, selected: value === field.value }, label)))
          : field.long
          ? h("textarea", { name: field.name, rows: 3, maxlength: field.most ?? 1000, required: field.required })
          : h("input", { name: field.name, value: field.value ?? "", maxlength: field.most ?? 100,
                         required: field.required, autocomplete: "off" })));
    const dialog = h("dialog", { "aria-labelledby": "ask-title" },
      h("form", { method: "dialog" },
        h("h2", { id: "ask-title" }, title),
        text ? h("p", {}, text) : null,
        inputs,
        h("div.actions", {},
          no ? h("button", { type: "button", onclick: () => dialog.close() }, no) : null,
          h(danger ? "button.danger" : "button.primary", { value: "yes" }, yes))));
    dialog.addEventListener("close", () => {
      const form = dialog.querySelector("form");
      const values = dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : null;
      dialog.remove();
      answered(values);
    });
    document.body.append(dialog);
    dialog.showModal();
    dialog.querySelector("textarea, input, select")?.focus();
  });
}

export function download(name, bytes, type) {
  const address = URL.createObjectURL(new Blob([bytes], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
