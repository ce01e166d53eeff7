"""Histories that stand at the provider: known to whom they belong to, and never left with a call nobody can answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.demo.turns import Call, Turn
from tests.fakes.provider import TURN, always, say
from tests.gateway.house import RESPONSES, House, fresh, standing
from tests.gateway.rawhttp import Response
from tests.gateway.test_never_off import judged
from tests.gateway.test_policies import asked, read, settings, tools_of

stream_or_json = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


@pytest.fixture(scope="module")
def strict_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("stored")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def strict(strict_house: House) -> House:
    return fresh(strict_house)


def with_key(house: House, key: str, **body: Any) -> Response:
    sent = json.dumps({**RESPONSES.body, "tools": tools_of(RESPONSES, "launch"), **body}).encode()
    return house.ask(RESPONSES.call(body=sent, headers=[(b"stepwarden-key", key.encode())]))


def test_a_response_of_another_key_gives_nothing_away_though_its_id_is_known(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path)) as house:
        mine, other = (house.key(name=name, app="default")["secret"] for name in ("mine", "other"))
        house.provider.script = always(say("responses", msgspec.structs.replace(TURN, reply_id="shared")))
        shown = read(RESPONSES, with_key(house, mine), stream=False).response_id
        follow = {"previous_response_id": shown, "input": "Go on."}
        assert judged(house, with_key(house, mine, **follow).exchange)["judged"]["unread"] is None
        assert judged(house, with_key(house, other, **follow).exchange)["judged"]["unread"] == "server_side_history"


INSISTS = Turn(text="Right away.", calls=(Call("call_1", "launch", '{"at": "noon"}'),), reply_id="insists")


def ending_in_our_notice(house: House, *, stream: bool, **body: Any) -> str:
    """The id by which a caller knows a turn whose call nobody showed it."""
    house.provider.script = always(say("responses", INSISTS, streamed=stream))
    got = asked(house, RESPONSES, stream=stream, **body)
    reply = read(RESPONSES, got, stream=stream)
    assert "[Stepwarden: " in "".join(part.text for part in reply.parts), got
    assert b'"launch"' not in got.body.partition(b'"tools"')[0]
    assert reply.response_id
    house.provider.script = always(say("responses", msgspec.structs.replace(TURN, reply_id="later"), streamed=stream))
    return reply.response_id


@stream_or_json
@pytest.mark.parametrize("said", ["And now?", [{"role": "user", "content": "And now?"}]], ids=["text", "items"])
def test_who_goes_on_from_a_turn_that_ended_in_our_notice_leaves_no_call_unanswered(
    strict: House, said: Any, *, stream: bool
) -> None:
    shown = ending_in_our_notice(strict, stream=stream)
    following = asked(strict, RESPONSES, stream=stream, previous_response_id=shown, input=said)
    assert following.status == 200
    result, own = json.loads(strict.provider.requests[-1].body)["input"]
    assert (result["type"], result["call_id"]) == ("function_call_output", "call_1")
    assert result["output"].startswith("[Stepwarden: This tool call was not run.")
    assert own == {"role": "user", "content": "And now?"}
    record = judged(strict, following.exchange)
    assert record["judged"]["forwarded_sha256"]  # the record says that the provider got another body
    assert strict.kept(following.exchange, "request").count(b"call_1") == 0  # and keeps the caller's own
    onward = read(RESPONSES, following, stream=stream).response_id
    asked(strict, RESPONSES, stream=stream, previous_response_id=onward, input="Go on.")
    assert json.loads(strict.provider.requests[-1].body)["input"] == "Go on."  # what was answered stays so


def test_a_conversation_that_ended_in_our_notice_is_answered_once(strict: House) -> None:
    ending_in_our_notice(strict, stream=False, conversation="conv_7")
    for expected in (2, 1):
        asked(strict, RESPONSES, stream=False, conversation="conv_7", input=[{"role": "user", "content": "Well?"}])
        assert len(json.loads(strict.provider.requests[-1].body)["input"]) == expected
