"""`own`: a class of the operator's is held to what every guard promises."""

from typing import Any

import msgspec
import pytest

from policies.guards.interface import BadGuard
from policies.guards.own import OwnGuard, OwnSpec
from policies.trail import Scene
from policies.vocabulary.steps import Part


def guard(name: str = "NoWord", **args: Any) -> OwnGuard:
    where = name if ":" in name else f"tests.fakes.house_guards:{name}"
    return OwnGuard(msgspec.convert({"kind": "own", "guard": where, "args": args}, OwnSpec))


def scene(text: str) -> Scene:
    return Scene(step=Part(kind="model_text", text=text))


def test_a_class_of_ones_own_judges_with_the_arguments_of_the_clause() -> None:
    one = guard(word="bird")
    (hit,) = one.examine(scene("ein schöner bird"))
    assert (one.window, hit.score, [(each.start, each.end) for each in hit.evidence]) == (64, 80, [(13, 17)])
    assert one.examine(scene("nothing")) == ()


@pytest.mark.parametrize(
    ("name", "args", "why"),
    [
        ("nowhere_at_all:Class", {}, "cannot be imported"),
        ("Missing", {}, "no class"),
        ("json:loads", {}, "no class"),
        ("NoWord", {"unknown": 1}, "cannot be made"),
        ("Odd", {"way": "unmakeable"}, "cannot be made"),
        ("Windowless", {}, "no `window`"),
        ("Wide", {}, "no `window`"),
    ],
)
def test_what_is_no_guard_is_refused_when_the_policy_is_read(name: str, args: dict[str, Any], why: str) -> None:
    with pytest.raises(BadGuard, match=why) as refused:
        guard(name, **args)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("way", ["raises", "nonsense", "score", "range"])
def test_what_it_may_not_say_is_an_error_and_no_pass(way: str) -> None:
    with pytest.raises((RuntimeError, ValueError)):
        guard("Odd", way=way).examine(scene("a"))
