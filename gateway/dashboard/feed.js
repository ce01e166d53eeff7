// The live feed: one connection for the whole page, however many parts of it listen.

const listeners = new Set();
let source = null;
let state = "closed";
let retry;

export const feedState = () => state;

// Calls `hear(kind, data)` for each `begun`, `step`, `exchange`, `hold`, `dropped`, and `state` where the connection changes.
// Gives what ends it.
export function listen(hear) {
  listeners.add(hear);
  open();
  return () => listeners.delete(hear);
}

export function closeFeed() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function open() {
  if (source !== null) return;
  source = new EventSource("/api/live");
  source.addEventListener("open", () => changed("open"));
  source.addEventListener("error", () => {
    changed("broken");
    // A refusal ends an EventSource for good; whoever is signed in again later, or the gateway back, is asked again.
    if (source?.readyState === EventSource.CLOSED) {
      closeFeed();
      retry = setTimeout(() => listeners.size && open(), 5000);
    }
  });
  for (const kind of ["begun", "step", "exchange", "hold", "dropped"])
    source.addEventListener(kind, (event) => tell(kind, JSON.parse(event.data)));
}

function changed(next) {
  if (next !== state) {
    state = next;
    tell("state", next);
  }
}

function tell(kind, data) {
  for (const hear of [...listeners]) hear(kind, data);
}
