"""Rule packs: secret patterns in the rule format of gitleaks, matched in time linear in the text.

A rule is tried only where one of its keywords stands in the text. What it matches is a secret if its entropy is above
the rule's and no allowlist names it. Format: https://github.com/gitleaks/gitleaks, section Configuration; of it
are read `id`, `regex`, `secretGroup`, `entropy`, `keywords` and `allowlists` with `regexes`, `regexTarget`,
`stopwords` and `condition`. A step has no path and no commit, so what depends on one is left out: a rule with `path`,
an allowlist of paths. `score` is an addition of ours.
"""

import math
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

import ahocorasick_rs
import msgspec

from policies.views.linear import Linear, linear

_ASSIGNED: Final = ("(?i)[\\w.-]{0,50}?", "[\\w.-]{0,50}?")
"""How the rules begin that take any value of the right shape for a secret because of the name before it."""

_BY_FORMAT: Final = 90
_BY_NAME: Final = 75
_BY_GUESS: Final = 60

_LONGEST_LINE: Final = 1024
"""Bytes on either side of a match that an allowlist for lines is shown."""

_SLICE: Final = 16 << 10
_LONGEST_KEYWORD: Final = 128

MOST: Final = 4096
"""Secrets of one rule in one text."""


class Secret(msgspec.Struct, frozen=True):
    """One secret in a text."""

    rule: str
    start: int
    end: int
    """Bytes of the text."""

    score: int


class _Allowlist(msgspec.Struct, frozen=True):
    """What is no secret after all."""

    target: Literal["secret", "match", "line"]
    regex: Linear | None
    """Any of its regexes."""

    stopwords: Callable[[bytes], bool] | None
    every: bool
    """True: regexes and stop words must both agree."""

    def allows(self, targets: Mapping[str, bytes]) -> bool:
        """Whether this match is allowed."""
        named = self.regex is not None and self.regex.search(targets[self.target]) is not None
        if self.stopwords is None:
            return named
        stopped = self.stopwords(targets["secret"])
        return named and stopped if self.every and self.regex is not None else named or stopped


class Rule(msgspec.Struct, frozen=True):
    """One kind of secret."""

    id: str
    pattern: Linear
    group: int
    """Which group is the secret; 0: the first that took part, or all of it."""

    entropy: float
    """Shannon entropy, bits a byte, that a secret exceeds; 0 where none is asked."""

    keywords: tuple[bytes, ...]
    """Lower case; the rule is tried only where one of them stands. None: always."""

    allowlists: tuple[_Allowlist, ...]
    score: int

    def find(self, data: bytes) -> Iterator[Secret]:
        """Its secrets in a text, from the left; the last of `MOST` reaches to the end of the text."""
        left = MOST
        plain: dict[bytes, bool] = {}
        """Whether a secret has too little entropy: a hostile text repeats one."""
        for match in self.pattern.finditer(data):
            start, end = self._secret(match.span, self.pattern.groups)
            secret = data[start:end]
            if not secret:
                continue
            if self.entropy:
                if secret not in plain:
                    plain[secret] = entropy(secret) <= self.entropy
                if plain[secret]:
                    continue
            if self.allowlists and self._allowed(data, match.span(), secret):
                continue
            left -= 1
            yield Secret(self.id, start, end if left else len(data), self.score)
            if not left:
                return

    def _secret(self, span: Callable[[int], tuple[int, int]], groups: int) -> tuple[int, int]:
        if self.group:
            return span(self.group)
        taken = (part for group in range(1, groups + 1) if (part := span(group))[1] > part[0])
        return next(taken, span(0))

    def _allowed(self, data: bytes, span: tuple[int, int], secret: bytes) -> bool:
        start, end = span
        before, after = data[max(start - _LONGEST_LINE, 0) : start], data[end : end + _LONGEST_LINE]
        line = before.rpartition(b"\n")[2] + data[start:end] + after.partition(b"\n")[0]
        targets = {"secret": secret, "match": data[start:end], "line": line}
        return any(allowlist.allows(targets) for allowlist in self.allowlists)


class RulePack:
    """Many rules, tried together."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._always = tuple([at for at, rule in enumerate(rules) if not rule.keywords])
        keywords = sorted({keyword for rule in rules for keyword in rule.keywords})
        self._by_keyword = [tuple([at for at, rule in enumerate(rules) if key in rule.keywords]) for key in keywords]
        self._keywords = ahocorasick_rs.BytesAhoCorasick(keywords)

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the rules."""
        return tuple([rule.id for rule in self._rules])

    def only(self, keep: Callable[[str], bool]) -> "RulePack":
        """The pack of the rules whose ids are kept."""
        return RulePack([rule for rule in self._rules if keep(rule.id)])

    def find(self, data: bytes) -> list[Secret]:
        """Every secret in a text of UTF-8; one range may be reported by several rules."""
        present = self._present(data.lower())
        tried = {at for keyword in present for at in self._by_keyword[keyword]}.union(self._always)
        return [secret for at in sorted(tried) for secret in self._rules[at].find(data)]

    def _present(self, lowered: bytes) -> set[int]:
        """The keywords that stand in a text, looked for in slices: a hostile text is made of little else."""
        found: set[int] = set()
        for start in range(0, len(lowered), _SLICE):
            piece = lowered[start : start + _SLICE + _LONGEST_KEYWORD]
            found.update([match[0] for match in self._keywords.find_matches_as_indexes(piece, overlapping=True)])
        return found


def load(*packs: str) -> list[Rule]:
    """The rules of packs given as TOML; a rule replaces that of the same id in a pack before it.

    The `[allowlist]` of a pack holds for its own rules and those of packs behind it.
    """
    rules: dict[str, Rule] = {}
    shared: list[_Allowlist] = []
    for pack in packs:
        parsed = tomllib.loads(pack)
        if "allowlist" in parsed:
            shared.append(_allowlist(parsed["allowlist"]))
        for raw in parsed["rules"]:
            if "regex" in raw and "path" not in raw:
                rules[raw["id"]] = _rule(raw, shared)
    return list(rules.values())


def _rule(raw: Mapping[str, Any], shared: Iterable[_Allowlist]) -> Rule:
    usable = [allowlist for allowlist in raw.get("allowlists", ()) if _usable(allowlist)]
    return Rule(
        id=raw["id"],
        pattern=linear(raw["regex"]),
        group=raw.get("secretGroup", 0),
        entropy=raw.get("entropy", 0.0),
        keywords=tuple([keyword.lower().encode() for keyword in raw.get("keywords", ())]),
        allowlists=(*[_allowlist(allowlist) for allowlist in usable], *shared),
        score=raw.get("score", _score(raw)),
    )


def _score(raw: Mapping[str, Any]) -> int:
    if raw["id"].startswith("generic"):
        return _BY_GUESS
    return _BY_NAME if raw["regex"].startswith(_ASSIGNED) else _BY_FORMAT


def _usable(raw: Mapping[str, Any]) -> bool:
    """Whether an allowlist can hold without a path or a commit."""
    known = "regexes" in raw or "stopwords" in raw
    return known and not (raw.get("condition") == "AND" and ("paths" in raw or "commits" in raw))


def _allowlist(raw: Mapping[str, Any]) -> _Allowlist:
    return _Allowlist(
        target=raw.get("regexTarget", "secret"),
        regex=_any_of(raw["regexes"]) if raw.get("regexes") else None,
        stopwords=_stopwords(raw["stopwords"]) if "stopwords" in raw else None,
        every=raw.get("condition") == "AND",
    )


def _any_of(regexes: Sequence[str]) -> Linear:
    """One pattern that matches where any of these does: a hostile text is held against it thousands of times."""
    return linear("|".join(f"(?:{regex})" for regex in regexes))


def _stopwords(words: Sequence[str]) -> Callable[[bytes], bool]:
    """Whether a secret contains one of these words, letters in any case."""
    automaton = ahocorasick_rs.BytesAhoCorasick([word.lower().encode() for word in words])
    return lambda secret: bool(automaton.find_matches_as_indexes(secret.lower()))


def entropy(data: bytes) -> float:
    """Shannon entropy of the bytes, bits a byte."""
    size = len(data)
    return -sum(count / size * math.log2(count / size) for count in Counter(data).values())
