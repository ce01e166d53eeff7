"""`validator` with a library that obeys guardrails-ai's interface; the real one is tested in its own environment."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from policies.asking import Answer
from policies.guards.validator import ValidatorSpec
from policies.trail import Scene, utf8
from policies.vocabulary.steps import Part
from supervisors.adapters import guardrails_validator, threaded
from supervisors.adapters.guardrails_validator import installed, load
from supervisors.adapters.threaded import Threaded, Unloadable

FAKES: Final = Path(__file__).parents[3] / "fakes"


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The library on the path, imported anew."""
    before = set(sys.modules)
    for name in ("guardrails_library", "validators"):
        monkeypatch.syspath_prepend(str(FAKES / name))
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "False")
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("guardrails", "house_validators"):
            del sys.modules[name]


def spec(name: str = "NoWord", **fields: Any) -> ValidatorSpec:
    validator = name if ":" in name else f"house_validators:{name}"
    return msgspec.convert({"kind": "validator", "validator": validator, **fields}, ValidatorSpec)


def examined(text: str, **fields: Any) -> list[tuple[int, str, list[tuple[int, int, str]]]]:
    """Score, note and ranges of each hit."""
    hits = load(spec(**fields))(Scene(step=Part(kind="model_text", text=text)))
    return [(hit.score, hit.note, [(each.start, each.end, each.label) for each in hit.evidence]) for hit in hits]


def test_a_text_that_passes_says_nothing() -> None:
    assert examined("all is well") == []


def test_a_text_that_fails_is_a_hit_at_its_bytes_and_quotes_nothing() -> None:
    text = "Grüße, probe-7 und \ud800 mehr"
    ((score, note, ranges),) = examined(text, score=80, label="word")
    assert (score, note) == (80, "NoWord failed")
    ((start, end, label),) = ranges
    assert (utf8(text)[start:end], label) == (b"probe-7", "word")


def test_arguments_and_metadata_are_the_clauses() -> None:
    assert examined("a b c", args={"word": "b"})[0][2] == [(2, 3, "validator")]
    assert examined("a b c", metadata={"word": "c"})[0][2] == [(4, 5, "validator")]


@pytest.mark.parametrize(("fix", "ranges"), [(False, [(0, 0, "validator")]), (True, [(7, 14, "validator")])])
def test_what_a_fix_would_change_is_a_range_only_where_the_clause_says_so(
    ranges: list[tuple[int, int, str]], *, fix: bool
) -> None:
    assert examined("äöü probe-7 end", args={"spans": False}, fix=fix)[0][2] == ranges


def test_the_rest_of_a_long_text_is_an_unscanned_tail() -> None:
    assert examined("probe-7 and more", max_bytes=7) == [
        (75, "NoWord failed", [(0, 7, "validator")]),
        (50, "the end of the step was not looked at", [(7, 16, "unscanned_tail")]),
    ]


def test_telemetry_tracing_and_validation_elsewhere_are_off_before_anything_is_made() -> None:
    assert examined("probe-7")  # the library raises if telemetry is made or a text is sent elsewhere
    assert examined("probe-7", name="Remote")  # and if a validator insists on it
    settings: Any = sys.modules["guardrails.settings"]
    assert settings.settings.disable_tracing is True
    assert settings.settings.rc.enable_metrics is False
    assert guardrails_validator.os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"name": "nowhere_at_all:Class"}, "cannot be imported"),
        ({"name": "Missing"}, "no validator"),
        ({"name": "not_a_validator"}, "no validator"),
        ({"name": "json:JSONDecoder"}, "no validator"),
        ({"args": {"unknown": 1, "spans": "x", "on": 1}, "name": "Odd"}, "cannot be made"),
        ({"args": {"way": "unmakeable"}, "name": "Odd"}, "cannot be made"),
    ],
)
def test_what_is_not_there_is_said_so_without_a_secret(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(Unloadable, match=why) as error:
        load(spec(**fields))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("way", "raised"),
    [("raises", RuntimeError), ("answers nonsense", TypeError), ("names a range beyond the text", ValueError)],
)
def test_a_validator_that_fails_is_no_pass(way: str, raised: type[Exception]) -> None:
    examine = load(spec("Odd", args={"way": way}))
    with pytest.raises(raised):
        examine(Scene(step=Part(kind="model_text", text="x")))


def test_whether_the_extra_is_there_is_known_without_importing_it() -> None:
    assert installed()
    assert "guardrails.settings" not in sys.modules


# ---------------------------------------------------------------------------------------------------- on its thread


def in_turn(one: Threaded, *texts: str) -> list[Answer]:
    async def ask() -> list[Answer]:
        found = [await one.ask(Scene(step=Part(kind="model_text", text=text))) for text in texts]
        await one.close()
        return found

    return asyncio.run(ask())


def on_thread(name: str = "NoWord", deadline_ms: int = 5000, **fields: Any) -> Threaded:
    one = spec(name, **fields)
    return Threaded("test", lambda: load(one), deadline_ms=deadline_ms, clock=lambda: 0)


def test_texts_are_validated_beside_the_event_loop() -> None:
    first, second = in_turn(on_thread(), "well", "probe-7")
    assert (first, second.failure, len(second.hits)) == (Answer(), None, 1)


def test_what_could_not_be_loaded_is_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    assert [answer.failure for answer in in_turn(on_thread("Missing"), "a", "b")] == ["not_loaded", "not_loaded"]
    assert "a guard could not be loaded" in caplog.text


def test_a_late_validation_is_no_answer_and_others_are_told_at_once() -> None:
    one = on_thread("Odd", args={"way": "waits"}, deadline_ms=50)

    async def ask() -> list[str | None]:
        said = [(await one.ask(Scene(step=Part(kind="model_text", text=text)))).failure for text in ("wait", "next")]
        sys.modules["house_validators"].Odd.release.set()
        async with one._turn:
            pass  # the late text is done with
        last = await one.ask(Scene(step=Part(kind="model_text", text="last")))
        await one.close()
        return [*said, last.failure]

    assert asyncio.run(ask()) == ["timed_out", "stuck", None]


def test_one_text_at_a_time_and_who_waits_too_long_is_not_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threaded, "PATIENCE_SECONDS", 0.05)
    one = on_thread("Odd", args={"way": "waits"})

    async def ask() -> list[str | None]:
        await asyncio.wrap_future(one._loaded)
        first = asyncio.ensure_future(one.ask(Scene(step=Part(kind="model_text", text="wait"))))
        await asyncio.sleep(0)
        second = await one.ask(Scene(step=Part(kind="model_text", text="next")))
        sys.modules["house_validators"].Odd.release.set()
        found = [(await first).failure, second.failure]
        await one.close()
        return found

    assert asyncio.run(ask()) == [None, "overloaded"]


def test_who_leaves_does_not_free_the_turn_before_its_text_is_done() -> None:
    one = on_thread("Odd", args={"way": "waits"})

    async def ask() -> str | None:
        await asyncio.wrap_future(one._loaded)
        await asyncio.wrap_future(one._loaded)
        gone = asyncio.ensure_future(one.ask(Scene(step=Part(kind="model_text", text="wait"))))
        assert await asyncio.to_thread(sys.modules["house_validators"].Odd.entered.wait, 20)
        gone.cancel()
        await asyncio.wait({gone})
        assert one._turn.locked()
        sys.modules["house_validators"].Odd.release.set()
        answer = await one.ask(Scene(step=Part(kind="model_text", text="next")))
        await one.close()
        return answer.failure

    assert asyncio.run(ask()) is None
