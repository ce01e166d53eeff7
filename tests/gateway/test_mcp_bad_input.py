"""MCP over HTTP where a client or a server misbehaves: a defined answer each, and nothing unjudged passes."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.demo.answers import Answer, Cut, Piece, SeenRequest, Stall
from gateway.demo.background import BackgroundProvider
from tests.gateway.house import waited
from tests.gateway.rawhttp import request
from tests.gateway.tool_house import ToolHouse, table, tool_house

JSON = ((b"content-type", b"application/json"),)
EVENTS = ((b"content-type", b"text/event-stream"),)
SECRET = "bluebird-1234"


def result(text: str, token: Any = 1) -> bytes:
    value = {"jsonrpc": "2.0", "id": token, "result": {"content": [{"type": "text", "text": text}]}}
    return json.dumps(value).encode()


def event(data: bytes) -> bytes:
    return b"event: message\r\ndata: " + data + b"\r\n\r\n"


ANSWERS: dict[str, Answer] = {
    "fine": Answer(headers=JSON, body=(result("Fine."),)),
    "secret": Answer(headers=JSON, body=(result(f"It is {SECRET}."),)),
    "garbage": Answer(headers=JSON, body=(b"\x00\xff not json",)),
    "html": Answer(headers=((b"content-type", b"text/html"),), body=(f"<p>{SECRET}</p>".encode(),)),
    "refused": Answer(
        status=401,
        headers=(*JSON, (b"www-authenticate", b"Bearer realm=x"), (b"set-cookie", b"sid=1")),
        body=(f'{{"error":"{SECRET}"}}'.encode(),),
    ),
    "batch": Answer(headers=JSON, body=(b"[" + result(SECRET) + b"]",)),
    "twice": Answer(headers=JSON, body=(b'{"jsonrpc":"2.0","id":1,"result":{},"result":' + result(SECRET) + b"}",)),
    "compressed": Answer(headers=(*JSON, (b"content-encoding", b"gzip")), body=(b"\x1f\x8b",)),
    "huge": Answer(headers=JSON, body=(result("x" * 80_000),)),
    "huge_event": Answer(headers=EVENTS, body=(event(result("x" * 80_000)),), transfer="chunked"),
    "hangs": Answer(headers=JSON, body=(result("late"),), fault=Stall(before_headers=True)),
    "cut": Answer(headers=JSON, body=(result("half"),), fault=Cut(after=20)),
    "no_answer": Answer(headers=EVENTS, body=(b": nothing\n\n",), transfer="chunked"),
    "two_answers": Answer(headers=EVENTS, body=(event(result("First.")) + event(result(SECRET)),), transfer="chunked"),
    "other_id": Answer(headers=EVENTS, body=(event(result(SECRET, 7)) + event(result("Mine.")),), transfer="chunked"),
    "bad_event": Answer(headers=EVENTS, body=(event(SECRET.encode()), event(result("Mine."))), transfer="chunked"),
    "cut_up": Answer(
        headers=EVENTS,
        body=tuple(Piece(event(result(f"It is {SECRET}."))[at : at + 3]) for at in range(0, 150, 3)),
        transfer="chunked",
    ),
    "error": Answer(
        headers=JSON,
        body=(json.dumps({"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": f"No {SECRET}."}}).encode(),),
    ),
    "moved": Answer(status=307, headers=(*JSON, (b"location", b"http://127.0.0.1:9/elsewhere"))),
    "another": Answer(headers=JSON, body=(result(SECRET, 7),)),
    "asks": Answer(headers=JSON, body=(b'{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}',)),
    "crash": Answer(fault=Cut(before_headers=True)),
}


def play(seen: SeenRequest) -> Answer:
    """A server that answers a call of each tool as the table has it, and everything else with nothing."""
    if seen.method == "GET":
        return Answer(headers=EVENTS, body=(event(result(f"It is {SECRET}.", 3)),), transfer="chunked")
    value = json.loads(seen.body)
    if value.get("method") == "tools/call":
        return ANSWERS[value["params"]["name"]]
    return Answer(status=202) if "id" not in value else Answer(headers=JSON, body=(result("?", value["id"]),))


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolHouse]:
    with BackgroundProvider(play) as server:
        more = table("odd", url=f"{server.url}/mcp", message_bytes=65536)
        more += table("other", url=f"{server.url}/mcp")
        more += table("silent", url=f"{server.url}/mcp", idle_seconds=0.5)
        more += table("keyed", url=f"{server.url}/mcp", key_env="TOOLS_TOKEN")
        with tool_house(tmp_path_factory.mktemp("odd"), more=more) as house:
            yield house


def message(method: str = "tools/call", **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def called(tools: ToolHouse, name: str, *, server: str = "odd") -> tuple[int, dict[str, Any]]:
    """Status and message of a call's answer, whatever form it came in."""
    answer = tools.post(server, message(name=name, arguments={}))
    body = answer.body
    if dict(answer.headers).get(b"content-type") == b"text/event-stream":
        body = [line for line in body.splitlines() if line.startswith(b"data: ")][-1].removeprefix(b"data: ")
    assert SECRET.encode() not in answer.body, name
    assert not {b"location", b"www-authenticate", b"set-cookie"} & {name.lower() for name, _ in answer.headers}
    return answer.status, json.loads(body)


def text(answer: dict[str, Any]) -> str:
    return answer["result"]["content"][0]["text"]


def reason(answer: dict[str, Any]) -> str:
    return answer["error"]["data"]["stepwarden/reason"]


def test_what_is_fine_passes_byte_for_byte(tools: ToolHouse) -> None:
    answer = tools.post("odd", message(name="fine", arguments={}))
    assert answer.body == result("Fine.")
    assert dict(answer.headers)[b"stepwarden-verdict"] == b"allow"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("garbage", 502, "upstream_malformed"),
        ("html", 502, "upstream_malformed"),
        ("batch", 502, "upstream_malformed"),
        ("twice", 502, "upstream_malformed"),
        ("refused", 502, "tool_server_refused"),
        ("compressed", 502, "upstream_malformed"),
        ("huge", 502, "upstream_malformed"),
        ("cut", 502, "upstream_reset"),
        ("moved", 502, "upstream_malformed"),
        ("another", 502, "upstream_malformed"),
        ("asks", 502, "upstream_malformed"),
        ("crash", 502, "upstream_reset"),
        ("huge_event", 200, "upstream_malformed"),
        ("no_answer", 200, "upstream_truncated"),
    ],
)
def test_a_server_that_misbehaves_costs_its_caller_an_error_of_this_call(
    tools: ToolHouse, name: str, status: int, code: str
) -> None:
    got, answer = called(tools, name)
    assert (got, reason(answer), answer["id"]) == (status, code, 1)
    assert text(called(tools, "fine")[1]) == "Fine."


def test_a_server_that_says_nothing_is_not_waited_for(tools: ToolHouse) -> None:
    got, answer = called(tools, "hangs", server="silent")
    assert (got, reason(answer), answer["id"]) == (504, "upstream_timeout", 1)
    waited(lambda: True if "timed_out" in {each["outcome"] for each in tools.exchanges("silent")} else None)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("secret", "It is [redacted:name]."),
        ("cut_up", "It is [redacted:name]."),
        ("two_answers", "First."),
        ("other_id", "Mine."),
        ("bad_event", "Mine."),
    ],
)
def test_only_the_answer_passes_and_judged(tools: ToolHouse, name: str, said: str) -> None:
    status, answer = called(tools, name)
    assert (status, text(answer)) == (200, said)


def test_the_words_of_an_error_are_judged_too(tools: ToolHouse) -> None:
    assert called(tools, "error")[1]["error"]["message"] == "No [redacted:name]."


def test_an_answer_that_comes_on_a_stream_of_its_own_is_judged(tools: ToolHouse) -> None:
    accept = (b"accept", b"text/event-stream")
    answer = tools.house.ask(request(b"/mcp/odd", method=b"GET", headers=[accept], host=b"localhost"))
    assert answer.status == 200
    assert SECRET.encode() not in answer.body
    assert b"[redacted:name]" in answer.body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"{", -32700),
        (b"[]", -32600),
        (b"[" + message(name="fine") + b"]", -32600),
        (b"1", -32600),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
        (b"[" * 50_000, -32600),
        (b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"fine","arguments":{}}}', -32600),
        (b'{"jsonrpc":"2.0","method":"resources/read","params":{"uri":"file:///etc/passwd"}}', -32600),
        (b'{"jsonrpc":"2.0","method":"prompts/get","params":{"name":"fine"}}', -32600),
    ],
)
def test_what_is_no_message_goes_no_further(tools: ToolHouse, body: bytes, code: int) -> None:
    answer = tools.post("odd", body)
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    "headers",
    [
        [(b"mcp-method", b"tools/list")],
        [(b"mcp-method", b"tools/call"), (b"mcp-method", b"tools/call")],
        [(b"mcp-name", b"harmless")],
        [(b"mcp-name", b"=?base64?aGFybWxlc3M=?=")],
        [(b"mcp-name", b"=?base64?not base64?=")],
        [(b"mcp-protocol-version", b"2026-07-28")],
        [(b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/call")],
        [(b"mcp-protocol-version", b"2025-11-25"), (b"mcp-protocol-version", b"2025-11-25")],
    ],
)
def test_headers_that_say_another_thing_than_the_body_stop_it(
    tools: ToolHouse, headers: list[tuple[bytes, bytes]]
) -> None:
    answer = tools.post("odd", message(name="fine", arguments={}), *headers)
    told = json.loads(answer.body)
    assert (answer.status, reason(told), told["id"], told["error"]["code"]) == (400, "header_mismatch", 1, -32020)


@pytest.mark.parametrize("revision", [b"", b"2025-06-18, 2025-11-25", b"-", b"x" * 33])
def test_what_can_name_no_revision_is_refused(tools: ToolHouse, revision: bytes) -> None:
    answer = tools.post("odd", message(name="fine", arguments={}), (b"mcp-protocol-version", revision))
    told = json.loads(answer.body)
    assert (answer.status, reason(told), told["id"]) == (400, "unsupported_revision", 1)
    assert told["error"]["code"] == -32022
    assert told["error"]["data"]["requested"] == revision.decode()
    assert "2026-07-28" in told["error"]["data"]["supported"]


@pytest.mark.parametrize("revision", [b"latest", b"2024-01-01", b"2025-06-18 ", b"v999.0.0"])
def test_whether_a_revision_is_spoken_the_server_says_and_its_answer_is_judged(
    tools: ToolHouse, revision: bytes
) -> None:
    headers = ((b"mcp-protocol-version", revision), (b"mcp-method", b"tools/call"), (b"mcp-name", b"secret"))
    answer = tools.post("odd", message(name="secret", arguments={}), *headers)
    assert (answer.status, text(json.loads(answer.body))) == (200, "It is [redacted:name].")


def test_headers_that_repeat_the_body_let_it_pass(tools: ToolHouse) -> None:
    repeated = ((b"mcp-protocol-version", b"2026-07-28"), (b"mcp-method", b"tools/call"))
    for name in (b"fine", b"=?base64?ZmluZQ==?="):
        answer = tools.post("odd", message(name="fine", arguments={}), *repeated, (b"mcp-name", name))
        assert answer.body == result("Fine.")


def test_a_message_that_is_too_large_is_refused(tools: ToolHouse) -> None:
    answer = tools.post("odd", message(name="fine", arguments={"text": "x" * 70_000}))
    assert (answer.status, reason(json.loads(answer.body))) == (413, "body_too_large")


@pytest.mark.parametrize(
    "header", [(b"origin", b"https://evil.example"), (b"host", b"evil.example:8787")], ids=["origin", "host"]
)
def test_web_pages_of_others_are_not_answered(tools: ToolHouse, header: tuple[bytes, bytes]) -> None:
    host = header[1] if header[0] == b"host" else b"localhost"
    more = [] if header[0] == b"host" else [header]
    whole = request(b"/mcp/odd", message(name="fine", arguments={}), headers=more, host=host)
    answer = tools.house.ask(whole)
    assert (answer.status, reason(json.loads(answer.body))) == (403, "foreign_origin")


def test_a_servers_token_serves_only_callers_with_a_key(tools: ToolHouse) -> None:
    answer = tools.post("keyed", message(name="fine", arguments={}))
    assert (answer.status, reason(json.loads(answer.body))) == (500, "provider_key_missing")


@pytest.mark.parametrize("method", [b"PUT", b"PATCH", b"OPTIONS"])
def test_other_methods_are_not_spoken(tools: ToolHouse, method: bytes) -> None:
    answer = tools.house.ask(request(b"/mcp/odd", b"", method=method, host=b"localhost"))
    assert answer.status == 405


def test_a_call_that_is_cancelled_while_a_person_is_waited_for_is_never_made(tools: ToolHouse) -> None:
    session = (b"mcp-session-id", b"session-7")
    kind = (b"content-type", b"application/json")
    call = message(name="pay", arguments={"to": "whoever it was"})
    with tools.house.wire() as wire:
        wire.send(request(b"/mcp/odd", call, headers=[kind, session], host=b"localhost"))

        def waits() -> str | None:
            listed = json.loads(tools.house.control("/api/holds?only=waiting")[1])["holds"]
            return next((each["hold_id"] for each in listed if "whoever it was" in each["text"]), None)

        hold = waited(waits)
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert tools.post("odd", json.dumps(cancel).encode(), session).status == 202
        answer = wire.response()
    assert reason(json.loads(answer.body)) == "cancelled"
    assert tools.house.control(f"/api/holds/{hold}/approve", method="POST", body={"by": "Ann"})[0] == 200
    found = waited(lambda: [*filter(lambda each: each["verdict"] == "hold", tools.exchanges("odd"))] or None)
    assert found[0]["outcome"] == "client_aborted"
    assert found[0]["upstream_status"] is None


def test_a_call_that_hangs_keeps_nobody_waiting_not_even_who_asks_under_its_id(tools: ToolHouse) -> None:
    kind = (b"content-type", b"application/json")
    with tools.house.wire() as wire:
        wire.send(request(b"/mcp/odd", message(name="hangs", arguments={}), headers=[kind], host=b"localhost"))
        for server in ("odd", "odd", "other"):
            assert text(called(tools, "fine", server=server)[1]) == "Fine."
    left = waited(lambda: [*filter(lambda each: each["outcome"] == "client_aborted", tools.exchanges("odd"))] or None)
    assert left


def test_everything_that_went_wrong_is_recorded(tools: ToolHouse) -> None:
    called(tools, "garbage")
    tools.post("odd", b"{")
    outcomes = {"not_an_answer", "refused"}
    waited(lambda: True if outcomes <= {each["outcome"] for each in tools.exchanges("odd")} else None)
