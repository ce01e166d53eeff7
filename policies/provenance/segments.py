"""Segments: a text split by its structure first (fields, blocks, paragraphs, list items), then into sentences.

Structure is what limits how far an instruction reaches: whoever can write one field of a record, one list item or
one paragraph of a page seldom wrote its neighbour. So every sentence knows its unit (the smallest structural part
it stands in) and its field (the value or document that holds the unit), and nothing here needs the text to be
well-formed: records whose quotes are broken, or whose scalars are wrapped over lines, are the common case.

Linear in the text: each pattern is applied once, and none can backtrack over more than one line.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

import msgspec

from policies.possessive import compiled
from policies.provenance.lexicon import listed


class Sentence(msgspec.Struct, frozen=True, gc=False):
    """One sentence, as character offsets into the text."""

    start: int
    end: int
    unit: int
    """Index of its structural unit: a paragraph, list item, table row or short field."""

    field: int
    """Index of its field: one string of a record, or a whole document."""

    block: int
    """Index of the wrapped block (tag pair, fence, comment, brackets) it stands in; -1 outside any."""


_KEYED_STRING: Final = re.compile(r"""["']\s*:\s*["'{\[\d-]|^\s*[\[{]\s*["'{\[]""")
_QUOTE: Final = re.compile(r"""["']""")
_LITERAL: Final = r""""(?:[^"\\]|\\.)*+"|'(?:[^'\\]|\\.)*+'"""
_FOLLOWS: Final = r"""\s*(?:$|[:}\]]|,\s*(?:["'{\[\d}\]-]|true|false|null|True|False|None|$))"""
_STRING: Final = compiled(_LITERAL, re.DOTALL)
_NEXT_STRING: Final = compiled(rf"""[^"']*+({_LITERAL})(?={_FOLLOWS})(\s{{0,7}}:)?""", re.DOTALL)
"""The next string where it is as it should be, and whether it is a key."""

_KEY_NEXT: Final = re.compile(r"""\s*(?:$|[}\]]|:|,\s*["'][^"'\n]{1,60}["']\s*:|,\s*[{\[])""")
_YAML_KEY: Final = re.compile(r"\n([ \t]*)((?:- )*)([\"']?[A-Za-z_][\w .@/-]{0,48}[\"']?):(?=[ \t]|$)", re.MULTILINE)
"""A key with the line break before it, which is found much faster than the beginning of a line is."""

_YAML_ITEM: Final = re.compile(r"^([ \t]*)- (?=\S)", re.MULTILINE)

_BREAK: Final = re.compile(
    r"""[\n<](?:(?<=\n)(?:"""
    r"""[ \t]*+\n\s*+"""  # blank lines
    r"""|[ \t]*+[-=_*~#]{3,}+[ \t]*+(?=\n|$)\n?"""  # rules drawn with characters
    # bullets, numbers, quotes, rows, headings
    r"""|(?=[ \t]*+(?:[-*+•·▪►→>|#]|\d{1,3}[.)]|[a-z][.)]|\[[ xX]?\])[ \t]*+\S)"""
    r"""|(?=[ \t]*+(?://|/\*|\*/|--|;;|%))"""  # comment lines
    r"""|(?=\d{4}-\d\d-\d\d|\[\d|\d\d:\d\d))"""  # log lines
    r"""|(?<=<)/?(?:p|div|li|ul|ol|td|th|tr|table|br|h[1-6]|section|article|blockquote|body|html|head|title"""
    r"""|header|footer)\b[^<>]{0,200}>)""",
    re.IGNORECASE,
)
_EDGE: Final = re.compile(
    r"""[.!?…。！？\n:<>\[](?:"""  # noqa: RUF001 - full-width stops are meant
    # a stop, perhaps a closing quote, and what can open a sentence
    r"""(?<=[.!?…])["'”’)\]]{0,2}\s++(?=["'“‘(\[<]{0,2}[^\s\Wa-z]|[-*•#<])"""  # noqa: RUF001 - typographic quotes
    r"""|(?<=[。！？])"""  # noqa: RUF001 - full-width stops are meant
    r"""|(?<=\n)\s*+"""
    r"""|(?<=:)[ \t](?=[A-Z][a-z]+ [a-z])"""
    r"""|(?<=>)\s*+(?=\S)"""
    r"""|(?<=<)(?=/?[A-Za-z_][\w-]{0,30}>|\|)"""
    r"""|(?<=\[)(?=/?[A-Z_]{3,}\]))""",
)
_ITEM: Final = re.compile(r"[ \t](?=\d{1,2}[.)] [A-Z])")
_NUMBERED: Final = re.compile(r"[.)](?<=\d[.)]) [A-Z]")
"""Without this there is no `_ITEM`, and it is found faster."""

_OPENS_LINE: Final = re.compile(r"""["'“‘(\[<]{0,2}[A-Z<\[{]""")  # noqa: RUF001 - typographic quotes are meant
_LINE_ENDS: Final = frozenset(".!?:;,>])")
_DANGLING: Final = re.compile(
    r"\b(?:to|the|a|an|of|with|for|by|from|and|or|at|in|on|is|are|account|named|called|as|user|that|than)\s*$",
    re.IGNORECASE,
)
_ABBREVIATION: Final = re.compile(
    r"\b(?:e\.g|i\.e|etc|mr|mrs|ms|dr|prof|st|no|vs|inc|ltd|approx|fig|[A-Z])\.$", re.IGNORECASE
)

_OPENERS: Final = re.compile(
    r"<!--|/\*|```|\"\"\"|<(?P<tag>[A-Za-z_][\w-]{0,30})(?:\s[^<>]{0,120})?>"
    r"|\[(?P<mark>[A-Za-z_]{3,30})\]|\{\{|<\|(?P<role>\w{1,30})\|>"
)
MOST_UNCLOSED: Final = 32
"""Kinds of openers without a closer after which no more blocks are looked for."""

LONGEST_SENTENCE: Final = 1000
"""Characters; a longer one is read in pieces, so that nothing hides behind a missing full stop."""

KEY_WORDS: Final = 3
"""Words of a key; more before a colon are a clause."""

_LAYOUT: Final = listed(
    """
    p div li ul ol td th tr table br h1 h2 h3 h4 h5 h6 section article blockquote body html head title
    header footer span b i em strong a img hr pre code tbody thead nav main small u font center form input
    button label
    """
)


def spans(text: str, limit: int) -> list[tuple[int, int]]:
    """The fields of a text as (start, end), in order: strings of a record, scalars of YAML, or the text as a whole.

    Offsets are characters; only the first `limit` are looked at.
    """
    head = text[:limit]
    if _KEYED_STRING.search(head, 0, 4096) and head.lstrip()[:1] in "{[":
        found = list(_strings(head))
        if found:
            return found
    return list(_scalars(head))


def _strings(text: str) -> Iterator[tuple[int, int]]:
    """String literals; one whose quotes are not escaped runs on to where a key, a bracket or the end follows."""
    at = 0
    while True:
        while plain := _NEXT_STRING.match(text, at):
            start, at = plain.span(1)
            if at - start > len("''") and plain[2] is None:
                yield start + 1, at - 1
        opener = _QUOTE.search(text, at)
        if opener is None:
            return
        found = _STRING.match(text, opener.start())
        start = opener.end()
        if found is None:
            yield start, len(text)
            return
        stop = _ragged_end(text, found.end(), opener[0])
        if stop > start and not _is_key(text, stop + 1):
            yield start, stop
        at = stop + 1


def _is_key(text: str, at: int) -> bool:
    return text[at : at + 8].lstrip().startswith(":")


def _ragged_end(text: str, at: int, quote: str) -> int:
    """Where a string with unescaped quotes inside really ends."""
    while (stop := text.find(quote, at)) >= 0:
        if _KEY_NEXT.match(text, stop + 1) and not _is_key(text, stop + 1):
            return stop
        at = stop + 1
    return len(text)


def _scalars(text: str) -> Iterator[tuple[int, int]]:
    """Values of `key: value` records and of plain lists, each with its wrapped lines; other text is one field.

    A key must be followed by more than a wrapped sentence could be: at least two keys at one indent, or a list item.
    """
    keys = [found for found in _YAML_KEY.finditer(f"\n{text}") if len(found[3].split()) <= KEY_WORDS]
    indents: dict[int, int] = {}
    for found in keys:
        indent = len(found[1]) + len(found[2])
        indents[indent] = indents.get(indent, 0) + 1
    starts: list[tuple[int, int, int]] = []
    level = min((indent for indent, count in indents.items() if count > 1), default=None)
    listed = text.lstrip()[:2] == "- "
    for found in keys:
        indent = len(found[1]) + len(found[2])
        if found[2] or (level is not None and indents[indent] > 1):
            starts.append((found.start(), found.end() - 1, indent))  # of the text without that first line break
    if listed:
        taken = {start for start, _, _ in starts}
        starts += [(m.start(), m.end(), len(m[1])) for m in _YAML_ITEM.finditer(text) if m.start() not in taken]
        starts.sort()
    if len(starts) <= 1 or not _record(text, starts):
        yield 0, len(text)
        return
    if starts[0][0] > 0:
        yield 0, starts[0][0]
    for index, (_, value, _) in enumerate(starts):
        stop = starts[index + 1][0] if index + 1 < len(starts) else len(text)
        yield value, stop


def _record(text: str, starts: list[tuple[int, int, int]]) -> bool:
    """Whether keys or items begin most lines: a letter with two labelled lines is no record."""
    lines = text.count("\n") + 1
    return text.lstrip()[:2] == "- " or len(starts) * 2 >= lines - text.count("\n\n") * 2


def blocks(text: str, limit: int) -> list[tuple[int, int]]:
    """Wrapped blocks as (start, end) with their marks: comments, fences, tag pairs, bracketed marks. Not nested."""
    found: list[tuple[int, int]] = []
    at = 0
    misses: set[str] = set()
    while len(misses) < MOST_UNCLOSED and (opener := _OPENERS.search(text, at, limit)):
        at = opener.end()
        closer = _closer(opener)
        if closer is None or closer in misses:
            continue
        stop = text.find(closer, at, limit)
        if stop < 0:
            misses.add(closer)
            continue
        found.append((opener.start(), stop + len(closer)))
        at = stop + len(closer)
    return found


def _closer(opener: re.Match[str]) -> str | None:
    mark = opener[0]
    fixed = {"<!--": "-->", "/*": "*/", "```": "```", '"""': '"""', "{{": "}}"}.get(mark)
    if fixed is not None:
        return fixed
    if opener["tag"]:
        return None if opener["tag"].lower() in _LAYOUT else f"</{opener['tag']}>"
    if opener["mark"]:
        return f"[/{opener['mark']}]"
    return "<|"


def sentences(text: str, limit: int) -> list[Sentence]:
    """Every sentence of the first `limit` characters with its unit, field and wrapped block."""
    wrapped = blocks(text, limit)
    edges = [start for start, _ in wrapped]
    found: list[Sentence] = []
    unit = 0
    for field, (start, end) in enumerate(spans(text, limit)):
        for left, right in _pieces(text, start, end, _BREAK):
            for first, last in _joined(text, left, right):
                inside = bisect_right(edges, first) - 1
                block = inside if inside >= 0 and first < wrapped[inside][1] else -1
                found += [Sentence(a, b, unit, field, block) for a, b in _short(text, first, last)]
            unit += 1
    return found


def _pieces(text: str, start: int, end: int, edge: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    at = start
    for found in edge.finditer(text, start, end):
        if found.start() > at:
            yield at, found.start()
        at = found.end()
    if end > at:
        yield at, end


def _joined(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of one unit; a line that ends in a word that wants another goes on in the next."""
    first = start
    for left, right in _edges(text, start, end) if _divided(text, start, end) else ():
        if left <= first:
            first = max(first, right) if not text[first:right].strip() else first
            continue
        if _goes_on(text[max(first, left - 16) : left]):
            continue
        yield first, left
        first = right
    while first < end and text[first].isspace():
        first += 1
    if first < end:
        yield first, end


def _divided(text: str, start: int, end: int) -> bool:
    """Whether a unit may hold more than one sentence."""
    return _EDGE.search(text, start, end) is not None or _NUMBERED.search(text, start, end) is not None


def _goes_on(tail: str) -> bool:
    """Whether what ends so goes on: in a word that wants another, or an abbreviation."""
    if tail.endswith((".", ".\n")):
        return _ABBREVIATION.search(tail) is not None
    return tail.rstrip()[-1:].isalpha() and _DANGLING.search(tail) is not None


def _short(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """A sentence in pieces of at most `LONGEST_SENTENCE`, cut at spaces where there are any."""
    if end - start <= LONGEST_SENTENCE:
        return [(start, end)]
    found: list[tuple[int, int]] = []
    while end - start > LONGEST_SENTENCE:
        cut = text.rfind(" ", start + LONGEST_SENTENCE // 2, start + LONGEST_SENTENCE)
        cut = cut if cut > 0 else start + LONGEST_SENTENCE
        found.append((start, cut))
        start = cut
    return [*found, (start, end)]


def _edges(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where one sentence may end and the next begin: (end of the one, start of the other)."""
    found = [_edge(text, edge) for edge in _EDGE.finditer(text, start, end)]
    if _NUMBERED.search(text, start, end):
        found += [(item.start(), item.end()) for item in _ITEM.finditer(text, start, end)]
        found.sort(key=lambda edge: edge or (0, 0))
    return (edge for edge in found if edge)


def _edge(text: str, edge: re.Match[str]) -> tuple[int, int] | None:
    mark = edge[0][0]
    if mark in "<[":
        return edge.start(), edge.start()
    if mark != "\n":
        stop = edge.start() + len(edge[0].rstrip())
        return stop, edge.end()
    # A line break ends a sentence after punctuation, or where the next line opens like a sentence.
    at = edge.start() - 1
    while at >= 0 and text[at] in " \t":
        at -= 1
    before = text[at] if at >= 0 else "\n"
    if before in _LINE_ENDS or ((before.isalnum() or before in "\"'") and _OPENS_LINE.match(text, edge.end())):
        return at + 1, edge.end()
    return None
