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
  audit: ["auditor", "admin"],
  wire: ["auditor", "admin"],
  tools: ["admin"],
};
export const may = (what) => me !== null && MAY[what].includes(me.role);

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
  const headers = { "content-type": "application/json" };
  if (me?.csrf) headers["stepwarden-csrf"] = me.csrf;
  return (await answer(path, { method: "POST", headers, body: JSON.stringify(content ?? {}) })).json();
}

function address(path, query) {
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return kept.length ? `${path}?${new URLSearchParams(kept)}` : path;
}

async function answer(path, options = {}) {
  let got;
  try {
    got = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
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
