// Findings on the very characters. Places in findings count bytes of UTF-8, as guards do; strings here count otherwise.

// Pieces of a text as `[text, matches]`, cut wherever a match begins or ends.
export function pieces(text, matches) {
  const bytes = new TextEncoder().encode(text);
  const ranges = matches.filter((each) => each.start < each.end && each.start < bytes.length);
  if (ranges.length === 0) return [[text, []]];
  const cuts = new Set([0, bytes.length]);
  for (const each of ranges) {
    cuts.add(each.start);
    cuts.add(Math.min(each.end, bytes.length));
  }
  const decoder = new TextDecoder();
  const edges = [...cuts].sort((a, b) => a - b);
  return edges.slice(1).map((end, i) => {
    const start = edges[i];
    return [decoder.decode(bytes.subarray(start, end)), ranges.filter((each) => each.start <= start && each.end >= end)];
  });
}

export function severity(match) {
  if (match.state === "error") return "error";
  if (match.state === "unsure") return "unsure";
  return match.score >= 75 ? "high" : match.score >= 50 ? "middle" : "low";
}
