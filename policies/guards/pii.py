"""`pii`: identifiers of people and accounts that can be validated: by checksum, by range, by shape.

What each type must satisfy is told in `policies/identifiers.py`. Names and postal addresses have no such shape;
finding them takes a model, which is what the `validator` and `external` guards are for.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from policies.guards.interface import BadGuard
from policies.identifiers import IdentifierType, find
from policies.trail import Scene, utf8
from policies.views import View, unscanned, views
from policies.vocabulary.findings import Evidence, Hit

_WINDOW: Final = 384
"""Bytes: an e-mail address has at most 64 before the `@` and 255 behind it, RFC 5321 section 4.5.3.1."""

_VIOLATION: Final = 75
_ALL: Final[tuple[IdentifierType, ...]] = ("email", "iban", "card", "ssn", "ip", "phone")


class PiiSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="pii"):
    """E-mail addresses, bank accounts, payment cards, US social security numbers, IP addresses, telephone numbers."""

    types: Annotated[tuple[IdentifierType, ...], Meta(min_length=1)] = _ALL
    """What to look for. `email iban card` score 90, `ssn` 90 (grouped by blanks 50), `ip` 75, `phone` 75 with a country
    code, else 50."""

    allow_domains: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()
    """E-mail addresses in these domains and below them are not reported: your own, say."""

    allow: tuple[Annotated[str, Meta(min_length=1, max_length=320)], ...] = ()
    """Values that are not reported, however they are grouped: a support address, your own account."""

    at_least: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """Nothing is reported of a step with fewer different values than this."""


class PiiGuard:
    """Reports where identifiers stand, one hit for each type and score."""

    def __init__(self, spec: PiiSpec) -> None:
        """Raises `BadGuard` for a domain that is written as an address or a pattern."""
        bad = next((domain for domain in spec.allow_domains if set("@*/ ") & set(domain)), None)
        if bad is not None:
            raise BadGuard(
                f"allow_domains: `{bad}` is no domain; write it as `example.com`, what lies below is included"
            )
        self._types = frozenset(spec.types)
        self._domains = tuple([utf8(domain.lower().strip(".")) for domain in spec.allow_domains])
        self._allow = frozenset(_plain(utf8(value)) for value in spec.allow)
        self._at_least = spec.at_least

    @property
    def window(self) -> int | None:
        """Bytes: the longest e-mail address, and what tells it from its surroundings."""
        return _WINDOW

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """One hit for each type found, with every place."""
        text = scene.step.text
        shown = views(text)
        if len(shown) > 1 and shown[1].kind == "unquoted":
            shown = shown[1:]  # the same text, and more of it can be told apart
        places: dict[tuple[IdentifierType, int], dict[tuple[int, int], None]] = {}
        values: set[bytes] = set()
        for view in shown:
            for kind, score, start, end in self._in_view(view):
                places.setdefault((kind, score), {})[view.origin(start, end)] = None
                values.add(_plain(view.data[start:end]))
        if len(values) < self._at_least:
            return unscanned(text)
        return [*[_hit(*what, sorted(ranges)) for what, ranges in places.items()], *unscanned(text)]

    def _in_view(self, view: View) -> Iterator[tuple[IdentifierType, int, int, int]]:
        excerpted = view.depth > 0 or view.kind == "folded"
        for kind, (start, end, score) in find(view.data, self._types):
            value = view.data[start:end]
            if (excerpted and not view.fresh(start, end)) or _plain(value) in self._allow:
                continue
            if kind == "email" and self._domains and self._own(value):
                continue
            yield kind, score, start, end

    def _own(self, address: bytes) -> bool:
        domain = address.rpartition(b"@")[2].lower()
        return any(domain == own or domain.endswith(b"." + own) for own in self._domains)


def _plain(value: bytes) -> bytes:
    """A value without what groups it."""
    return value.translate(None, b" -.()/").lower() if b"@" not in value else value.lower()


def _hit(kind: IdentifierType, score: int, ranges: Sequence[tuple[int, int]]) -> Hit:
    evidence = tuple([Evidence(start=start, end=end, label=kind) for start, end in ranges])
    state = "violation" if score >= _VIOLATION else "unsure"
    return Hit(score=score, state=state, evidence=evidence, note=f"{kind} found")
