// Times, counts, money and names as people read them.

const RELATIVE = [[60, "s"], [3600, "m", 60], [86400, "h", 3600], [Infinity, "d", 86400]];

export function ago(at, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(at)) / 1000));
  if (seconds < 2) return "now";
  const [, unit, by = 1] = RELATIVE.find(([below]) => seconds < below);
  return `${Math.floor(seconds / by)} ${unit} ago`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

export const clock = (at) => CLOCK.format(Date.parse(at));
export const full = (at) => `${DAY.format(Date.parse(at))} ${CLOCK.format(Date.parse(at))}`;

// From one moment to another; the day is said again where it is another one.
export const span = (from, to) => `${full(from)} – ${DAY.format(Date.parse(from)) === DAY.format(Date.parse(to)) ? clock(to) : full(to)}`;

export function took(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} m ${Math.round((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.round((ms % 3_600_000) / 60_000)} m`;
}

const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const WHOLE = new Intl.NumberFormat("en");

export const count = (value) => (value === null || value === undefined ? "–" : value < 10_000 ? WHOLE.format(value) : COMPACT.format(value));
export const whole = (value) => WHOLE.format(value);

export function money(micro, unpriced = 0) {
  if (micro === null || micro === undefined) return "–";
  const dollars = micro / 1e6;
  const digits = dollars >= 100 ? 0 : dollars >= 1 ? 2 : 4;
  return `${unpriced ? "≥ " : ""}$${dollars.toFixed(digits)}`;
}

export function bytes(size) {
  if (size < 1000) return `${size} B`;
  return size < 1e6 ? `${(size / 1000).toFixed(1)} KB` : `${(size / 1e6).toFixed(1)} MB`;
}

// The first few of many names.
export const few = (names, most = 3) => `${names.slice(0, most).join(", ")}${names.length > most ? ` and ${names.length - most} more` : ""}`;

export const short = (id) => (id.length > 14 ? `…${id.slice(-8)}` : id);
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const clauseName = (name) => name.slice(name.indexOf("/") + 1);

export const KINDS = {
  instructions: ["§", "instructions"], tool_definitions: ["☰", "tools"], user_input: ["▸", "user"],
  model_text: ["◂", "model"], reasoning: ["∴", "reasoning"], tool_call: ["→", "call"], tool_result: ["←", "result"],
  retrieval: ["⊕", "retrieval"], handoff: ["⇄", "hand-off"],
};

// How a step is known, where that is not plain.
export const FIDELITIES = {
  witnessed: "Seen on this wire when it happened",
  projected: "Rebuilt from a later request: not seen on this wire when it happened",
  reported: "Told by the application itself",
};

const VERDICTS = {
  allow: ["", ""], flag: ["⚑", "flagged"], redact: ["▒", "redacted"], rewrite: ["✎", "rewritten"], hold: ["‖", "held"],
  reject: ["✕", "rejected"], terminate: ["■", "terminated"],
};
export const verdictWords = (name) => VERDICTS[name] ?? ["?", name];
export const STRENGTH = ["allow", "flag", "redact", "rewrite", "hold", "reject", "terminate"];
export const stronger = (a, b) => STRENGTH.indexOf(a) > STRENGTH.indexOf(b);
