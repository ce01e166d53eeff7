// Signing in: a key is shown once, in the body of one request, and is kept nowhere in this page.

import { signIn, identify } from "./api.js";
import { h, put } from "./dom.js";
import { failure } from "./parts.js";

export function signInPage(done) {
  const wrong = h("div", {});
  const input = h("input", { name: "key", type: "password", autocomplete: "current-password", required: true, spellcheck: "false", placeholder: "swk_…" });
  const form = h("form", { onsubmit: async (event) => {
    event.preventDefault();
    put(wrong);
    try {
      await signIn(input.value);
      input.value = "";
      await identify();
    } catch (error) {
      const kept = error.status === 401 && !input.value;
      put(wrong, kept ? failure(Object.assign(new Error("The browser did not keep the cookie."), {
        remedy: "Away from 127.0.0.1 this page must come over TLS: put a proxy with a certificate in front." })) : failure(error));
      return;
    }
    await done();
  } },
    h("h1", {}, "Sign in"),
    h("p", {}, "Show a gateway key of the role viewer, auditor, operator or admin. It is sent once and a cookie stands for it, for twelve hours at most."),
    h("label.field", {}, h("span", {}, "Gateway key"), input),
    wrong,
    h("div.actions", {}, h("button.primary", {}, "Sign in")),
    h("p.hint", {}, "None yet? On the gateway's machine: ", h("code", {}, "stepwarden keys create --name me --role admin")));
  queueMicrotask(() => input.focus());
  return h("div.signin", {}, form);
}
