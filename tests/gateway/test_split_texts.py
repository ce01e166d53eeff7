"""A secret that a reply says in two texts, over the wire: what the vendors' SDKs put in a row is judged in a row."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from gateway.demo.answers import Answer
from tests.fakes.provider import always, in_turn
from tests.gateway.house import ANTHROPIC, RESPONSES, Dialect, House, fresh, standing
from tests.gateway.test_policies import settings, tools_of

GONE = "[redacted:name]"
dialects = pytest.mark.parametrize("dialect", [ANTHROPIC, RESPONSES], ids=lambda dialect: dialect.name)
stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("split")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def strict(one: House) -> House:
    return fresh(one)


def message(texts: Sequence[str]) -> dict[str, Any]:
    blocks = [{"type": "text", "text": text, "citations": None} for text in texts]
    fields = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks}
    usage = {"input_tokens": 3, "output_tokens": 5}
    return {**fields, "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}


def message_events(texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**message([]), "stop_reason": None}}
    for index, text in enumerate(texts):
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}}
    yield {"type": "message_stop"}


def item(number: int, *texts: str) -> dict[str, Any]:
    parts = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "status": "completed", "content": parts}


def response(output: Sequence[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    fields = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": status, "output": output}
    more = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "error": None}
    return {**fields, **more, "usage": {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}}


def response_events(texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": response([], "in_progress")}
    for index, text in enumerate(texts):
        at = {"output_index": index, "item_id": f"msg_{index}", "content_index": 0}
        part = {"type": "output_text", "annotations": []}
        begun = {**item(index), "status": "in_progress"}
        yield {"type": "response.output_item.added", "output_index": index, "item": begun}
        yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
        yield {"type": "response.output_text.delta", **at, "delta": text}
        yield {"type": "response.output_text.done", **at, "text": text}
        yield {"type": "response.content_part.done", **at, "part": {**part, "text": text}}
        yield {"type": "response.output_item.done", "output_index": index, "item": item(index, text)}
    whole = [item(index, text) for index, text in enumerate(texts)]
    yield {"type": "response.completed", "response": response(whole)}


def answer(dialect: Dialect, texts: Sequence[str], *, stream: bool) -> Answer:
    anthropic_wire = dialect is ANTHROPIC
    if not stream:
        whole = message(texts) if anthropic_wire else response([item(n, text) for n, text in enumerate(texts)])
        return Answer(status=200, headers=((b"content-type", b"application/json"),), body=(json.dumps(whole).encode(),))
    events = message_events(texts) if anthropic_wire else response_events(texts)
    numbered = [event if anthropic_wire else {**event, "sequence_number": n} for n, event in enumerate(events)]
    told = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in numbered]
    return Answer(status=200, headers=((b"content-type", b"text/event-stream"),), body=tuple(told))


def said(house: House, dialect: Dialect, *, stream: bool) -> tuple[str, str]:
    """What the vendor's own helper makes of the reply, and the exchange."""
    if dialect is ANTHROPIC:
        with closing(anthropic.Anthropic(base_url=f"{house.gateway.url}/anthropic", api_key="sk-ant-x")) as claude:
            ask: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Who is it?"}]}
            if stream:
                with claude.messages.stream(**ask) as events:
                    return events.get_final_text(), events.response.headers["stepwarden-exchange"]
            got = claude.messages.with_raw_response.create(**ask)
            words = [block.text for block in got.parse().content if block.type == "text"]
            return "".join(words), got.headers["stepwarden-exchange"]
    with closing(openai.OpenAI(base_url=f"{house.gateway.url}/openai/v1", api_key="sk-x")) as gpt:
        if stream:
            with gpt.responses.stream(model="m", input="Who is it?") as events:
                exchange = events._response.headers["stepwarden-exchange"]
                return events.get_final_response().output_text, exchange
        raw = gpt.responses.with_raw_response.create(model="m", input="Who is it?")
        return raw.parse().output_text, raw.headers["stepwarden-exchange"]


@dialects
@stream_or_json
def test_a_secret_in_two_texts_is_taken_out_of_both_and_found_where_it_ends(
    strict: House, dialect: Dialect, *, stream: bool
) -> None:
    strict.provider.script = always(answer(dialect, ["It is blueb", "ird-1234, and", " that is all."], stream=stream))
    shown, exchange = said(strict, dialect, stream=stream)
    assert shown == f"It is {GONE}, and that is all."
    facts = strict.facts(exchange)
    assert facts["verdict"] == "redact"
    steps = json.loads(strict.control(f"/api/exchanges/{exchange}")[1])["judged"]["steps"]
    (found,) = [
        (finding, step) for step in steps for finding in step["findings"] if finding["clause"].startswith("house")
    ]
    assert found[0]["note"].startswith("begins 5 bytes before this text")
    assert [(edit["start"], edit["end"]) for edit in found[1]["edits"]] == [(0, 8)]


@pytest.mark.parametrize(("tool", "shown"), [("launch", b""), ("land", b"ird-1234")], ids=["answered", "resampled"])
def test_a_secret_over_two_answers_passes_only_where_the_second_stands_for_the_first(
    strict: House, tool: str, shown: bytes
) -> None:
    call = {"type": "tool_use", "id": "call_1", "name": tool, "input": {"at": "noon"}}
    first = {**message(["It is blueb"]), "stop_reason": "tool_use"}
    first["content"] = [*first["content"], call]
    told = [json.dumps(each).encode() for each in (first, message(["ird-1234 it is."]))]
    strict.provider.script = in_turn(
        *(Answer(status=200, headers=((b"content-type", b"application/json"),), body=(each,)) for each in told)
    )
    tools = tools_of(ANTHROPIC, "launch", "land")
    got = strict.ask(ANTHROPIC.call(body=ANTHROPIC.request_body(stream=False, tools=tools)))
    assert got.status == 200
    assert (b"ird-1234" in got.body) == bool(shown)
    assert len(strict.provider.requests) >= 2


def test_what_went_with_a_rejected_call_stands_before_no_later_text(strict: House) -> None:
    events = [*message_events(["It is blueb", "It is blueb"])]
    start, delta = events[1], events[2]
    start["content_block"] = {"type": "tool_use", "id": "call_1", "name": "launch", "input": {}}
    delta["delta"] = {"type": "input_json_delta", "partial_json": '{"at": "noon"}'}
    events[-2]["delta"]["stop_reason"] = "tool_use"
    first = tuple(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)
    second = answer(ANTHROPIC, ["ird-1234 it is."], stream=True)
    strict.provider.script = in_turn(Answer(status=200, headers=second.headers, body=first), second)
    body = ANTHROPIC.request_body(stream=True, tools=tools_of(ANTHROPIC, "launch"))
    got = strict.ask(ANTHROPIC.call(body=body))
    assert b"ird-1234 it is." in got.body
    assert b"blueb" not in got.body
    assert strict.newest(lambda each: each["in_place_of"] == got.exchange)["verdict"] == "allow"


@dialects
@stream_or_json
def test_texts_without_a_secret_pass_as_they_came(strict: House, dialect: Dialect, *, stream: bool) -> None:
    strict.provider.script = always(answer(dialect, ["It is a blue", " bird, ", "number 1234."], stream=stream))
    shown, exchange = said(strict, dialect, stream=stream)
    assert shown == "It is a blue bird, number 1234."
    assert strict.facts(exchange)["verdict"] == "allow"
    assert strict.kept(exchange, "response") == b"".join(
        piece if isinstance(piece, bytes) else piece.data
        for piece in answer(dialect, ["It is a blue", " bird, ", "number 1234."], stream=stream).body
    )
