"""`smuggling`: text that a reader does not see, or sees as other text than a model does.

Unicode Technical Standard 39 (confusables), Unicode Technical Report 36 section 2 (bidirectional text) and
CVE-2021-42574, Unicode Technical Standard 51 (emoji sequences), the Unicode Standard sections 23.2 to 23.9 (joiners,
selectors, tags).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from policies.possessive import compiled
from policies.provenance.lexicon import FOREIGN, PLAIN_IMPERATIVES, listed, words
from policies.trail import Scene, utf8
from policies.views import View, fold, unscanned, views
from policies.views.folding import LOOKALIKES
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import StepKind

Trick: TypeAlias = Literal["tags", "zero_width", "bidi", "selectors", "homoglyphs", "invisible", "encoded"]

_ALL: Final[tuple[Trick, ...]] = ("tags", "zero_width", "bidi", "selectors", "homoglyphs", "invisible", "encoded")
_CERTAIN: Final = 90
_LIKELY: Final = 75
_LOOK: Final = 50
_UNUSUAL: Final = 25

_WINDOW: Final = 1024
"""Bytes in which a trick can be told to be one; see `SmugglingGuard.window`."""

_MOST: Final = 1024
"""Places of one trick in one view. The last one reaches to the end of the text."""

_JSON: Final[frozenset[StepKind]] = frozenset({"tool_call", "tool_definitions"})
"""Steps whose text is parsed as JSON before it is used."""

_JSON_ESCAPES: Final = re.compile(rb"(?:\\u[0-9A-Fa-f]{4})+")
_BACKSLASH: Final = ord("\\")

Place: TypeAlias = tuple[int, int, int]
"""First character, character after the last, score."""


class SmugglingSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="smuggling"
):
    """Text hidden in invisible, reordered, look-alike or encoded characters."""

    tricks: Annotated[tuple[Trick, ...], Meta(min_length=1)] = _ALL
    """What to look for.

    `tags`: text in tag characters (90). `zero_width`: joiners and spaces without width where no script needs them
    (90 in a row that carries data, 75 inside a word, else 50). `bidi`: direction overrides, and isolates or
    embeddings that reorder text or stay open (75). `selectors`: variation selectors in a row (90) or on letters
    (75). `homoglyphs`: words that mix Latin with letters that look Latin (75; Greek, or a whole word of such
    letters in Latin text, 50). `invisible`: fillers, invisible operators and separators (50; soft hyphens 25).
    `encoded`: base64, hex or escapes that read as orders (75) or, nested, as prose (75); as prose alone 25.
    """


class SmugglingGuard:
    """Reports where text is hidden, one hit for each trick and score."""

    def __init__(self, spec: SmugglingSpec) -> None:
        self._tricks: tuple[Trick, ...] = tuple([trick for trick in _ALL if trick in spec.tricks])

    @property
    def window(self) -> int | None:
        """Bytes in which hidden text can be told to be there.

        A run of it may be longer; a range that ends where the text ends may still grow, and is to be held back.
        """
        return _WINDOW

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """One hit for each trick and score, with every place."""
        text = scene.step.text
        found: dict[tuple[Trick, int], set[tuple[int, int]]] = {}
        shown = views(text)
        escaped = scene.step.kind in _JSON
        for view in shown:
            for trick in self._tricks:
                for start, end, score in _encoded(view) if trick == "encoded" else _in_view(view, trick):
                    place = view.origin(start, end)
                    if trick == "encoded" or view.kind == "raw" or (escaped and _unescapes(shown[0].data, *place)):
                        found.setdefault((trick, score), set()).add(place)
        hits = [_hit(trick, score, ranges) for (trick, score), ranges in found.items()]
        return [*hits, *unscanned(text)]


def _in_view(view: View, trick: Trick) -> list[Place]:
    """The places of a trick in a view that no view before it shows, as bytes of the view."""
    if view.kind not in ("raw", "decoded") or view.text.isascii():
        return []
    places = _in_bytes(view.text, _bounded(_FINDERS[trick](view.text), len(view.text)))
    return places if view.kind == "raw" else [place for place in places if view.fresh(place[0], place[1])]


def _unescapes(raw: bytes, start: int, end: int) -> bool:
    """Whether a range is one of JSON's own escapes, which whoever parses it undoes; elsewhere all can read it."""
    before = start
    while before and raw[before - 1] == _BACKSLASH:
        before -= 1
    return (start - before) % 2 == 0 and bool(_JSON_ESCAPES.fullmatch(raw, start, end))


def _bounded(places: Iterator[Place], size: int) -> list[Place]:
    """The first places; where there are more, the last one reaches to the end of the text."""
    out = list(islice(places, _MOST))
    if len(out) == _MOST:
        start, _, score = out[-1]
        out[-1] = (start, size, score)
    return out


def _in_bytes(text: str, places: Sequence[Place]) -> list[Place]:
    """Places by character, ascending, as places by byte."""
    out: list[Place] = []
    char = byte = 0
    for start, end, score in places:
        byte += len(utf8(text[char:start]))
        char, size = end, len(utf8(text[start:end]))
        out.append((byte, byte + size, score))
        byte += size
    return out


def _hit(trick: Trick, score: int, ranges: Iterable[tuple[int, int]]) -> Hit:
    evidence = tuple([Evidence(start=start, end=end, label=trick) for start, end in sorted(ranges)])
    state = "violation" if score >= _LIKELY else "unsure"
    return Hit(score=score, state=state, evidence=evidence, note=f"{trick}: text that is not what it looks like")


# Tag characters. A flag of a region is a black flag, up to six tags, and the tag that ends them (UTS 51, ED-14a).

_TAGS: Final = re.compile(
    "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f|[\U000e0000-\U000e007f]+"
)


def _tags(text: str) -> Iterator[Place]:
    for match in _TAGS.finditer(text):
        if match.group()[0] != "\U0001f3f4":
            yield *match.span(), _CERTAIN


# Characters without width.

_NO_WIDTH: Final = "\u180e\u200b\u200c\u200d\u2060\ufeff"
_ZERO_WIDTH: Final = re.compile(f"[{_NO_WIDTH}]+")
_JOINED: Final = re.compile(
    "[\u0600-\u08ff\u0900-\u0dff\u1000-\u109f\u1780-\u18af\u1900-\u1c4f\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00010d3f\U00011000-\U00011fff\U0001e900-\U0001e95f]"
)
"""Scripts whose letters join or stack: there the joiners are spelling."""

_UNSPACED: Final = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u1980-\u19df\u1a20-\u1aaf\u3000-\u9fff\uac00-\ud7a3]"
)
"""Scripts that are written without spaces: there a space without width tells where a line may break."""

_PICTURE: Final = re.compile(
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff]"
)
_CARRIES_DATA: Final = 8
"""Characters without width in a row that nobody types: they are bits."""


def _zero_width(text: str) -> Iterator[Place]:
    for match in _ZERO_WIDTH.finditer(text):
        start, end = match.span()
        run, before, after = match.group(), text[start - 1 : start], text[end : end + 1]
        if len(run) >= _CARRIES_DATA:
            yield start, end, _CERTAIN
        elif not all(_spelled(char, before, after) for char in run):
            yield start, end, _LIKELY if before.isalnum() and after.isalnum() else _LOOK


def _spelled(char: str, before: str, after: str) -> bool:
    """Whether a script, an emoji or the beginning of a file asks for this character here."""
    if char == "\ufeff":
        return before in ("", "\n")
    if char == "\u200d" and _PICTURE.match(before) and _PICTURE.match(after):
        return True
    if char in "\u200c\u200d":
        return bool(_JOINED.match(before) or _JOINED.match(after))
    return char == "\u200b" and bool(_UNSPACED.match(before) or _UNSPACED.match(after))


# Direction. Marks and embeddings belong to right-to-left text; isolates that close serve any language.

_DIRECTED: Final = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]+")
_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_OVERRIDES: Final = frozenset("\u202d\u202e")
_OPENING: Final = "\u202a\u202b\u202d\u202e\u2066\u2067\u2068"
_REORDERING: Final = frozenset("\u202b\u2067")
_CLOSING: Final = "\u202c\u2069"
_PAIRED: Final = frozenset(_OPENING + _CLOSING)


def _bidi(text: str) -> Iterator[Place]:
    if not _DIRECTED.search(text):
        return
    at = 0
    for line in text.splitlines(keepends=True):
        if _DIRECTED.search(line):
            yield from _bidi_in_line(line, at)
        at += len(line)


def _bidi_in_line(line: str, offset: int) -> Iterator[Place]:
    rtl = bool(_RIGHT_TO_LEFT.search(line))
    opened = sum(map(line.count, _OPENING))
    closed = opened == sum(map(line.count, _CLOSING))
    for match in _DIRECTED.finditer(line):
        run = match.group()
        start, end = match.start() + offset, match.end() + offset
        marks = set(run)
        stray = not rtl and bool(marks & _REORDERING or (not closed and marks & _PAIRED))
        if marks & _OVERRIDES or len(run) >= _CARRIES_DATA or stray:
            yield start, end, _LIKELY
        elif (
            not rtl
            and line[match.start() - 1 : match.start()].isalnum()
            and line[match.end() : match.end() + 1].isalnum()
        ):
            yield start, end, _LOOK


# Variation selectors. One may follow a picture, a digit of a keycap, an ideograph or a Mongolian letter.

_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")


def _selectors(text: str) -> Iterator[Place]:
    for match in _SELECTORS.finditer(text):
        start, end = match.span()
        before = text[start - 1 : start]
        if end - start > 1:
            yield start, end, _CERTAIN
        elif before.isalpha() and before.isascii():
            yield start, end, _LIKELY
        elif not before or before.isspace():
            yield start, end, _LOOK


# Look-alikes.

_SIMILAR: Final = "".join(
    [other for others in LOOKALIKES.values() for other in others if not unicodedata.name(other).startswith("LATIN")]
)
"""Letters of other alphabets; Turkish and African ones are Latin and belong into Latin words."""

_GREEK: Final = re.compile("[\u0370-\u03ff]")
_MIXED: Final = re.compile(f"[A-Za-z](?=[{_SIMILAR}])|[{_SIMILAR}](?=[A-Za-z])")
_WORD: Final = re.compile(r"\w+")
_DISGUISED: Final = re.compile(rf"(?<!\w)[{_SIMILAR}]{{3,32}}(?!\w)")
_LONGEST_WORD: Final = 64
_SHORTEST_WORD: Final = 4


def _homoglyphs(text: str) -> Iterator[Place]:
    yield from merge(_mixed_words(text), _disguised_words(text))


def _mixed_words(text: str) -> Iterator[Place]:
    done = 0
    for match in _MIXED.finditer(text):
        if match.start() < done:
            continue
        start, done = _word_around(text, match.start())
        if score := _mixed(text[start:done]):
            yield start, done, score


def _disguised_words(text: str) -> Iterator[Place]:
    for match in _DISGUISED.finditer(text):
        if _among_latin(text, *match.span()):
            yield *match.span(), _LOOK


def _word_around(text: str, at: int) -> tuple[int, int]:
    start = at
    while start and at - start < _LONGEST_WORD and text[start - 1].isalnum():
        start -= 1
    match = _WORD.match(text, at, at + _LONGEST_WORD)
    return start, match.end() if match else at + 1


def _mixed(word: str) -> int:
    """How much a word of two alphabets looks like a Latin one; 0 where it does not."""
    if len(word) < _SHORTEST_WORD or not fold(word).isascii():
        return 0
    others = [char for char in word if not char.isascii()]
    if all(_GREEK.match(char) for char in others):
        return _LOOK if all(_GREEK.sub("", edge) for edge in (word[0], word[-1])) else 0
    return _LIKELY


def _among_latin(text: str, start: int, end: int) -> bool:
    """Whether the words around one are written in Latin letters alone."""
    around = text[max(start - _LONGEST_WORD, 0) : start] + text[end : end + _LONGEST_WORD]
    letters = [char for char in around if char.isalpha()]
    return len(letters) >= _SHORTEST_WORD and all(char.isascii() for char in letters)


# Invisible separators, fillers and operators.

_INVISIBLE: Final = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u2028\u2029\u2061-\u2065\u206a-\u206f\u2800\u3164\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a]+"
)
_FILLED: Final = re.compile("[\u2801-\u28ff\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff\uffa1-\uffdc]")


def _invisible(text: str) -> Iterator[Place]:
    for match in _INVISIBLE.finditer(text):
        start, end = match.span()
        run = set(match.group())
        if _FILLED.match(text[start - 1 : start]) or _FILLED.match(text[end : end + 1]):
            continue
        if run <= {"\u2028", "\u2029"} and end - start == 1:
            continue
        yield start, end, _UNUSUAL if run <= {"\u00ad", "\u2028", "\u2029"} else _LOOK


# Encoded text.

_WORDS: Final = r"[^\W\d_]++(?:['\u2019-][^\W\d_]++){0,3}+"
_PROSE: Final = compiled(rf"(?<!\w)(?:{_WORDS}[,;.!?]?[ \t\r\n]{{1,4}}){{3}}{_WORDS}")
"""Four words in a row, as people write them: in JSON and markup they stand apart."""

_CLAUSE: Final = re.compile(r"[.!?:;,\n\"'()-]+")
_LEADS: Final = listed("please must should shall now then and to you always never first also instead just not do")
_COMMAND: Final = re.compile(
    r"\b(?:curl|wget|nc|bash|sh|zsh|powershell|pwsh|iex|python3?|perl|ruby|node|eval|exec|rm|chmod|base64|certutil)\b[^\n]{0,200}?"
    r"(?:https?://|[|;&>`]|\$\(|/dev/|-[a-zA-Z])"
)
_SHORTEST_READ: Final = 12
_LONGEST_READ: Final = 4096
"""Characters of one decoded run that are read for orders."""

_MAIL: Final = re.compile(rb"content-transfer-encoding:\s*base64", re.IGNORECASE)
_MAIL_HEADERS: Final = 512


def _encoded(view: View) -> Iterator[Place]:
    if view.kind != "decoded":
        return
    for start, end in view.changes():
        if end - start < _SHORTEST_READ:
            continue
        text = view.data[start : min(end, start + _LONGEST_READ)].decode("utf-8", "replace")
        prose = _PROSE.search(text)
        if not prose and not _COMMAND.search(text):
            continue
        if not prose or view.depth > 1 or _orders(text):
            mailed = _MAIL.search(view.data, max(start - _MAIL_HEADERS, 0), start)
            yield start, end, _UNUSUAL if mailed else _LIKELY
        else:
            yield start, end, _UNUSUAL


def _orders(text: str) -> bool:
    """Whether a clause of a text begins as an order does."""
    for clause in _CLAUSE.split(text):
        said = words(clause)
        while said and said[0] in _LEADS:
            del said[0]
        if said and (said[0] in PLAIN_IMPERATIVES or said[0] in FOREIGN):
            return True
    return False


_FINDERS: Final[dict[Trick, Callable[[str], Iterator[Place]]]] = {
    "tags": _tags,
    "zero_width": _zero_width,
    "bidi": _bidi,
    "selectors": _selectors,
    "homoglyphs": _homoglyphs,
    "invisible": _invisible,
}
