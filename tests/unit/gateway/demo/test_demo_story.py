"""Recorded runs can be lived over a real wire, by anyone who sends the same conversation."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from gateway.demo import story
from gateway.demo.agent import AgentCalled, AgentSaid, Began, Ended, Fragment, Strayed, ToolReturned, UserSaid
from gateway.demo.background import BackgroundProvider
from gateway.demo.metronome import Metronome
from gateway.demo.playback import UNKNOWN, Playback, Run, load_runs, paced, recorded_atoms
from gateway.demo.scenarios import Scenarios
from tests.fakes.provider import CALL, TOOL_TURN, always, say

FAST = 10_000.0
RUNS = load_runs()


@pytest.fixture(scope="module")
def upstream() -> Iterator[BackgroundProvider]:
    with story.provider(RUNS, speed=FAST) as running:
        yield running


def test_every_run_says_where_it_is_from() -> None:
    from importlib import resources  # noqa: PLC0415 -- used by this test alone

    listed = resources.files("gateway.demo").joinpath("runs", "LICENSES.md").read_text("utf-8")
    assert RUNS
    assert all(f"`{run.name}.json`" in listed for run in RUNS)


def test_no_run_begins_like_another() -> None:
    assert len({tuple(recorded_atoms(run.messages[:1])) for run in RUNS}) == len(RUNS)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_run_is_lived_to_its_end(upstream: BackgroundProvider, run: Run) -> None:
    events = list(story.tell(upstream.url, [run]))
    assert isinstance(events[0], Began)
    assert isinstance(events[-1], Ended)
    said = [event.text.strip() for event in events if isinstance(event, AgentSaid)]
    recorded = [message.content.strip() for message in run.messages if message.role == "assistant"]
    assert said == [text for text in recorded if text]
    calls = [event.call_id for event in events if isinstance(event, AgentCalled)]
    assert calls == [call.id for message in run.messages for call in message.calls]
    assert calls == [event.call_id for event in events if isinstance(event, ToolReturned)]
    assert not any(isinstance(event, Strayed) for event in events)
    assert events[-1].requests == len(recorded)


def test_what_the_agent_said_came_in_fragments(upstream: BackgroundProvider) -> None:
    events = list(story.tell(upstream.url, RUNS[:1]))
    fragments = "".join(event.text for event in events if isinstance(event, Fragment))
    assert fragments == "".join(event.text for event in events if isinstance(event, AgentSaid))
    assert len([event for event in events if isinstance(event, Fragment)]) > 20


def test_an_agent_led_astray_stops_and_says_so(provider: BackgroundProvider) -> None:
    provider.script = always(say("anthropic", TOOL_TURN, streamed=True))
    events = list(story.tell(provider.url, RUNS[:1]))
    assert isinstance(events[1], UserSaid)
    assert events[-2] == Strayed(CALL.tool)
    assert isinstance(events[-1], Ended)


def test_other_conversations_get_a_text_that_no_model_wrote(upstream: BackgroundProvider) -> None:
    with anthropic.Anthropic(api_key="k", base_url=upstream.url) as client:
        message = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    assert message.content[0].text == UNKNOWN  # type: ignore[union-attr]


def test_a_run_can_be_lived_over_the_other_wires(upstream: BackgroundProvider) -> None:
    run = RUNS[1]
    first, second = run.messages[1], run.messages[3]
    chat: Any = [{"role": "system", "content": run.system}, {"role": "user", "content": run.messages[0].content}]
    items: Any = [{"role": "user", "content": run.messages[0].content}]
    with openai.OpenAI(api_key="k", base_url=upstream.url + "/v1") as client:
        answer = client.chat.completions.create(model="m", messages=chat).choices[0].message
        assert answer.content == first.content
        assert answer.tool_calls is not None
        result = run.messages[2].content
        chat += [answer.model_dump(exclude_none=True)]
        chat += [{"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": result}]
        assert client.chat.completions.create(model="m", messages=chat).choices[0].message.content == second.content
        response = client.responses.create(model="m", input=items)
        items += [item.model_dump(exclude_none=True) for item in response.output]
        items += [{"type": "function_call_output", "call_id": first.calls[0].id, "output": result}]
        assert client.responses.create(model="m", input=items).output_text == second.content


@pytest.mark.parametrize("body", [b'{"messages": [1, {"role": "user", "content": 7}]}', b'{"messages": {}}', b"[]"])
def test_odd_requests_are_answered_all_the_same(upstream: BackgroundProvider, body: bytes) -> None:
    import http.client  # noqa: PLC0415 -- used by this test alone

    connection = http.client.HTTPConnection(upstream.url.removeprefix("http://"))
    connection.request("POST", "/v1/messages", body)
    assert connection.getresponse().status in (200, 400, 404)
    connection.close()


def test_pauses_are_those_of_a_writer_and_always_the_same() -> None:
    events = [b"x"] * 50
    pauses = [piece.delay for piece in paced(events, speed=2.0, seed=b"a")]
    assert pauses == [piece.delay for piece in paced(events, speed=2.0, seed=b"a")]
    assert pauses[0] == 0.125
    assert all(0.0075 <= pause <= 0.02 for pause in pauses[1:])


def test_the_story_takes_less_than_fifteen_seconds() -> None:
    script = Playback(RUNS, speed=story.SPEED)
    seconds = 0.0
    with BackgroundProvider(Scenarios(Playback(RUNS, speed=FAST))) as running:
        list(story.tell(running.url, RUNS))
        for request in running.requests:
            seconds += sum(piece.delay for piece in script(request).body)  # type: ignore[union-attr]
    assert seconds < 12


def test_a_metronome_keeps_size_and_number() -> None:
    with BackgroundProvider(Metronome(reply_bytes=2048, chunks=7)) as running:
        with openai.OpenAI(api_key="k", base_url=running.url + "/v1") as client:
            raw = client.chat.completions.with_raw_response.create(model="m", messages=[])
            assert len(raw.content) == 2048
            chunks = list(client.chat.completions.create(model="m", messages=[], stream=True))
        assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) == 7


def test_stamps_tell_when_a_chunk_was_sent() -> None:
    with (
        BackgroundProvider(Metronome(chunks=5, pace=0.001, stamp=True)) as running,
        anthropic.Anthropic(api_key="k", base_url=running.url) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[]) as stream,
    ):
        stamps = [int(text) for text in stream.text_stream]
    assert len(stamps) == 5
    assert all(later - earlier >= 900_000 for earlier, later in pairwise(stamps))


def test_it_runs_alone_and_says_where() -> None:
    command = [sys.executable, "-m", "gateway.demo.provider", "--scenario", "tool"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            url = msgspec.json.decode(process.stdout.readline())["url"]
            with openai.OpenAI(api_key="k", base_url=url + "/v1") as client:
                assert client.models.list().data
        finally:
            process.terminate()
        assert process.wait(timeout=10) == 0
