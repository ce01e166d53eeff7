"""Order: spans as a tree, for showing. Parents are what the application says: missing, alien, or descendants."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from policies.vocabulary.reports import ReportedSpan


def as_tree(spans: Sequence[ReportedSpan]) -> Iterator[tuple[int, ReportedSpan]]:
    """Every span once, each behind its parent, with its depth; given and left in the order in which they began.

    A span whose parent is not among them stands at the top, and so does the first one of a circle.
    """
    below: dict[tuple[bytes, bytes | None], list[ReportedSpan]] = defaultdict(list)
    known = {(span.trace_id, span.span_id) for span in spans}
    for span in spans:
        parent = span.parent_span_id
        below[span.trace_id, parent if (span.trace_id, parent) in known else None].append(span)
    shown: set[tuple[bytes, bytes]] = set()
    tops = [span for span in spans if (span.trace_id, span.parent_span_id) not in known]
    for top in (*tops, *spans):  # the rest are circles
        waiting = [(0, top)]
        while waiting:
            depth, span = waiting.pop()
            if (span.trace_id, span.span_id) in shown:
                continue
            shown.add((span.trace_id, span.span_id))
            yield depth, span
            waiting += [(depth + 1, each) for each in reversed(below[span.trace_id, span.span_id])]
