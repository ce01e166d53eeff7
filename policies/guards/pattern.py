"""`pattern`: the operator's own regular expressions, run by RE2 in time linear in the text.

Syntax: https://github.com/google/re2/wiki/Syntax (no look-around, no back-references). Python's `re` never sees
these patterns.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal, Protocol, TypeAlias, cast

import msgspec
import re2  # pyright: ignore[reportMissingTypeStubs] - ships no types; `_Regex` and `_Set` say what is used
from msgspec import Meta

from policies.guards.interface import UNSCANNED, BadGuard
from policies.trail import Scene, utf8
from policies.views import unscanned, views
from policies.vocabulary.findings import Evidence, FindingState, Hit, Score

PatternFlag: TypeAlias = Literal["ignore_case", "dot_all", "multi_line"]

MOST_RANGES: Final = 256
"""Ranges of one rule on one step. The last one reaches to the end of what is scanned."""

MOST_TRIED: Final = 4096
"""Matches of one rule that are held against its `allow`; what follows them counts as unscanned."""

LARGEST_PROGRAM: Final = 4096
"""RE2 instructions of one pattern: bounds the work per byte where RE2 runs out of memory for its automaton."""

_SLICE: Final = 32 << 10
"""Bytes one search may run over: a pattern that looks far ahead of every match stays linear."""

_SET_MEMORY: Final = 32 << 20
"""Bytes RE2 may use for the automaton of all rules together; a set that needs more is run as two halves."""

_VIOLATION: Final = 75


class PatternRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One expression and what a match of it means."""

    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    """Names the rule in findings, and labels what it matched: `[redacted:ID]`."""

    pattern: Annotated[str, Meta(min_length=1, max_length=4096)]
    """RE2 expression. It must not match the empty text."""

    keywords: tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...] = ()
    """The rule is tried only where one of these stands in the text, letters A-Z in any case. Empty: always tried."""

    allow: tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...] = ()
    """RE2 expressions; a match in which one of them is found is no match."""

    score: Score = 75
    """What a match scores: 25 unusual, 50 needs a second look, 75 likely a violation, 90 near-certain."""

    ignore_case: bool = False
    """Letters match in either case; the same as beginning the pattern with `(?i)`."""


class PatternSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="pattern"
):
    """Texts that match an expression of your own."""

    rules: Annotated[tuple[PatternRule, ...], Meta(min_length=1, max_length=256)]
    """What to look for; each rule reports by itself."""

    flags: tuple[PatternFlag, ...] = ()
    """For all rules: `ignore_case`, `dot_all` (`.` matches line ends too), `multi_line` (`^` and `$` at every line)."""

    max_match: Annotated[int, Meta(ge=1, le=16384)] = 256
    """Bytes. The longest match that is promised to be seen in text that streams by: so much is held back."""


class _Match(Protocol):
    """What is used of a match."""

    def span(self) -> tuple[int, int]: ...


class _Regex(Protocol):
    """What is used of a compiled expression."""

    @property
    def programsize(self) -> int: ...

    def search(self, text: bytes, pos: int | None = None, endpos: int | None = None) -> _Match | None: ...


class _Set(Protocol):
    """What is used of a set of expressions."""

    def Add(self, pattern: bytes) -> int: ...  # noqa: N802 - RE2's own name

    def Compile(self) -> None: ...  # noqa: N802 - RE2's own name

    def Match(self, text: bytes) -> list[int] | None: ...  # noqa: N802 - RE2's own name


class _Re2(Protocol):
    """What is used of the module."""

    error: type[Exception]
    Set: "_SetMaker"

    def Options(self) -> "_Options": ...  # noqa: N802 - RE2's own name

    def compile(self, pattern: bytes, options: "_Options") -> _Regex: ...


class _SetMaker(Protocol):
    """How sets are made."""

    def SearchSet(self, options: "_Options") -> _Set: ...  # noqa: N802 - RE2's own name


class _Options(Protocol):
    """What is set of RE2's options."""

    log_errors: bool
    never_capture: bool
    max_mem: int


_RE2 = cast("_Re2", re2)


class PatternGuard:
    """Reports, for each rule, the ranges it matches."""

    def __init__(self, spec: PatternSpec) -> None:
        """Compiles every expression. Raises `BadGuard` for one that RE2 refuses, or two rules with one id."""
        self._rules = spec.rules
        repeated = next((rule.id for at, rule in enumerate(spec.rules) if rule.id in _ids(spec.rules[:at])), None)
        if repeated is not None:
            raise BadGuard(f"rules: two rules have the id `{repeated}`")
        sources = [_source(rule, spec.flags) for rule in spec.rules]
        self._regexes = [_regex(f"rule `{rule.id}`: pattern", at) for rule, at in zip(spec.rules, sources, strict=True)]
        self._allowed = [
            tuple(_regex(f"rule `{rule.id}`: allow", utf8(each)) for each in rule.allow) for rule in spec.rules
        ]
        self._keywords = _Keywords({at: rule.keywords for at, rule in enumerate(spec.rules)})
        self._sets = tuple(_sets(dict(enumerate(sources))))
        self._max_match = spec.max_match

    @property
    def window(self) -> int | None:
        """Bytes: the setting `max_match`. A range that ends where the text so far ends may still grow."""
        return self._max_match

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """One hit for each rule that matches, with all its ranges, decoded readings of the text included."""
        text = scene.step.text
        found: dict[int, dict[tuple[int, int], None]] = {}
        rest: list[Evidence] = []
        for view in views(text):
            for at in self._candidates(view.data):
                spans, seen = self._matches(at, view.data)
                ranges = [view.origin(*span) for span in spans if view.kind == "raw" or view.fresh(*span)]
                found.setdefault(at, {}).update(dict.fromkeys(ranges))
                if seen < len(view.data):
                    start, end = view.origin(seen, len(view.data))
                    rest.append(Evidence(start=start, end=end, label=UNSCANNED))
        hits = [self._hit(at, ranges) for at, ranges in sorted(found.items()) if ranges]
        if rest:
            hits.append(Hit(score=50, state="unsure", evidence=tuple(rest), note="too many matches to tell apart"))
        return [*hits, *unscanned(text)]

    def _hit(self, at: int, ranges: Iterable[tuple[int, int]]) -> Hit:
        rule = self._rules[at]
        state: FindingState = "violation" if rule.score >= _VIOLATION else "unsure"
        evidence = tuple([Evidence(start=start, end=end, label=rule.id) for start, end in sorted(ranges)])
        return Hit(score=rule.score, state=state, evidence=evidence, note=f"rule {rule.id} matched")

    def _candidates(self, data: bytes) -> list[int]:
        """The rules that match somewhere, before `allow` is asked."""
        tried = self._keywords.open(data)
        if not tried:
            return []
        matched = {at for part in self._sets for at in part.matching(data)}
        return sorted(matched & tried)

    def _matches(self, at: int, data: bytes) -> tuple[list[tuple[int, int]], int]:
        """What rule number `at` matches, and how far the text was looked at."""
        allowed = self._allowed[at]
        found: list[tuple[int, int]] = []
        for tried, (start, end) in enumerate(_spans(self._regexes[at], data, self._max_match)):
            if tried == MOST_TRIED:
                return found, start
            if any(regex.search(data[start:end]) for regex in allowed):
                continue
            if len(found) == MOST_RANGES - 1:
                found.append((start, len(data)))
                break
            found.append((start, end))
        return found, len(data)


def _ids(rules: Sequence[PatternRule]) -> set[str]:
    return {rule.id for rule in rules}


def _source(rule: PatternRule, flags: Sequence[PatternFlag]) -> bytes:
    """The expression with its flags written in front, as RE2 takes them in sets and alone alike."""
    letters = {"ignore_case": "i", "dot_all": "s", "multi_line": "m"}
    given = "".join(sorted({letters[flag] for flag in (*flags, *(["ignore_case"] if rule.ignore_case else []))}))
    return utf8(f"(?{given})(?:{rule.pattern})" if given else rule.pattern)


def _options(memory: int | None = None) -> _Options:
    options = _RE2.Options()
    options.log_errors = False
    options.never_capture = True
    if memory is not None:
        options.max_mem = memory
    return options


def _regex(where: str, source: bytes) -> _Regex:
    try:
        regex = _RE2.compile(source, options=_options())
    except _RE2.error as error:
        said = error.args[0] if error.args else "refused"
        reason = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise BadGuard(f"{where} is not an RE2 expression: {reason}") from None
    if regex.programsize > LARGEST_PROGRAM:
        raise BadGuard(f"{where} is too large for RE2 to run fast: lower its counted repetitions")
    if regex.search(b"") is not None:
        raise BadGuard(f"{where} matches the empty text, so it would match everywhere")
    return regex


def _spans(regex: _Regex, data: bytes, longest: int) -> Iterator[tuple[int, int]]:
    """Matches that do not overlap, leftmost first, each search bounded so that the whole is linear.

    One of up to `longest` bytes is found as if the text were searched in one go; a longer one may come in pieces.
    """
    at = 0
    while at < len(data):
        edge = min(len(data), at + _SLICE)
        # A match that begins behind `last` may be cut by the edge, or stand for an earlier one that was.
        last = edge if edge == len(data) else edge - longest
        match = regex.search(data, at, edge)
        start, end = match.span() if match else (edge + 1, edge)
        if start <= last:
            if end > start:
                yield start, end
            at = max(end, at + 1)
        elif edge == len(data):
            return
        else:
            at = last


class _Keywords:
    """Which rules are tried on a text, by the words that stand in it."""

    def __init__(self, words: Mapping[int, Sequence[str]]) -> None:
        self._always = frozenset(at for at, each in words.items() if not each)
        rules: dict[bytes, set[int]] = {}
        for at, each in words.items():
            for word in each:
                rules.setdefault(utf8(word).lower(), set()).add(at)
        self._rules = tuple(rules.values())
        self._sets = tuple(_sets({at: _literal(word) for at, word in enumerate(rules)})) if rules else ()

    def open(self, data: bytes) -> set[int]:
        """The rules with no keyword, and those one of whose keywords stands in `data`."""
        lowered = data.lower()
        found = [self._rules[word] for part in self._sets for word in part.matching(lowered)]
        return set(self._always).union(*found)


def _literal(word: bytes) -> bytes:
    """An expression that matches these bytes and nothing else."""
    return b"".join([bytes([byte]) if byte >= _ASCII or chr(byte).isalnum() else b"\\x%02x" % byte for byte in word])


_ASCII: Final = 0x80


class _Part:
    """Some of the rules, matched together."""

    def __init__(self, compiled: _Set, places: Sequence[int]) -> None:
        self._compiled = compiled
        self._places = places

    def matching(self, data: bytes) -> list[int]:
        """Numbers of the rules that match somewhere in `data`."""
        return [self._places[index] for index in self._compiled.Match(data) or ()]


class _Alone:
    """One rule too large for a set."""

    def __init__(self, place: int) -> None:
        self._place = place

    def matching(self, _: bytes) -> list[int]:
        """Always the rule: its own search decides."""
        return [self._place]


def _sets(sources: Mapping[int, bytes]) -> Iterator[_Part | _Alone]:
    """The rules in as few sets as RE2's memory allows."""
    places = list(sources)
    if len(places) == 1:
        yield _Alone(places[0])
        return
    compiled = _RE2.Set.SearchSet(_options(_SET_MEMORY))
    try:
        for place in places:
            compiled.Add(sources[place])
        compiled.Compile()
    except _RE2.error:
        half = len(places) // 2
        yield from _sets({place: sources[place] for place in places[:half]})
        yield from _sets({place: sources[place] for place in places[half:]})
        return
    yield _Part(compiled, places)
