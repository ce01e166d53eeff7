"""`sequence`: what a call means after the calls before it: how many, how fast, in circles, in which order.

One guard holds any of the rules; each that is written down is asked by itself.

    { kind = "sequence", count = { tools = { tags = ["money"] }, max = 3 } }
    { kind = "sequence", loop = { repeats = 4 }, rate = { max = 30, seconds = 60 } }
    { kind = "sequence", without = { tools = { names = ["refund"] }, earlier = { names = ["get_order"] } } }
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from policies.guards.interface import BadGuard
from policies.tools import Tools
from policies.trail import Scene, Trail, answered, utf8
from policies.vocabulary.findings import Evidence, Hit
from policies.vocabulary.steps import Part

_VIOLATION: Final = 75
_LONGEST_CYCLE: Final = 4
"""Different calls that come around again."""

_REMEMBERED: Final = 16 << 10
_NANOSECONDS: Final = 1_000_000_000
_SORTED: Final = msgspec.json.Encoder(order="sorted")


class CountRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many calls in a session."""

    max: Annotated[int, Meta(ge=0)]
    tools: Tools = Tools()
    """The tools that count; empty: all of them, together."""


class RateRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most so many calls in any span of so many seconds."""

    max: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(gt=0)]
    tools: Tools = Tools()
    """The tools that count; empty: all of them, together."""


class LoopRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same call, or the same round of up to four calls, over and over."""

    repeats: Annotated[int, Meta(ge=2, le=100)] = 3
    """Times that are too many."""

    within: Annotated[int, Meta(ge=2, le=1000)] = 12
    """Calls, the judged one included, among which a single call must come so often. A round must come back to back."""

    changing: bool = False
    """True: a loop even where the results differ from time to time, as they do for who waits for something."""


class WithoutRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some tools are only called once others were."""

    tools: Tools
    """What must not be called first."""

    earlier: Tools
    """What must have been called, at any time before."""


class AfterRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some tools are not called any more once others were."""

    tools: Tools
    """What must not be called then."""

    earlier: Tools
    """What ends it."""


class TwoRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of untrusted input, private data and a way out, a session holds at most two.

    The "agents rule of two": https://ai.meta.com/blog/practical-ai-agent-security/
    """

    untrusted: Tools = Tools()
    """Tools whose results anybody may have written, besides those tagged both `read` and `outbound`, and all
    retrievals."""

    private: Tools = Tools(tags=("auth",))
    """Tools that read what is private."""

    outbound: Tools = Tools(tags=("outbound",))
    """Tools by which something leaves."""


class SequenceSpec(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="sequence"
):
    """Too many calls, too fast, in circles, or in an order that must not be."""

    count: CountRule | None = None
    rate: RateRule | None = None
    loop: LoopRule | None = None
    without: WithoutRule | None = None
    after: AfterRule | None = None
    rule_of_two: TwoRule | None = None


class SequenceGuard:
    """Looks at a call and at the calls and results before it."""

    def __init__(self, spec: SequenceSpec) -> None:
        """Raises `BadGuard` for a spec without rules, and for a rule about an order that names no tools."""
        self._spec = spec
        if spec == SequenceSpec():
            raise BadGuard("give at least one of count, rate, loop, without, after, rule_of_two")
        for name, rule in (("without", spec.without), ("after", spec.after)):
            if rule is not None and not (rule.tools and rule.earlier):
                raise BadGuard(f"{name}: both `tools` and `earlier` must name tools or tags")
        if spec.rule_of_two is not None and not (spec.rule_of_two.private and spec.rule_of_two.outbound):
            raise BadGuard("rule_of_two: `private` and `outbound` must name tools or tags")
        if spec.loop is not None and spec.loop.within < spec.loop.repeats:
            raise BadGuard("loop: `within` must not be smaller than `repeats`")

    @property
    def window(self) -> int | None:
        """None: a call is judged whole."""
        return None

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """Of `tool_call` steps; nothing of other kinds."""
        if scene.step.kind != "tool_call":
            return ()
        spec, past = self._spec, _Past(scene)
        found = (
            _count(spec.count, past) if spec.count else None,
            _rate(spec.rate, past) if spec.rate else None,
            _loop(spec.loop, past) if spec.loop else None,
            _without(spec.without, past) if spec.without else None,
            _after(spec.after, past) if spec.after else None,
            _two(spec.rule_of_two, past) if spec.rule_of_two else None,
        )
        return [hit for hit in found if hit is not None]


class _Past:
    """A call, and the calls before it with their results."""

    def __init__(self, scene: Scene) -> None:
        self.step = scene.step
        self.trail = scene.trail
        self.calls = [at for at, part in enumerate(scene.trail.parts) if part.kind == "tool_call"]

    def covered(self, tools: Tools, part: Part) -> bool:
        """Whether a call is one of these tools'; all are where none is named."""
        return not tools or tools.cover(part.tool, self.trail.tags_of(part.tool))

    def called(self, tools: Tools) -> Iterator[int]:
        """Places of the earlier calls of these tools, oldest first."""
        parts = self.trail.parts
        return (at for at in self.calls if self.covered(tools, parts[at]))

    def hit(self, score: int, label: str, note: str, *sources: int) -> Hit:
        """A hit on the whole call, with the earlier steps that lead to it."""
        end = len(utf8(self.step.text))
        places = [Evidence(end=end, label=label, source=source) for source in sources] or [
            Evidence(end=end, label=label)
        ]
        state = "violation" if score >= _VIOLATION else "unsure"
        return Hit(score=score, state=state, evidence=tuple(places), note=note)

    def results(self) -> Mapping[int, str]:
        """Places of earlier calls to the text of their results, as far as they were seen."""
        calls = answered(self.trail.parts)
        found: dict[int, str] = {}
        open_calls: list[int] = []
        for at, part in enumerate(self.trail.parts):
            if part.kind == "tool_call":
                open_calls.append(at)
            elif part.kind == "tool_result":
                call = calls.get(at, open_calls[0] if open_calls else None)
                if call is not None:
                    found[call] = part.text
                    open_calls = [each for each in open_calls if each != call][-64:]
        return found


def _count(rule: CountRule, past: _Past) -> Hit | None:
    if not past.covered(rule.tools, past.step):
        return None
    earlier = sum(1 for _ in past.called(rule.tools))
    if earlier < rule.max:
        return None
    score = 90 if earlier >= 2 * rule.max else 75
    return past.hit(score, "too_many_calls", f"call {earlier + 1} where {rule.max} are allowed in a session")


def _rate(rule: RateRule, past: _Past) -> Hit | None:
    if not past.covered(rule.tools, past.step):
        return None
    earlier = list(past.called(rule.tools))
    if len(earlier) < rule.max:
        return None
    times = past.trail.times
    now = _now(past)
    if now is None or len(times) < len(past.trail.parts):
        return past.hit(50, "rate_unknown", "enough calls to be too fast, and nobody noted when they were made")
    since = now - int(rule.seconds * _NANOSECONDS)
    recent = sum(1 for at in earlier if since < times[at] <= now)
    if recent < rule.max:
        return None
    return past.hit(75, "too_fast", f"call {recent + 1} where {rule.max} are allowed in {rule.seconds:g} seconds")


def _now(past: _Past) -> int | None:
    """When the judged call was made: its own time, or the last that was noted."""
    times, parts = past.trail.times, past.trail.parts
    if len(times) > len(parts):
        return times[-1]
    return past.step.ended_ns or past.step.started_ns or (times[-1] if times else None)


def _loop(rule: LoopRule, past: _Past) -> Hit | None:
    parts = past.trail.parts
    recent = past.calls[-max(rule.within - 1, _LONGEST_CYCLE * rule.repeats) :]
    keys = [_key(parts[at]) for at in recent]
    own = _key(past.step)
    if own not in keys:
        return None
    results = past.results()
    same = [at for at, key in zip(recent[-(rule.within - 1) :], keys[-(rule.within - 1) :], strict=True) if key == own]
    times = _alike(same, results, changing=rule.changing) + 1
    if times >= rule.repeats:
        score = 90 if times >= 2 * rule.repeats else 75
        return past.hit(score, "repeated_call", f"the same call {times} times in {rule.within} calls", same[-1])
    for length in range(2, _LONGEST_CYCLE + 1):
        if _comes_around([*keys, own], recent, results, length, rule):
            note = f"the same {length} calls {rule.repeats} times in a row"
            return past.hit(75, "repeated_round", note, recent[-length])
    return None


def _alike(same: Sequence[int], results: Mapping[int, str], *, changing: bool) -> int:
    """How many of these calls, counted back from the newest, brought the same result; unseen results count."""
    if changing or not same:
        return len(same)
    newest = next((results[at] for at in reversed(same) if at in results), None)
    count = 0
    for at in reversed(same):
        if newest is not None and results.get(at, newest) != newest:
            break
        count += 1
    return count


def _comes_around(
    keys: Sequence[tuple[str, bytes]], places: Sequence[int], results: Mapping[int, str], length: int, rule: LoopRule
) -> bool:
    """Whether the newest calls are one round of `length` calls, `repeats` times over."""
    needed = length * rule.repeats
    if len(keys) < needed:
        return False
    window = keys[-needed:]
    if any(window[at] != window[at % length] for at in range(needed)):
        return False
    if rule.changing:
        return True
    # The judged call, the last of the window, has no result yet.
    seen = [results.get(at) for at in places[len(places) - needed + 1 :]]
    known = [{each for each in seen[offset::length] if each is not None} for offset in range(length)]
    return all(len(each) <= 1 for each in known)


def _without(rule: WithoutRule, past: _Past) -> Hit | None:
    if not past.covered(rule.tools, past.step) or any(True for _ in past.called(rule.earlier)):
        return None
    if past.trail.partial:
        return past.hit(50, "order_unknown", "what must come before was not seen, and the beginning is missing")
    return past.hit(75, "called_first", "a tool is called before the one that must come first")


def _after(rule: AfterRule, past: _Past) -> Hit | None:
    if not past.covered(rule.tools, past.step):
        return None
    first = next(past.called(rule.earlier), None)
    if first is None:
        return None
    return past.hit(75, "called_after", "a tool is called after another that ends its use", first)


def _two(rule: TwoRule, past: _Past) -> Hit | None:
    if not past.covered(rule.outbound, past.step):
        return None
    private = next(past.called(rule.private), None)
    if private is None:
        return None
    untrusted = _untrusted(rule, past.trail)
    if untrusted is None:
        return None
    note = "untrusted input, private data and a way out in one session"
    return past.hit(75, "rule_of_two", note, untrusted, private)


def _untrusted(rule: TwoRule, trail: Trail) -> int | None:
    """The first step that anybody may have written."""
    calls = answered(trail.parts)
    last: str | None = None
    for at, part in enumerate(trail.parts):
        if part.kind == "tool_call":
            last = part.tool
        elif part.kind == "retrieval":
            return at
        elif part.kind == "tool_result":
            tool = part.tool or (trail.parts[calls[at]].tool if at in calls else last)
            tags = trail.tags_of(tool)
            if {"read", "outbound"} <= tags or rule.untrusted.cover(tool, tags):
                return at
    return None


def _key(part: Part) -> tuple[str, bytes]:
    """What makes two calls the same: the tool, and the arguments as canonical JSON."""
    text = part.text
    return part.tool or "", _remembered(text) if len(text) <= _REMEMBERED else _canonical(text)


def _canonical(text: str) -> bytes:
    try:
        return _SORTED.encode(msgspec.json.decode(text)) if text.strip() else b"{}"
    except (msgspec.DecodeError, ValueError, RecursionError):
        return utf8(text)


_remembered = lru_cache(maxsize=1024)(_canonical)
