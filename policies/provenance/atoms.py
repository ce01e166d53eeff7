"""Atoms: the parts of an argument value that can be traced to where they came from.

A value such as a mail body is no use as a whole: what matters is the address, link, account or identifier inside it.
Kinds differ in what they prove. An address or identifier seldom occurs in two places by chance; a number, a date or
a common name does, so those are weak evidence.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from policies.arguments import Scalar
from policies.provenance.folding import fold

AtomKind: TypeAlias = Literal[
    "email", "url", "account", "phone", "handle", "id", "path", "number", "date", "name", "phrase"
]

DESTINATIONS: Final[frozenset[AtomKind]] = frozenset({"email", "url", "account", "phone", "handle"})
"""Kinds that say where something goes."""

IDENTIFIERS: Final[frozenset[AtomKind]] = frozenset({"id", "path"})
"""Kinds that say which thing is meant."""

WEAK: Final[frozenset[AtomKind]] = frozenset({"number", "date", "name", "phrase"})
"""Kinds that occur in two places by chance."""

MOST_ATOMS: Final = 64
"""Atoms of one value; the first ones are kept."""

LONGEST_VALUE: Final = 1 << 16
"""Characters of one value that are taken apart."""

SHORTEST_NAME: Final = 2
LONGEST_NAME: Final = 80
"""Characters of a value that is traced as a whole."""

FEWEST_PHRASE_WORDS: Final = 10
PHRASE_WORDS: Final = 6
MOST_FORMS: Final = 16
"""A value of so many words or more is traced by runs of six words too, at most sixteen of them."""

_SWAPPED: Final = str.maketrans(",.", ".,")
_SMALLEST, _LARGEST = 100, 10**15
"""Numbers outside are too common, or no amounts."""

_TIGHT_ENOUGH: Final = 6
"""Letters and digits of a value that is searched for without its separators."""

LONGEST_RUN: Final = 512
"""Characters of a run without spaces that are taken apart."""

_DELIMITERS: Final = str.maketrans("\"'`<>,;|(){}[]", " " * 14)
"""What ends a run, as white space does."""

_TELLING: Final = re.compile(r"[\d@_./\\#~]")
_SPACED: Final = re.compile(
    r"[+(\d](?:"
    r"(?P<phone>(?<=(?<![\w.])\+)\d[\d ().-]{6,20}\d\b"
    r"|(?:(?<=(?<![\w.-])\()\d|(?<=(?<![\w.-])\d))\d\d\)?[ .-]\d{3}[ .-]\d{4}\b)"
    r"|(?P<account>(?<=\b[a-z][a-z]\d)\d(?: [a-z0-9]{4}){2,8}(?: [a-z0-9]{1,3})?\b)"
    r"|(?P<date>(?<=\b\d)\d{3}-\d\d-\d\d[t ]\d\d?:\d\d(?::\d\d)?\b)"
    r"|(?P<number>(?<=\b\d)\d{0,2}(?:,\d{3})+(?:\.\d+)?\b))"
)
"""Values that are written with spaces, searched for by their first digit, sign or bracket, since those are few. An
account opens with two letters before that digit."""

_COUNTRY: Final = 2

_HOST_ENDS: Final = (
    "com|net|org|io|dev|ai|app|co|edu|gov|info|biz|me|tv|cc|xyz|site|online|shop|cloud|uk|de|fr|es|it|nl|ch|at|eu|us"
    "|ca|au|in|jp|cn|ru|br|pl|se|no|be|dk|fi|example|test|invalid|local|internal|onion"
)
_FINDER: Final = re.compile(
    r"(?P<email>[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6})"
    r"|(?P<url>\b[a-z][a-z0-9+.-]{1,15}://\S{1,500}|\bwww\.\S{1,500}"
    rf"|\b(?:[a-z0-9][\w-]{{0,62}}\.){{1,6}}(?:{_HOST_ENDS})\b(?!\.\w)(?::\d{{1,5}})?(?:/\S{{0,500}})?)"
    r"|(?P<date>\b\d{4}-\d\d?-\d\d?(?:t\d\d?:\d\d(?::\d\d)?(?:\.\d+)?(?:z|[+-]\d\d:?\d\d)?)?\b"
    r"|\b\d\d?[/.]\d\d?[/.]\d{2,4}\b|\b\d\d?:\d\d(?::\d\d)?\b)"
    r"|(?P<path>(?<![\w/])(?:~|\.{1,2}|[a-z]:)?(?:[/\\][\w.@%+*-]{1,128}){2,32}[/\\]?"
    r"|\b[\w-]{1,128}(?:/[\w.-]{1,128}){0,16}\.[a-z]{2,5}\d?\b(?![.@])|(?<!\w)/[\w.-]{2,128})"
    r"|(?P<account>\b[a-z]{2}\d{2}[a-z0-9]{10,30}\b|\b0x[0-9a-f]{16,80}\b|\b(?=[a-z]{0,80}\d)[a-z0-9]{24,90}\b)"
    r"|(?P<handle>(?<!\w)[@#][\w-]{2,64})"
    r"|(?P<number>\b\d+\.\d+\b|\b\d{3,5}\b(?![-_]\w))"
    r"|(?P<id>\b[a-z0-9]+(?:[_-][a-z0-9]+)*\b)"
)
_SCHEME: Final = re.compile(r"^(?:[a-z][a-z0-9+.-]*:)?//(?:[^/@]*@)?")


class Atom(msgspec.Struct, frozen=True):
    """One traceable part of a value."""

    kind: AtomKind
    text: str
    """Folded: lower case, white space collapsed; a URL without its scheme, `www.` and final slash."""

    forms: tuple[str, ...]
    """Every folded spelling to search for, the strictest first."""


def atoms(value: Scalar) -> list[Atom]:
    """The atoms of one argument value, without repeats, at most `MOST_ATOMS`."""
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return list(_number(value))
    found: dict[tuple[str, str], Atom] = {}
    folded = fold(value[:LONGEST_VALUE]).strip()
    for kind, text in _found(folded):
        atom = _atom(kind, text)
        if atom is not None and (atom.kind, atom.text) not in found:
            found[atom.kind, atom.text] = atom
            if len(found) >= MOST_ATOMS:
                break
    bare = folded.strip(" .,;:!?\"'()[]")
    if SHORTEST_NAME <= len(bare) <= LONGEST_NAME and not any(
        len(atom.text) * 2 > len(bare) for atom in found.values()
    ):
        found["name", bare] = Atom("name", bare, (bare,))
    passage = _phrase(folded)
    return [*found.values(), passage] if passage else list(found.values())


def _phrase(text: str) -> Atom | None:
    """A long text as runs of words, for finding where it was copied from when no shorter value gives it away."""
    spoken = text.split()
    if len(spoken) < FEWEST_PHRASE_WORDS:
        return None
    stride = max(1, (len(spoken) - PHRASE_WORDS) // MOST_FORMS)
    forms = [" ".join(spoken[at : at + PHRASE_WORDS]) for at in range(0, len(spoken) - PHRASE_WORDS + 1, stride)]
    return Atom("phrase", forms[0], tuple(forms[:MOST_FORMS]))


def _found(text: str) -> Iterator[tuple[AtomKind, str]]:
    """What can be an atom: values that are written with spaces, and those inside runs without any."""
    seen: set[str] = set()
    taken = 0
    for spaced in _SPACED.finditer(text):
        kind = _kind(spaced)
        start = spaced.start() - (_COUNTRY if kind == "account" else 0)
        yield from _in_runs(text, taken, start, seen)
        yield kind, text[start : spaced.end()]
        taken = spaced.end()
    yield from _in_runs(text, taken, len(text), seen)


def _in_runs(text: str, start: int, end: int, seen: set[str]) -> Iterator[tuple[AtomKind, str]]:
    """The values in the runs of a range; a run that was `seen` says nothing new."""
    runs = text[start:end].translate(_DELIMITERS).split()
    if start and runs and text.startswith(runs[0], start):
        # It goes on from what was taken before it, which is part of how it reads.
        yield from _in_run(text, start, start + len(runs.pop(0)))
    for run in runs:
        if run not in seen:
            seen.add(run)
            yield from _in_run(run, 0, len(run))


def _in_run(text: str, start: int, end: int) -> Iterator[tuple[AtomKind, str]]:
    if _TELLING.search(text, start, end):
        for match in _FINDER.finditer(text, start, min(end, start + LONGEST_RUN)):
            yield _kind(match), match[0]


def _kind(match: re.Match[str]) -> AtomKind:
    return match.lastgroup  # pyright: ignore[reportReturnType] - the group names are the kinds


def _atom(kind: AtomKind, text: str) -> Atom | None:
    if kind == "url":
        text = bare_url(text)
        host = text.split("/", 1)[0].split("?", 1)[0]
        return Atom(kind, text, (text, host) if host != text else (text,))
    if kind == "number":
        return next(_number(float(text.replace(",", ""))), None)
    if kind == "id" and not _identifies(text):
        return None
    if kind in {"account", "phone", "id"}:
        tight = re.sub(r"[\s().-]", "", text)
        return Atom(kind, text, (text, tight) if tight != text and len(tight) >= _TIGHT_ENOUGH else (text,))
    return Atom(kind, text, (text,))


def _identifies(text: str) -> bool:
    """Whether a run of letters and digits is more than a word: it mixes them, or joins its parts by underscores."""
    digits = sum(char.isdigit() for char in text)
    if digits == 0:
        return "_" in text
    return digits < len(text) or digits >= _TIGHT_ENOUGH


def bare_url(url: str) -> str:
    """A folded URL without scheme, user information, `www.` and trailing punctuation."""
    return _SCHEME.sub("", url).removeprefix("www.").rstrip("/.,;:!?)]}>\"'")


def _number(value: float) -> Iterator[Atom]:
    """A number of three digits or more, in the spellings people write it in."""
    if not _SMALLEST <= abs(value) < _LARGEST:  # false for NaN too
        return
    whole = int(value)
    if whole == value:
        grouped = f"{whole:,}"
        forms = (str(whole), grouped, f"{whole}.0", f"{whole}.00", f"{grouped}.00", *_elsewhere(grouped))
        forms += _elsewhere(f"{grouped}.00")
    else:
        cents, grouped = f"{value:.2f}", f"{value:,.2f}"
        forms = (repr(float(value)), cents, grouped, cents.replace(".", ","), *_elsewhere(grouped))
    yield Atom("number", forms[0], tuple(dict.fromkeys(forms)))


def _elsewhere(grouped: str) -> tuple[str, ...]:
    """A number as it is grouped on the continent: by points, by blanks, and in Switzerland."""
    swapped = grouped.translate(_SWAPPED)
    return swapped, swapped.replace(".", " "), grouped.replace(",", "'")
