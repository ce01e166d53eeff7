// The words somebody looks for. They live in this page alone: in no address, no history, no storage.

export const sought = { words: null, ask: {}, found: [], report: null };

const SPECIAL = /[.*+?^${}()|[\]\\]/g;

export function pattern(words) {
  return new RegExp(words.trim().split(/\s+/).map((word) => word.replace(SPECIAL, "\\$&")).join("\\s+"), "giu");
}

// Where a text holds them, in bytes of UTF-8 as findings count.
export function places(text) {
  if (!sought.words?.trim() || sought.report === null) return [];
  const utf8 = new TextEncoder();
  const found = [];
  for (const match of text.matchAll(pattern(sought.words))) {
    const start = utf8.encode(text.slice(0, match.index)).length;
    found.push({ start, end: start + utf8.encode(match[0]).length });
    if (found.length === 200) break;
  }
  return found;
}
