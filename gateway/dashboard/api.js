// The control plane, as the gateway documents it in /api/openapi.json.

export class Refusal extends Error {
  constructor(status, fault) {
    super(fault.message);
    this.status = status;
    this.type = fault.type;
    this.remedy = fault.remedy;
  }
}

let me = null;
let onSignedOut = () => {};

export const who = () => me;
export const whenSignedOut = (tell) => { onSignedOut = tell; };

const MAY = {
  decide: ["operator", "admin"],
  holds: ["auditor", "operator", "admin"],
  search: ["auditor", "operator", "admin"],
  audit: ["auditor", "admin"],
  wire: ["auditor", "admin"],
  tools: ["auditor", "admin"],
  administer: ["admin"],
};
export const may = (what) => me !== null && MAY[what].includes(me.role);
export const seesAll = () => me !== null && me.app === "*";

export async function identify() {
  me = await get("/api/me");
  return me;
}

export async function signIn(key) {
  me = await post("/api/sign-in", { key });
  return me;
}

export async function signOut() {
  await post("/api/sign-out");
  me = null;
}

export async function get(path, query = {}) {
  return (await answer(address(path, query))).json();
}

export async function text(path) {
  return (await answer(path)).text();
}

// A body as it crossed the wire: its bytes, and what they are said to be.
export async function body(path) {
  const got = await answer(path);
  return {
    bytes: new Uint8Array(await got.arrayBuffer()),
    type: got.headers.get("stepwarden-body-type"),
    encoding: got.headers.get("stepwarden-body-encoding"),
    sha256: got.headers.get("stepwarden-body-sha256"),
  };
}

export async function post(path, content) {
  return (await answer(path, posted(content))).json();
}

// Long work of the gateway's: `hear(name, data)` for each of its events; gives its report. Whoever aborts `signal` ends it.
export async function follow(path, content, hear, signal) {
  const got = await answer(path, { ...posted(content), signal });
  const lines = got.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", name = "";
  for (;;) {
    const { value, done } = await lines.read();
    if (done) throw new Refusal(0, { type: "cut", message: "The answer broke off.", remedy: "Ask again." });
    const whole = (rest + value).split("\n");
    rest = whole.pop();
    for (const line of whole) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) {
        const data = JSON.parse(line.slice(6));
        if (name === "report") return data;
        if (name === "error") throw new Refusal(500, data);
        hear(name, data);
      }
    }
  }
}

function posted(content) {
  const headers = { "content-type": "application/json" };
  if (me?.csrf) headers["stepwarden-csrf"] = me.csrf;
  return { method: "POST", headers, body: JSON.stringify(content ?? {}) };
}

function address(path, query) {
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return kept.length ? `${path}?${new URLSearchParams(kept)}` : path;
}

async function answer(path, options = {}) {
  let got;
  try {
    got = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { type: "unreachable", message: "The gateway cannot be reached.", remedy: "Is it running?" });
  }
  if (got.ok) return got;
  const said = await got.json().catch(() => null);
  const refusal = new Refusal(got.status, said?.error ?? { type: "failed", message: `status ${got.status}`, remedy: "" });
  if (got.status === 401 && path !== "/api/sign-in") {
    me = null;
    onSignedOut();
  }
  throw refusal;
}
