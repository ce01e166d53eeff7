"""What is promised to every client, as checks of one run: twice the same scenes, without and through the gateway."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.e2e.house import House
from tests.e2e.programs import Outcomes, Program
from tests.e2e.stage import SCENE
from tests.e2e.talk import Pair, differences, first_difference, pairs

UNFINISHED = frozenset(("truncated", "chat_truncated", "responses_truncated", "broken_off"))
"""Scenes in which the provider never finishes its stream: here alone the gateway adds something."""


@dataclass(frozen=True)
class Run:
    """What a client got each way, and what was said when the gateway was between."""

    direct: Outcomes
    through: Outcomes
    asked_directly: Counter[str]
    """Request lines the provider saw without the gateway, with how often."""
    pairs: Sequence[Pair]


def run(house: House, program: Program, *scenes: str) -> Run:
    """Play all scenes of this program, or these, both ways at once."""
    with house.direct() as place, house.through() as (other, recorded), ThreadPoolExecutor(2) as pool:
        before = len(house.alone.requests)
        playing = [pool.submit(program.play, where, *scenes) for where in (place, other)]
        direct, through = (each.result() for each in playing)
    asked = Counter(f"{each.method} {each.target}" for each in house.alone.requests[before:])
    return Run(direct, through, asked, pairs(recorded.front, recorded.back))


def scene_of(pair: Pair) -> str:
    """The scene whose request this is; empty for requests that carry none."""
    side = pair.front or pair.back
    found = SCENE.search(side.request.body) if side else None
    return found[1].decode() if found else ""


def check_results(run: Run) -> None:
    """The client's result is the one it gets without the gateway, and most scenes do return one."""
    assert run.direct.keys() == run.through.keys()
    compared = [scene for scene in run.direct if scene not in UNFINISHED]
    changed = [text for scene in compared for text in _changed(scene, run.direct[scene], run.through[scene])]
    assert not changed, "\n".join(changed)
    assert sum("returned" in run.direct[scene] for scene in compared) > len(compared) / 2


def _changed(scene: str, direct: Any, through: Any) -> Iterator[str]:
    one, other = _placeless(direct), _placeless(through)
    if one != other:
        at = first_difference(one, other)
        yield f"{scene}: {one[max(0, at - 80) : at + 80]} became {other[max(0, at - 80) : at + 80]}"


def _placeless(outcome: Any) -> str:
    """As JSON, without the base URL: the one thing in which the two runs must differ."""
    return re.sub(r"http://127\.0\.0\.1:\d+(?:/(?:anthropic|openai))?/?", "PLACE", json.dumps(outcome, sort_keys=True))


def check_bytes(run: Run) -> None:
    """Every request reached the provider, and every reply the client, as it was; and no request was added or lost."""
    found = differences([pair for pair in run.pairs if scene_of(pair) not in UNFINISHED])
    assert not found, "\n".join(found)
    asked = Counter(
        f"{pair.back.request.method.decode()} {pair.back.request.target.decode()}" for pair in run.pairs if pair.back
    )
    assert asked == run.asked_directly, (asked - run.asked_directly, run.asked_directly - asked)


def check_endings(run: Run) -> int:
    """A stream that the provider did not finish ends as an error that the client sees; returns how many did."""
    unfinished = [pair for pair in run.pairs if scene_of(pair) in UNFINISHED]
    for pair in unfinished:
        _check_ending(pair)
    for scene in UNFINISHED & run.through.keys():
        assert _failed(run.through[scene]), (scene, run.through[scene])
    return len(unfinished)


def _check_ending(pair: Pair) -> None:
    assert pair.front
    assert pair.back
    assert pair.front.request == pair.back.request
    given, taken = pair.back.response, pair.front.response
    assert given
    assert taken
    assert (taken.status, taken.headers) == (given.status, given.headers)
    assert taken.whole
    assert taken.body.startswith(given.body), "what the provider did say must arrive"
    added = taken.body.removeprefix(given.body)
    assert b"error" in added or b"response.failed" in added


def _failed(outcome: dict[str, Any]) -> bool:
    """Whether the client was told: an exception, or the `response.failed` event of the Responses API."""
    return "raised" in outcome or "response.failed" in json.dumps(outcome["returned"])
