"""`secrets`: keys, tokens and passwords, strings the operator planted, and secrets on their way out.

What a provider's token looks like is data (`data/gitleaks.toml`, `data/providers.toml`); see `policies/rule_pack.py`.
"""

import re
from base64 import b64encode
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Final

import ahocorasick_rs
import msgspec
from msgspec import Meta

from policies.guards.interface import BadGuard
from policies.identifiers import masked
from policies.possessive import compiled
from policies.provenance.memo import Memo
from policies.rule_pack import RulePack, Secret, entropy, load
from policies.trail import Scene, utf8
from policies.views import View, fold, unscanned, views
from policies.views.linear import linear
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import StepKind

PRIVATE_KEY: Final = "private-key"
CANARY: Final = "canary"

_CANARY_SCORE: Final = 95
_KEY_SCORE: Final = 95
_LEAVING_SCORE: Final = 90
_VIOLATION: Final = 75

_WINDOW: Final = 1024
"""Bytes within which every secret can be told to be one; see `SecretsGuard.window`."""

_ESCAPED: Final = 6
"""Bytes that one byte of a secret may take where it is written as an escape (`\\u0041`)."""

_LONGEST_KEY: Final = 16 << 10
"""Bytes between the two markers of a PEM block; RSA of 16384 bits takes 12.8 KB."""

_LEAST_KEY: Final = 32
"""Characters of base64 that a PEM block holds; less is a mention, not a key."""

_REDACTED: Final = re.compile(rb"(?:\[(?:redacted:[a-z0-9_-]{1,64}|\*+)\])+")
"""What stands where a secret stood, and is none however it is framed."""

_ROUNDS: Final = 3

_MOST_KNOWN: Final = 1024
"""Secrets of the trail that are looked for in what leaves; the latest win."""

_MOST_PLACES: Final = 64
"""Places in one step where the same secret is reported."""


class SecretsSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="secrets"
):
    """Keys, tokens, private keys and passwords, your own canaries, and secrets of this session on their way out."""

    rules: tuple[str, ...] = ()
    """Rule ids to use, `private-key` among them; empty: all. `docs/GUARDS.md` lists them."""

    without: tuple[str, ...] = ()
    """Rule ids to leave out, such as `generic-api-key` and `password`, which guess from name and entropy."""

    entropy: Annotated[float, Meta(ge=0, le=8)] = 0.0
    """Bits a byte that a value found by its name (scores up to 75) must exceed, on top of what its rule asks."""

    canaries: tuple[Annotated[str, Meta(min_length=6, max_length=512)], ...] = ()
    """Strings that must never be seen: planted tokens, internal names. Found folded and encoded too."""

    leaving: bool = True
    """Whether a secret that stands in an earlier step and again in this one is reported as leaving, score 90."""

    leaving_steps: tuple[StepKind, ...] = ("tool_call",)
    """Kinds of steps that leave."""

    leaving_sources: tuple[StepKind, ...] = ("instructions", "user_input", "tool_result", "retrieval")
    """Kinds of earlier steps whose secrets must not leave."""

    leaving_length: Annotated[int, Meta(ge=4, le=1024)] = 8
    """Bytes; a shorter secret is not followed, since it may stand anywhere."""


class _Known(msgspec.Struct, frozen=True):
    """A secret and where it stands."""

    rule: str
    start: int
    end: int
    value: bytes
    """As the view shows it that it was found in."""

    score: int


class SecretsGuard:
    """Reports where secrets stand: the value alone, not the name it is assigned to."""

    def __init__(self, spec: SecretsSpec) -> None:
        """Raises `BadGuard` for a rule that does not exist, or where nothing is left to look for."""
        shipped = _shipped()
        known = {PRIVATE_KEY, *shipped.ids}
        for name in (*spec.rules, *spec.without):
            if name not in known:
                near = get_close_matches(name, known, n=1)
                raise BadGuard(f"rules: no rule `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""))
        wanted = (set(spec.rules) or known) - set(spec.without)
        if not wanted and not spec.canaries:
            raise BadGuard("rules: every rule is left out and there are no canaries, so nothing would be found")
        self._spec = spec
        self._pack = shipped.only(wanted.__contains__)
        self._keys = PRIVATE_KEY in wanted
        self._canaries = _Canaries(spec.canaries) if spec.canaries else None
        self._known = Memo(self._find)

    @property
    def window(self) -> int | None:
        """Bytes within which every secret can be told to be one, however it goes on.

        Tokens and PEM blocks may be longer. The beginning of one is reported as soon as so many bytes of it are
        there, and a range that ends where the text ends may still grow: whoever streams text on holds back the last
        `window` bytes, and everything from the start of a range that reaches the end of the text so far. A PEM
        block so opens with its first marker and closes with its last, or with the first line that is none of it.
        """
        longest = max((len(utf8(canary)) for canary in self._spec.canaries), default=0)
        return max(_WINDOW, _ESCAPED * longest)

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """One hit for each kind of secret, one for canaries, one for each secret that leaves."""
        text = scene.step.text
        hits = list(_by_rule(self._known(text)))
        if self._canaries is not None:
            hits += self._canaries.hits(views(text))
        if self._spec.leaving and scene.step.kind in self._spec.leaving_steps:
            hits += self._leaving(scene)
        return [*hits, *unscanned(text)]

    def _find(self, text: str) -> tuple[_Known, ...]:
        shown = views(text)
        if len(shown) > 1 and shown[1].kind == "unquoted":
            shown = shown[1:]  # the same text, and more of it can be told apart
        return _outermost([known for view in shown for known in self._in_view(view)])

    def _in_view(self, view: View) -> Iterator[_Known]:
        """The secrets of a view; they are masked and the rest read again, until nothing more comes to light."""
        data = view.data
        for _ in range(_ROUNDS):
            found = self._in_data(data)
            if not found:
                return
            for secret in found:
                value = data[secret.start : secret.end]
                if view.kind in ("raw", "unquoted") or view.fresh(secret.start, secret.end):
                    yield _Known(secret.rule, *view.origin(secret.start, secret.end), value, secret.score)
            data = masked(data, merged([(secret.start, secret.end) for secret in found]))

    def _in_data(self, data: bytes) -> list[Secret]:
        found = self._pack.find(data) + (private_keys(data) if self._keys else [])
        return [secret for secret in found if self._counts(secret, data[secret.start : secret.end])]

    def _counts(self, secret: Secret, value: bytes) -> bool:
        if _REDACTED.fullmatch(value):
            return False
        return secret.score > _VIOLATION or not self._spec.entropy or entropy(value) > self._spec.entropy

    def _leaving(self, scene: Scene) -> list[Hit]:
        """What of the trail's secrets stands in this step."""
        shown = views(scene.step.text)
        return [
            Hit(score=_LEAVING_SCORE, evidence=evidence, note="a secret of an earlier step is leaving")
            for source, known in self._earlier(scene).values()
            if (evidence := tuple(_places(shown, source, known)))
        ]

    def _earlier(self, scene: Scene) -> dict[bytes, tuple[int, _Known]]:
        """The trail's secrets by value, each with the step that held it first."""
        found: dict[bytes, tuple[int, _Known]] = {}
        for at in range(len(scene.trail.parts) - 1, -1, -1):
            part = scene.trail.parts[at]
            if part.kind in self._spec.leaving_sources:
                for known in self._known(part.text):
                    if len(known.value) >= self._spec.leaving_length and (
                        known.value in found or len(found) < _MOST_KNOWN
                    ):
                        found[known.value] = (at, known)
        return found


def _places(shown: Iterable[View], source: int, known: _Known) -> Iterator[Evidence]:
    """Where a secret of an earlier step stands in any view of this one."""
    ranges: dict[tuple[int, int], None] = {}
    for view in shown:
        at = view.data.find(known.value)
        while at >= 0 and len(ranges) < _MOST_PLACES:
            end = at + len(known.value)
            ranges[view.origin(at, end)] = None
            at = view.data.find(known.value, end)
    for start, end in ranges:
        yield Evidence(
            start=start, end=end, label=known.rule, source=source, source_start=known.start, source_end=known.end
        )


def _by_rule(found: Iterable[_Known]) -> Iterator[Hit]:
    ranges: dict[tuple[str, int], list[Evidence]] = {}
    for known in found:
        evidence = Evidence(start=known.start, end=known.end, label=known.rule)
        ranges.setdefault((known.rule, known.score), []).append(evidence)
    for (rule, score), evidence in ranges.items():
        state = "violation" if score >= _VIOLATION else "unsure"
        yield Hit(score=score, state=state, evidence=tuple(evidence), note=f"rule {rule} matched")


def _outermost(found: list[_Known]) -> tuple[_Known, ...]:
    """The secrets that do not lie inside another one of at least their score, in the order of the text."""
    kept: list[_Known] = []
    starts: list[int] = []
    ends: list[int] = []
    for known in sorted(found, key=lambda known: (-known.score, known.start, -known.end)):
        at = bisect_right(starts, known.start)
        if at and ends[at - 1] >= known.end:
            continue
        kept.append(known)
        low, high, upto = known.start, known.end, at
        if at and ends[at - 1] >= low:
            at, low = at - 1, starts[at - 1]
        while upto < len(starts) and starts[upto] <= high:
            high, upto = max(high, ends[upto]), upto + 1
        starts[at:upto], ends[at:upto] = [low], [high]
    return tuple(sorted(kept, key=lambda known: (known.start, known.end)))


@lru_cache(maxsize=1)
def _shipped() -> RulePack:
    """The rules this package ships, read once."""
    data = files("policies.guards") / "data"
    packs = [(data / name).read_text(encoding="utf-8") for name in ("gitleaks.toml", "providers.toml")]
    return RulePack([rule for rule in load(*packs) if rule.id != PRIVATE_KEY])


# PEM, RFC 7468, with the older headers of RFC 1421 and those of OpenPGP.

_MARKED: Final = r"[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)? ?-{4,5}"
_BEGIN: Final = linear(rf"(?i)-{{4,5}} ?BEGIN{_MARKED}")
_END: Final = linear(rf"(?i)-{{4,5}} ?END{_MARKED}")
_BODY: Final = compiled(
    rb"(?:[^A-Za-z0-9+/=]{0,32}"
    rb"(?:[A-Za-z0-9+/=]{16,}+|(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash|MessageID)[ \t]*:[^\n]{0,200}+))*+"
    rb"(?:[^A-Za-z0-9+/=]{0,32}(?:[A-Za-z0-9+/=]{0,15}|-{1,5}[ A-Za-z0-9_-]{0,120})\Z"
    rb"|[^A-Za-z0-9+/=]{0,8}[A-Za-z0-9+/]{1,15}={1,2})?"
)
_LINE: Final = re.compile(rb"[A-Za-z0-9+/=]{16,}")


def private_keys(data: bytes) -> list[Secret]:
    """PEM private keys of a text, from the first marker to the last; to the last line of the body where it is cut."""
    begun = [match.span() for match in _BEGIN.finditer(data)]
    edges = [*[start for start, _ in begun[1:]], len(data)][: len(begun)]
    found: list[Secret] = []
    for (start, body), edge in zip(begun, edges, strict=True):
        limit = min(edge, body + _LONGEST_KEY)
        closed = _END.search(data, body, limit)
        end = closed.span()[1] if closed else _body_end(data, body, limit)
        if sum(map(len, _LINE.findall(data, body, end))) >= _LEAST_KEY:
            found.append(Secret(PRIVATE_KEY, start, end, _KEY_SCORE))
    return found


def _body_end(data: bytes, start: int, limit: int) -> int:
    match = _BODY.match(data, start, limit)
    return match.end() if match else start


class _Canaries:
    """Strings that must not be seen, in the forms they may be seen in."""

    def __init__(self, canaries: Sequence[str]) -> None:
        forms = {form for canary in canaries for form in _forms(utf8(canary))}
        folded = {form for canary in canaries if (form := utf8(fold(canary)))}
        self._plain = ahocorasick_rs.BytesAhoCorasick(sorted(forms))
        self._folded = ahocorasick_rs.BytesAhoCorasick(sorted(forms | folded))

    def hits(self, shown: Sequence[View]) -> list[Hit]:
        """One hit with every place, or none."""
        ranges: set[tuple[int, int]] = set()
        for view in shown:
            automaton = self._folded if view.kind == "folded" else self._plain
            found = automaton.find_matches_as_indexes(view.data, overlapping=True)
            ranges |= {view.origin(start, end) for _, start, end in found}
        if not ranges:
            return []
        evidence = tuple([Evidence(start=start, end=end, label=CANARY) for start, end in merged(ranges)])
        return [Hit(score=_CANARY_SCORE, evidence=evidence, note="a canary stands in the text")]


def _forms(canary: bytes) -> Iterator[bytes]:
    """A string as it is, in hex, and in base64 at each of the three places of a group of three bytes."""
    yield canary
    yield canary.hex().encode()
    yield canary.hex().upper().encode()
    for shift in range(3):
        encoded = b64encode(b"\x00" * shift + canary).rstrip(b"=")
        inner = encoded[(0, 2, 3)[shift] : len(encoded) - ((len(canary) + shift) % 3 > 0)]
        yield inner
        yield inner.translate(bytes.maketrans(b"+/", b"-_"))


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same bytes as disjoint ranges."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out
