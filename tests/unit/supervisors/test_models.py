"""Models: what goes over the wire, and what each way to go wrong is called."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from gateway.endpoint import Endpoint as Post
from supervisors.models.anthropic_sdk import PATH as MESSAGES
from supervisors.models.anthropic_sdk import AnthropicModel, request_of
from supervisors.models.interface import Completion, Model, Prompt, Unanswered
from supervisors.models.openai_compatible import PATH, OpenAiCompatibleModel
from supervisors.monitor import MonitorSettings
from tests.fakes.supervisor_model import Asked, Endpoint, Mind, Said, always, running_model

KEY = "sk-supervisor-canary-1"
PROMPT = Prompt(
    system="rubric",
    history=("earlier",),
    question="about: s1\nasked: word",
    schema={"type": "object"},
    most_tokens=99,
    revision="r",
)


def anthropic(url: str, key: str | None = KEY) -> Model:
    return AnthropicModel("claude-test", post=Post(url + MESSAGES), key=lambda: key)


def openai(url: str, key: str | None = KEY) -> Model:
    return OpenAiCompatibleModel("local-test", base_url=url, post=Post(url + PATH), key=lambda: key)


def key_of(asked: Asked) -> str | None:
    headers = {name.lower(): value for name, value in asked.headers.items()}
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    return headers.get("x-api-key") or bearer or None


both = pytest.mark.parametrize("make", [anthropic, openai], ids=["anthropic", "openai"])
Make = Callable[..., Model]


def complete(make: Make, mind: Mind, *, key: str | None = KEY, seconds: float = 20) -> tuple[Completion, Endpoint]:
    with running_model(mind) as endpoint:

        async def asked() -> Completion:
            model = make(endpoint.base_url, key)
            try:
                return await model.complete(PROMPT, seconds=seconds)
            finally:
                await model.close()

        return asyncio.run(asked()), endpoint


def failure(make: Make, mind: Mind, **more: Any) -> Unanswered:
    with pytest.raises(Unanswered) as caught:
        complete(make, mind, **more)
    assert KEY not in repr(caught.value)
    return caught.value


@both
def test_an_answer_comes_back_with_its_counts(make: Make) -> None:
    found, endpoint = complete(make, always(Said(text="violation")))
    assert (found.text, found.stop) == ("violation", "end")
    assert [(found.input_tokens, found.output_tokens)] == endpoint.tokens
    (asked,) = endpoint.calls
    shown = "".join([*asked.prompt.history, asked.prompt.question])
    assert asked.prompt.system == "rubric"
    assert shown.replace("\n", "") == "earlierabout: s1asked: word"
    assert (asked.prompt.schema, asked.prompt.most_tokens) == ({"type": "object"}, 99)
    assert key_of(asked) == KEY


def test_what_repeats_is_marked_for_the_providers_cache() -> None:
    _, endpoint = complete(anthropic, always(Said(text="ok")))
    document = endpoint.calls[0].document
    assert document["system"][0]["cache_control"] == {"type": "ephemeral"}
    first, last = document["messages"][0]["content"]
    assert ("cache_control" in first, "cache_control" in last) == (True, False)


def test_what_was_shown_before_is_found_in_the_cache_behind_as_many_steps_as_one_call_asks_about() -> None:
    """The provider looks back over twenty blocks from each mark, and takes four marks at most."""
    long = msgspec.structs.replace(PROMPT, history=tuple([f"step {number}" for number in range(60)]))
    content = request_of("m", long)["messages"][0]["content"]
    marks = [at for at, block in enumerate(content) if "cache_control" in block]
    assert marks[-1] == 59
    assert len(marks) == 3
    assert all(later - sooner < 20 for sooner, later in pairwise(marks))
    assert marks[0] <= 59 - MonitorSettings().batch


@both
@pytest.mark.parametrize(("stop", "told"), [("length", "length"), ("refused", "refused")])
def test_half_answers_and_refusals_say_so(make: Make, stop: str, told: str) -> None:
    found, _ = complete(make, always(Said(text="ok", stop=stop)))
    assert found.stop == told


@both
def test_counts_that_are_not_given_are_not_made_up(make: Make) -> None:
    found, _ = complete(make, always(Said(text="ok", counted=False)))
    assert (found.input_tokens, found.output_tokens) == (None, None)


@both
@pytest.mark.parametrize("count", [-1, -5_000_000, 1 << 40, 1 << 63, 10**30])
def test_counts_that_no_call_can_have_are_not_known(make: Make, count: int) -> None:
    for spent, known in (((count, 7), (None, 7)), ((7, count), (7, None))):
        found, _ = complete(make, always(Said(text="ok", spent=spent)))
        assert (found.input_tokens, found.output_tokens) == known


@both
@pytest.mark.parametrize(
    ("status", "why"),
    [(401, "key_refused"), (403, "key_refused"), (429, "overloaded"), (529, "overloaded"), (500, "status:500")],
)
def test_an_error_status_has_a_word_and_cost_nothing(make: Make, status: int, why: str) -> None:
    found = failure(make, always(Said(status=status, headers={"retry-after": "7"})))
    assert (found.why, found.sent) == (why, False)
    assert found.retry_after_seconds == (7.0 if why == "overloaded" else None)


@both
@pytest.mark.parametrize(
    "body",
    [b"", b'{"id": "x', b"[]", b'"ok"', b"<html>", b'{"content": "ok", "choices": []}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "half", "array", "string", "html", "wrong", "bytes", "deep"],
)
def test_what_is_no_answer_is_none(make: Make, body: bytes) -> None:
    found = failure(make, always(Said(body=body)))
    assert (found.why, found.sent) == ("answer_invalid", True)


@both
@pytest.mark.parametrize(("key", "why"), [(None, "key_missing"), ("", "key_missing"), ("a b\n", "key_unusable")])
def test_without_a_usable_key_nothing_is_sent(make: Make, key: str | None, why: str) -> None:
    with running_model() as endpoint:
        with pytest.raises(Unanswered, match=why) as caught:
            asyncio.run(make(endpoint.base_url, key).complete(PROMPT, seconds=5))
        assert (caught.value.sent, endpoint.calls) == (False, [])


@both
def test_nobody_there_is_unreachable_and_cost_nothing(make: Make) -> None:
    with running_model() as endpoint:
        gone = endpoint.base_url
    with pytest.raises(Unanswered, match="unreachable") as caught:
        asyncio.run(make(gone, KEY).complete(PROMPT, seconds=5))
    assert not caught.value.sent


@both
def test_a_redirect_is_not_followed(make: Make) -> None:
    with running_model() as elsewhere:
        said = Said(status=307, headers={"location": elsewhere.base_url + "/v1/messages"})
        found = failure(make, always(said))
        assert elsewhere.calls == []
    assert found.why in ("status:307", "redirected")


def test_the_environment_moves_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_model() as elsewhere:
        for name in ("ANTHROPIC_BASE_URL", "HTTP_PROXY", "ALL_PROXY", "http_proxy"):
            monkeypatch.setenv(name, elsewhere.base_url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-another")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another")
        _, endpoint = complete(anthropic, always(Said(text="ok")))
        assert elsewhere.calls == []
    assert key_of(endpoint.calls[0]) == KEY
    assert not any("another" in value for value in endpoint.calls[0].headers.values())


def test_a_key_that_changes_is_used_from_then_on() -> None:
    keys = iter(["one", "two", "two"])
    with running_model(always(Said(text="ok"))) as endpoint:

        async def asked() -> None:
            model = AnthropicModel("m", post=Post(endpoint.base_url + MESSAGES), key=lambda: next(keys))
            for _ in range(3):
                await model.complete(PROMPT, seconds=20)
            await model.close()

        asyncio.run(asked())
    assert [key_of(call) for call in endpoint.calls] == ["one", "two", "two"]


def test_a_local_model_may_want_no_key() -> None:
    with running_model(always(Said(text="ok"))) as endpoint:

        async def asked() -> None:
            post = Post(endpoint.base_url + PATH)
            model = OpenAiCompatibleModel("m", base_url=endpoint.base_url, post=post, key=None)
            await model.complete(PROMPT, seconds=20)
            await model.close()

        asyncio.run(asked())
    assert key_of(endpoint.calls[0]) is None
