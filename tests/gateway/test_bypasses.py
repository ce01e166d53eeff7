"""Ways around a guard: each is seen as its plain form is, or refused, or recorded as unread; none passes in silence.

Rule times transform, in process where the wire does not matter; what does depend on the wire goes through a gateway.
"""

import asyncio
import base64
import codecs
import gzip
import json
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import quote

import brotli  # pyright: ignore[reportMissingTypeStubs] - ships no types; `brotlied` says what is used
import msgspec
import pytest
import zstandard

from gateway.demo import render
from gateway.demo.answers import Answer, Gate
from gateway.demo.turns import Call, Setting, Turn
from gateway.stations.bench import Bench
from gateway.stations.judge import Docket
from gateway.stations.needs import needs_of
from gateway.wire.blocks import Judgement as Piece
from gateway.wire.dialects import dialects
from gateway.wire.edits import Replacement
from gateway.wire.enforcing import enforcing
from gateway.wire.gate import Substituted
from policies.asking import Asking
from policies.evaluate import Ruleset, Settings
from policies.guards.interface import SCANNED_BYTES, UNSCANNED
from policies.guards.registry import GuardSpec
from policies.loader import load
from policies.trail import Scene
from policies.vocabulary.bands import Band, BandAction
from policies.vocabulary.clauses import Clause, Policy, PolicyHead
from policies.vocabulary.steps import Part, StepKind
from tests.fakes.provider import TURN, always, in_turn, say
from tests.gateway import probes
from tests.gateway.house import (
    ANTHROPIC,
    CHAT,
    DIALECTS,
    JSON,
    PATIENT,
    RESPONSES,
    Dialect,
    House,
    fresh,
    standing,
    waited,
)
from tests.gateway.probes import WIRES
from tests.gateway.rawhttp import Response, request
from tests.gateway.test_never_off import judged
from tests.gateway.test_policies import RULES, settings, tools_of

# ---------------------------------------------------------------------------------------------- rule x transform

KINDS: Final[tuple[StepKind, ...]] = ("user_input", "tool_result", "model_text", "tool_call")


def clause(name: str, spec: dict[str, Any], do: BandAction, at: int) -> Clause:
    return Clause(
        id=name,
        text="Not this.",
        severity="high",
        steps=KINDS,
        guards=(msgspec.convert(spec, GuardSpec),),
        action=(Band(at=at, do=do),),
        reason="sensitive_data",
        on_error="reject",
    )


FORBIDDEN: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "pattern": (
        {"kind": "pattern", "rules": [{"id": "name", "pattern": "bluebird-[0-9]{4}", "ignore_case": True}]},
        "the code name is bluebird-1234 today",
    ),
    "canary": ({"kind": "secrets", "canaries": ["winterharbour"]}, "the code name is winterharbour today"),
    "token": ({"kind": "secrets"}, "the token is ghp_Zk3vT9qLw2XbN7yRm4HsJ8cDf6GpA1eU5tKi today"),
    "iban": ({"kind": "pii"}, "the account is DE89370400440532013000 today"),
    "mailbox": ({"kind": "pii"}, "the address is anna.smith@example.com today"),
}
"""What is looked for, and a text that holds it."""

_LOOKALIKES = str.maketrans("aeopciD", "аеорсіD")  # noqa: RUF001 - look-alikes are the point


DECODED: Final[Mapping[str, Callable[[str], str]]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 of UTF-16": lambda text: base64.b64encode(text.encode("utf-16-le")).decode(),
    "hex": lambda text: text.encode().hex(),
    "hex escapes": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "octal escapes": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    "percent twice": lambda text: quote("".join(f"%{byte:02X}" for byte in text.encode())),
    "HTML decimal": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "HTML hex": lambda text: "".join(f"&#x{ord(letter):x};" for letter in text),
    "JSON escapes": lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text),
    "look-alikes": lambda text: text.translate(_LOOKALIKES),
    "zero-width": "\u200b".join,
    "soft hyphens": "\u00ad".join,
    "joiners": "\u2060".join,
    "direction override": lambda text: f"\u202e{text[::-1]}\u202c",
    "tag characters": lambda text: "".join(chr(0xE0000 + ord(letter)) for letter in text),
    "full width": lambda text: "".join(chr(ord(each) + 0xFEE0) if 33 <= ord(each) < 127 else each for each in text),
    "marks on letters": lambda text: "".join(f"{each}\u0301" if each.isalpha() else each for each in text),
}
"""Encodings that somebody on the way may undo: seen through, or noticed as hiding something."""

CASES: Final[Mapping[str, Callable[[str], str]]] = {"upper case": str.upper, "mixed case": str.swapcase}
"""Seen through where the rule says that case does not matter; what is case-sensitive (a token) is another text."""

UNSEEN: Final[Mapping[str, tuple[str, Callable[[str], str]]]] = {
    "rot13": ("a cipher: any text is the cipher of another", lambda text: codecs.encode(text, "rot13")),
    "leet": ("what a digit stands for is a reader's guess", lambda text: text.translate(str.maketrans("aei", "431"))),
    "backwards": ("every text has one, and none says that it is meant", lambda text: text[::-1]),
    "letters apart": ("lists, tables and initials look the same", " ".join),
    "lines of five": (
        "text is wrapped everywhere",
        lambda text: "\n".join(text[at : at + 5] for at in range(0, 40, 5)),
    ),
    "base32": ("no view of it is made", lambda text: base64.b32encode(text.encode()).decode()),
    "base85": ("no view of it is made", lambda text: base64.b85encode(text.encode()).decode()),
    "gzip in base64": (
        "texts are not decompressed: a small one may stand for a huge one",
        lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    ),
    "quoted-printable": ("no view of it is made", lambda text: "".join(f"={byte:02X}" for byte in text.encode())),
    "numbers": ("columns of numbers look the same", lambda text: ", ".join(map(str, text.encode()))),
}
"""What text guards cannot see through, each with why. A guard that learns to has to take it out of here."""


@cache
def rules_for(name: str) -> Ruleset:
    """The rule, and beside it the flag for whatever hides text."""
    hidden = clause("hidden", {"kind": "smuggling"}, "flag", 25)
    policy = Policy(
        policy=PolicyHead(id="p", description=""), clause=(clause("rule", FORBIDDEN[name][0], "reject", 75), hidden)
    )
    return Ruleset.compile([policy], settings=Settings(enforce=True))


def said_of(name: str, text: str, kind: StepKind) -> str:
    """What becomes of a step with this text; of a call, one of its arguments."""
    if kind == "tool_call":
        escaped = text.startswith("\\u")
        text = f'{{"note": "{text}"}}' if escaped else json.dumps({"note": text}, ensure_ascii=False)
    step = Part(kind=kind, text=text, tool="send", call_id="c")
    return rules_for(name).judge(Scene(step=step), clock=time.monotonic_ns).verdict.name


by_rule = pytest.mark.parametrize("name", FORBIDDEN)
by_kind = pytest.mark.parametrize("kind", KINDS)


@by_rule
@by_kind
def test_the_plain_form_is_rejected_and_an_honest_text_passes(name: str, kind: StepKind) -> None:
    assert said_of(name, FORBIDDEN[name][1], kind) == "reject"
    assert said_of(name, "the weather is fine today", kind) == "allow"


@by_rule
@by_kind
@pytest.mark.parametrize("transform", DECODED)
def test_no_encoding_passes_in_silence(name: str, transform: str, kind: StepKind) -> None:
    least = {"flag", "reject"} if transform == "direction override" else {"reject"}
    assert said_of(name, DECODED[transform](FORBIDDEN[name][1]), kind) in least


@by_kind
@pytest.mark.parametrize("transform", CASES)
@pytest.mark.parametrize("name", ["pattern", "iban", "mailbox"])
def test_case_hides_nothing(name: str, transform: str, kind: StepKind) -> None:
    assert said_of(name, CASES[transform](FORBIDDEN[name][1]), kind) == "reject"


@pytest.mark.parametrize("transform", UNSEEN)
def test_what_cannot_be_seen_through_is_listed_with_its_reason(transform: str) -> None:
    why, change = UNSEEN[transform]
    assert why
    assert said_of("pattern", change(FORBIDDEN["pattern"][1]), "tool_result") == "allow"


@by_rule
def test_what_lies_behind_the_scanned_bytes_is_flagged_as_unscanned(name: str) -> None:
    text = "x " * (SCANNED_BYTES // 2) + FORBIDDEN[name][1]
    judgement = rules_for(name).judge(Scene(step=Part(kind="tool_result", text=text)), clock=time.monotonic_ns)
    assert judgement.verdict.name in {"flag", "reject"}
    assert UNSCANNED in {each.label for finding in judgement.findings for each in finding.evidence}
    row = next(row for row in judgement.coverage if row.clause == "p/rule")
    assert row.scanned < row.size or judgement.verdict.name == "reject"


# ------------------------------------------------------------------------------------------------------- splits


@cache
def house_rules() -> Ruleset:
    return Ruleset.compile([load(RULES, "house.toml").policy], settings=Settings(enforce=True))


@cache
def rules_on_all_the_model_does() -> Ruleset:
    wider = RULES.replace('steps = ["model_text",', 'steps = ["reasoning", "tool_call", "model_text",')
    wider = wider.replace('do = "redact"', 'do = "reject"')  # reasoning is signed, and cannot be changed
    return Ruleset.compile([load(wider, "house.toml").policy], settings=Settings(enforce=True))


def docket(rules: Callable[[], Ruleset] = house_rules) -> Docket:
    bench = Bench(rules(), heavy=rules, clock=time.monotonic_ns, notice_key=bytes(32))
    return Docket(bench, scope=b"", stateful=False, asking=Asking())


async def conducted(name: str, stream: bytes, size: int) -> bytes:
    """What a client gets of a stream that comes in pieces of `size` bytes."""
    acts, needs, judges = enforcing(dialects().named(name)), needs_of(house_rules()), docket()
    assert acts is not None
    assert needs is not None
    gate = acts.gate(needs, "exchange")
    sent: list[bytes] = []

    async def decide(asked: Sequence[Piece]) -> None:
        for piece in asked:
            judgement = await judges.reply(piece.part, passing=True)
            if judgement.verdict.name in {"reject", "hold"}:
                fed = gate.reject(piece, Substituted("no"))
            else:
                fed = gate.decide(piece, [Replacement(edit.start, edit.end, edit.text) for edit in judgement.edits])
            sent.append(fed.sent)
            await decide(fed.asked)

    for at in range(0, len(stream), size):
        fed = gate.feed(stream[at : at + size])
        sent.append(fed.sent)
        await decide(fed.asked)
    fed = gate.finish()
    sent.append(fed.sent)
    await decide(fed.asked)
    return b"".join(sent)


SECRET_TURN = Turn(text="The name is bluebird-1234, I think.", calls=(Call("call_1", "launch", '{"at": "noon"}'),))
by_wire = pytest.mark.parametrize("name", WIRES)


@by_wire
@pytest.mark.parametrize("fragment", [1, 3, 64])
@pytest.mark.parametrize("size", [1, 17, 100_000])
def test_no_cut_of_a_stream_lets_a_word_or_a_call_out(name: str, fragment: int, size: int) -> None:
    events = render.stream(WIRES[name].name, SECRET_TURN, Setting(model="m", fragment=fragment))
    sent = asyncio.run(conducted(name, b"".join(events), size))
    reader = dialects().named(name).reply_reader("chat", stream=True)
    reader.feed(sent, 0)
    reply = reader.close(0)
    text = "".join(part.text for part in reply.parts)
    assert "bluebird-1" not in text
    assert [part for part in reply.parts if part.kind == "tool_call"] == []
    assert reply.complete


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("guilty", [0, 1, 2])
def test_no_choice_among_several_is_left_out(guilty: int, *, stream: bool) -> None:
    setting = Setting(model="m", fragment=4)
    turns = [SECRET_TURN if at == guilty else TURN for at in range(3)]
    judges = docket()
    if not stream:
        whole = render.document("chat", turns[0], setting)
        choices = [
            {**render.document("chat", turn, setting)["choices"][0], "index": at} for at, turn in enumerate(turns)
        ]
        reader = dialects().chat.reply_reader("chat", stream=False)
        reader.feed(json.dumps({**whole, "choices": choices}).encode(), 0)
        said = [asyncio.run(judges.reply(part)).verdict.name for part in reader.close(0).parts]
        assert {"redact", "reject"} <= set(said)
        return
    rows = [
        [_numbered(event, at) for event in render.stream("chat", turn, setting)[:-1]] for at, turn in enumerate(turns)
    ]
    longest = max(map(len, rows))
    events = [row[at] for at in range(longest) for row in rows if at < len(row)]
    sent = asyncio.run(conducted("openai_chat", b"".join([*events, b"data: [DONE]\n\n"]), 50))
    reader = dialects().chat.reply_reader("chat", stream=True)
    reader.feed(sent, 0)
    parts = reader.close(0).parts
    assert "bluebird-1" not in "".join(part.text for part in parts)
    assert [part for part in parts if part.kind == "tool_call"] == []


def _numbered(event: bytes, choice: int) -> bytes:
    value = json.loads(event.removeprefix(b"data: "))
    return (
        b"data: %s\n\n"
        % json.dumps({**value, "choices": [{**each, "index": choice} for each in value["choices"]]}).encode()
    )


def test_two_pieces_that_a_provider_gives_one_place_are_both_judged() -> None:
    whole = render.document("chat", TURN, Setting(model="m"))
    both = [whole["choices"][0], render.document("chat", SECRET_TURN, Setting(model="m"))["choices"][0]]
    reader = dialects().chat.reply_reader("chat", stream=False)
    reader.feed(json.dumps({**whole, "choices": both}).encode(), 0)
    judges = docket()
    asyncio.run(judges.rest(reader.close(0).parts))
    assert judges.verdict.name == "reject"


def verdict_of(parts: Sequence[Part]) -> str:
    judges = docket(rules_on_all_the_model_does)
    asyncio.run(judges.rest(parts))
    return judges.verdict.name


@pytest.mark.parametrize("kind", ["model_text", "reasoning", "tool_call"])
def test_the_word_in_one_step_is_found(kind: StepKind) -> None:
    assert verdict_of([Part(kind=kind, text='"bluebird-1234"', tool="say")]) == "reject"


def split_over(kind: StepKind, *between: Part) -> list[Part]:
    """The word in two steps, with what stands between them."""
    one, other = (Part(kind=kind, text=text, tool="say") for text in ('"bluebird-', '1234"'))
    return [one, *between, other]


UNJOINED: Final[Mapping[str, tuple[str, Sequence[Part]]]] = {
    "two calls": ("each call is an act of its own; only `sequence` looks at several", split_over("tool_call")),
    "two turns": (
        "what an earlier turn said has left",
        split_over("model_text", Part(kind="user_input", text="Go on.")),
    ),
    "a thought and a text": (
        "clients show them apart",
        [Part(kind="reasoning", text="bluebird-"), Part(kind="model_text", text="1234")],
    ),
}
"""Splits over steps, each with why text guards do not join them. A guard that joins them has to take them out of
here."""


@pytest.mark.parametrize("split", UNJOINED)
def test_what_is_split_over_steps_is_listed_with_its_reason(split: str) -> None:
    why, parts = UNJOINED[split]
    assert why
    assert verdict_of(parts) == "allow"


@pytest.mark.parametrize("kind", ["model_text", "reasoning"])
def test_what_one_turn_says_in_two_texts_is_read_in_a_row(kind: StepKind) -> None:
    assert verdict_of(split_over(kind, Part(kind="tool_call", text="{}", tool="look"))) == "reject"


# ------------------------------------------------------------------------------------------------ over the wire


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("bypasses")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def strict(one: House) -> House:
    house = fresh(one)
    house.provider.script = always(say("chat", TURN))
    return house


def body_of(dialect: Dialect, text: str = "It is bluebird-1234.") -> bytes:
    body = {**dialect.body, "tools": tools_of(dialect, "launch")}
    body |= {"input": text} if dialect is RESPONSES else {"messages": [{"role": "user", "content": text}]}
    return json.dumps(body).encode()


def seen_through(house: House, got: Response, sent: int) -> bool:
    """Whether the word was kept from the provider, the request refused, or the exchange recorded as unread."""
    if got.status >= 400 and house.reached() == sent:
        return True
    forwarded = house.forwarded().body
    if b"bluebird" not in forwarded and b"redacted:name" in forwarded:
        return True
    said = judged(house, got.exchange)["judged"]
    return said["unread"] is not None and said["verdict"] in {"flag", "reject"}


PATHS: Final[Mapping[bytes, Dialect]] = {
    b"/anthropic//v1/messages": ANTHROPIC,
    b"/anthropic/v1/messages/": ANTHROPIC,
    b"/anthropic/v1/%6dessages": ANTHROPIC,
    b"/anthropic/v1/%256dessages": ANTHROPIC,
    b"/anthropic/V1/Messages": ANTHROPIC,
    b"/anthropic/messages": ANTHROPIC,
    b"/anthropic/v1/./messages": ANTHROPIC,
    b"/anthropic/v1/x/../messages": ANTHROPIC,
    b"/anthropic/v1/messages;v=1": ANTHROPIC,
    b"/anthropic/v1/messages?beta=true": ANTHROPIC,
    b"/anthropic/v1/messages/count_tokens": ANTHROPIC,
    b"/openai//v1//chat/completions": CHAT,
    b"/openai/v1/chat/completions/": CHAT,
    b"/openai/v1/chat%2Fcompletions": CHAT,
    b"/openai/v1/Chat/Completions": CHAT,
    b"/openai/chat/completions": CHAT,
    b"/openai/deployments/x/chat/completions?api-version=1": CHAT,
    b"/openai/v1/responses/": RESPONSES,
    b"/openai//v1/respon%73es": RESPONSES,
    b"/openai/responses": RESPONSES,
    b"/openai/V1/RESPONSES": RESPONSES,
}


@pytest.mark.parametrize("target", PATHS, ids=lambda target: target.decode())
def test_every_spelling_of_a_path_is_judged_alike(strict: House, target: bytes) -> None:
    dialect = PATHS[target]
    strict.provider.script = always(say(dialect.name, TURN))
    got = strict.ask(request(target, body_of(dialect), headers=[JSON, dialect.key]))
    assert got.status == 200
    assert b"bluebird" not in strict.forwarded().body


ELSEWHERE: Final[Sequence[tuple[bytes, bytes, Dialect]]] = [
    (b"POST", b"/openai/v1/completions", CHAT),
    (b"POST", b"/openai/v1/embeddings", CHAT),
    (b"POST", b"/openai/v1/batches", CHAT),
    (b"POST", b"/openai/v1/messages", ANTHROPIC),
    (b"POST", b"/openai/v1/responses/compact", RESPONSES),
    (b"PUT", b"/openai/v1/chat/completions", CHAT),
    (b"POST", b"/anthropic/v1/complete", ANTHROPIC),
    (b"POST", b"/anthropic/v1/chat/completions", CHAT),
    (b"POST", b"/anthropic/v1/messages/batches", ANTHROPIC),
    (b"POST", b"/raw/v1/chat/completions", CHAT),
]


@pytest.mark.parametrize(("method", "target", "dialect"), ELSEWHERE)
def test_what_is_not_understood_is_recorded_as_unread(
    strict: House, method: bytes, target: bytes, dialect: Dialect
) -> None:
    sent = strict.reached()
    got = strict.ask(request(target, body_of(dialect), method=method, headers=[JSON, dialect.key]))
    assert seen_through(strict, got, sent)


STORED: Final = [
    b"/openai/v1/responses/resp_1",
    b"/openai/v1/responses/resp_1/input_items?limit=9",
    b"/openai//v1/Responses/resp_1",
    b"/openai/v1/chat/completions",
    b"/openai/v1/chat/completions/chatcmpl_1",
    b"/openai/v1/conversations/conv_1/items",
    b"/openai/v1/files/file_1/content",
    b"/anthropic/v1/messages/batches/b_1/results",
    b"/anthropic/v1/files/file_1/content",
]


@pytest.mark.parametrize("target", STORED, ids=lambda target: target.decode())
def test_turns_that_the_provider_kept_are_recorded_as_unread(strict: House, target: bytes) -> None:
    got = strict.ask(request(target, method=b"GET", headers=[CHAT.key, ANTHROPIC.key]))
    said = judged(strict, got.exchange)["judged"]
    assert (said["unread"], said["verdict"]) == ("stored_turns", "flag")


@pytest.mark.parametrize("target", [b"/openai/v1/models", b"/openai/v1/batches/b_1", b"/anthropic/v1/models/m"])
def test_looking_at_what_holds_no_turns_is_no_finding(strict: House, target: bytes) -> None:
    got = strict.ask(request(target, method=b"GET", headers=[CHAT.key, ANTHROPIC.key]))
    record = judged(strict, got.exchange)
    assert (record["judged"], record["exchange"]["verdict"]) == (None, "allow")


brotlied = cast("Callable[[bytes], bytes]", brotli.compress)  # pyright: ignore[reportUnknownMemberType] - see above


ENCODED: Final[Mapping[bytes, Callable[[bytes], bytes]]] = {
    b"gzip": gzip.compress,
    b"GZIP": gzip.compress,
    b"deflate": zlib.compress,
    b"br": brotlied,
    b"zstd": zstandard.compress,
    b"gzip, gzip": lambda body: gzip.compress(gzip.compress(body)),
    b"gzip, br": lambda body: brotlied(gzip.compress(body)),
    b"snappy": lambda body: body,
    b"br, gzip": gzip.compress,
    b"identity": lambda body: body,
}


@pytest.mark.parametrize("encoding", ENCODED)
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_no_content_encoding_hides_a_request(strict: House, dialect: Dialect, encoding: bytes) -> None:
    strict.provider.script = always(say(dialect.name, TURN))
    sent = strict.reached()
    headers = [JSON, dialect.key, (b"content-encoding", encoding)]
    got = strict.ask(request(dialect.target, ENCODED[encoding](body_of(dialect)), headers=headers))
    assert seen_through(strict, got, sent)


BODIES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "escaped keys": lambda body: body.replace(b'"messages"', b'"\\u006dessages"').replace(
        b'"content"', b'"\\u0063ontent"'
    ),
    "escaped text": lambda body: body.replace(b"bluebird", b"blu\\u0065bird"),
    "a byte order mark": lambda body: b"\xef\xbb\xbf" + body,
    "UTF-16": lambda body: body.decode().encode("utf-16"),
    "UTF-32": lambda body: body.decode().encode("utf-32"),
    "bytes that are no UTF-8": lambda body: body.replace(b"It is", b"It\xff is"),
    "two documents": lambda body: b'{"model": "m", "messages": []}' + body,
    "an empty key twice": lambda body: body.replace(b"{", b'{"messages": [], ', 1),
    "one key twice": lambda body: body.replace(b'"model"', b'"model": "x", "model"', 1),
    "not a number": lambda body: body.replace(b"{", b'{"n": NaN, ', 1),
    "a comment": lambda body: b"/* */" + body,
    "a lone surrogate": lambda body: body.replace(b"It is", b"\\ud800 It is"),
    "white space": lambda body: b"\n\t " + body + b"\n\n",
    "a null byte at the end": lambda body: body + b"\0",
}


@pytest.mark.parametrize("change", BODIES)
def test_no_spelling_of_json_hides_a_request(strict: House, change: str) -> None:
    sent = strict.reached()
    got = strict.ask(request(CHAT.target, BODIES[change](body_of(CHAT)), headers=[JSON, CHAT.key]))
    assert seen_through(strict, got, sent)


@pytest.mark.parametrize("kind", [b"text/plain", b"application/octet-stream", b"multipart/form-data; boundary=x", b""])
def test_no_content_type_hides_a_request(strict: House, kind: bytes) -> None:
    got = strict.ask(request(CHAT.target, body_of(CHAT), headers=[(b"content-type", kind), CHAT.key]))
    assert got.status == 200
    assert b"bluebird" not in strict.forwarded().body


by_stream = pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])


def told(answer: Answer, *, status: int = 200, encoding: bytes = b"", kind: bytes = b"") -> Answer:
    """An answer under another status, compressed, or called something else."""
    body = b"".join(piece if isinstance(piece, bytes) else piece.data for piece in answer.body)  # type: ignore[union-attr]
    headers = [(name, kind or value) if name == b"content-type" else (name, value) for name, value in answer.headers]
    if encoding:
        headers.append((b"content-encoding", encoding))
        body = ENCODED[encoding](body)
    return Answer(status=status, headers=tuple(headers), body=(body,))


@by_stream
@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 299])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_no_success_gets_a_reply_past_the_clauses(
    strict: House, dialect: Dialect, status: int, *, stream: bool
) -> None:
    strict.provider.script = always(told(say(dialect.name, SECRET_TURN, streamed=stream), status=status))
    body = json.dumps({**json.loads(body_of(dialect, "Well?")), "stream": stream}).encode()
    got = strict.ask(request(dialect.target, body, headers=[JSON, dialect.key]))
    assert got.status == status
    assert b"bluebird" not in got.body
    assert b"call_1" not in got.body


@by_stream
@pytest.mark.parametrize("encoding", ENCODED)
def test_no_content_encoding_hides_a_reply(strict: House, encoding: bytes, *, stream: bool) -> None:
    strict.provider.script = always(told(say("chat", SECRET_TURN, streamed=stream), encoding=encoding))
    body = json.dumps({**json.loads(body_of(CHAT, "Well?")), "stream": stream}).encode()
    got = strict.ask(request(CHAT.target, body, headers=[JSON, CHAT.key]))
    assert b"bluebird" not in got.body
    assert b"call_1" not in got.body
    assert got.status in {200, 502}


REPLIES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "a byte order mark": BODIES["a byte order mark"],
    "UTF-16": BODIES["UTF-16"],
    "bytes that are no UTF-8": lambda body: body.replace(b"The name", b"The\xff name"),
    "not a number": BODIES["not a number"],
    "a lone surrogate": lambda body: body.replace(b"The name", b"\\ud800 The name"),
    "depth": lambda body: body.replace(b"{", b'{"n": ' + b"[" * 5000 + b"]" * 5000 + b", ", 1),
}
"""What clients read and strict parsers do not; a model brings some of it about, in the input of a call."""


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("change", REPLIES)
def test_no_spelling_of_json_hides_a_reply(strict: House, dialect: Dialect, change: str) -> None:
    (piece,) = say(dialect.name, SECRET_TURN).body
    assert isinstance(piece, bytes)
    answer = Answer(headers=((b"content-type", b"application/json"),), body=(REPLIES[change](piece),))
    strict.provider.script = in_turn(answer, say(dialect.name, TURN))
    got = strict.ask(request(dialect.target, body_of(dialect, "Well?"), headers=[JSON, dialect.key]))
    assert got.status == (502 if change == "depth" else 200)
    assert not any(word in got.body for word in (b"bluebird", b"call_1", "bluebird".encode("utf-16-le")))


def test_half_a_character_that_no_clause_minds_passes_as_it_came(strict: House) -> None:
    body = b'{"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Cut \\ud83d"}]}'
    strict.provider.script = always(Answer(headers=((b"content-type", b"application/json"),), body=(body,)))
    got = strict.ask(request(ANTHROPIC.target, body_of(ANTHROPIC, "Well?"), headers=[JSON, ANTHROPIC.key]))
    assert got.body == body
    assert judged(strict, got.exchange)["judged"]["unread"] is None


@pytest.mark.parametrize("kind", [b"text/plain", b"application/json", b"application/octet-stream"])
def test_a_stream_under_another_name_is_held_all_the_same(strict: House, kind: bytes) -> None:
    strict.provider.script = always(told(say("chat", SECRET_TURN, streamed=True), kind=kind))
    body = json.dumps({**json.loads(body_of(CHAT, "Well?")), "stream": True}).encode()
    got = strict.ask(request(CHAT.target, body, headers=[JSON, CHAT.key]))
    said = judged(strict, got.exchange)["judged"]
    assert (said["unread"], said["verdict"]) == (None, "reject")
    assert b"bluebird" not in got.body
    assert b"call_1" not in got.body


def test_a_reply_that_nobody_can_read_is_recorded_as_unread_where_clauses_only_watch(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path, enforce=False)) as house:
        for answer in (
            told(say("chat", SECRET_TURN, streamed=True), kind=b"application/json"),
            told(say("chat", SECRET_TURN), encoding=b"snappy"),
        ):
            house.provider.script = always(answer)
            got = house.ask(request(CHAT.target, body_of(CHAT, "Well?"), headers=[JSON, CHAT.key]))
            said = judged(house, got.exchange)["judged"]
            assert (said["unread"], said["verdict"]) == ("reply", "flag")


# --------------------------------------------------------------------------------- what replies bring beside words

BROUGHT = """
[policy]
id = "brought"
description = "What a reply holds beside calls."

[[clause]]
id = "no-probe-in-data"
text = "No probe stands in what searches bring."
severity = "low"
steps = ["retrieval"]
guards = [{ kind = "pattern", rules = [{ id = "probe", pattern = "probe-[0-9]" }] }]
action = [{ at = 75, do = "reject" }]
reason = "sensitive_data"
on_error = "flag"

[[clause.example]]
expect = "violation"
steps = [{ kind = "retrieval", text = "probe-7" }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "retrieval", text = "fine" }]

[[clause]]
id = "no-heron"
text = "No heron is spoken of."
severity = "low"
steps = ["model_text", "reasoning"]
guards = [{ kind = "pattern", rules = [{ id = "heron", pattern = "heron" }] }]
action = [{ at = 75, do = "flag" }]
reason = "sensitive_data"
on_error = "flag"

[[clause.example]]
expect = "violation"
steps = [{ kind = "model_text", text = "a heron" }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "model_text", text = "fine" }]
"""
SPOKEN = BROUGHT.replace('id = "brought"', 'id = "spoken"').replace('do = "flag"', 'do = "reject"')


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, dict[str, bytes]]]:
    folder: Path = tmp_path_factory.mktemp("brought")
    (folder / "brought.toml").write_text(BROUGHT)
    (folder / "spoken.toml").write_text(SPOKEN)
    apps = {
        "brought": ('unseen = "flag"', "brought.toml"),
        "unseen": ('unseen = "reject"', "brought.toml"),
        "spoken": ('unseen = "flag"', "spoken.toml"),
    }
    lines = [
        f'[app.{app}]\nenforce = true\n{line}\npolicy = ["{folder / file}"]\n' for app, (line, file) in apps.items()
    ]
    more = "".join(lines)
    with standing(folder, more=f"{PATIENT}{more}") as house:
        yield house, {app: house.key(name=app, app=app)["secret"].encode() for app in apps}


def asked_as(keyed: tuple[House, dict[str, bytes]], app: str, dialect: Dialect, *, stream: bool) -> Response:
    house, keys = keyed
    headers = [JSON, (b"authorization", b"Bearer " + keys[app])]
    return house.ask(request(dialect.target, dialect.request_body(stream=stream), headers=headers))


@by_stream
@pytest.mark.parametrize("name", ["anthropic", "openai_responses"])
def test_what_a_search_of_the_provider_brought_is_held_too(
    keyed: tuple[House, dict[str, bytes]], name: str, *, stream: bool
) -> None:
    keyed[0].provider.script = always(probes.reply(name, stream=stream))
    got = asked_as(keyed, "brought", WIRES[name], stream=stream)
    assert {"anthropic": b'"search_result"', "openai_responses": b"inbox.txt"}[name] not in got.body
    assert judged(keyed[0], got.exchange)["judged"]["verdict"] == "reject"
    assert b"send_email" not in got.body


@by_stream
@pytest.mark.parametrize("name", ["anthropic", "openai_responses"])
def test_thoughts_that_nobody_can_read_follow_unseen_even_where_clauses_only_flag(
    keyed: tuple[House, dict[str, bytes]], name: str, *, stream: bool
) -> None:
    sealed = Turn(text="Hello.", signature="c2VhbGVk")
    keyed[0].provider.script = always(say(WIRES[name].name, sealed, streamed=stream))
    for app, kept in (("unseen", True), ("brought", False)):
        got = asked_as(keyed, app, WIRES[name], stream=stream)
        assert (b"c2VhbGVk" not in got.body) is kept
        assert judged(keyed[0], got.exchange)["judged"]["verdict"] == ("reject" if kept else "flag")


@by_stream
@pytest.mark.parametrize("name", WIRES)
def test_rejected_words_do_not_come_back_beside_a_call_that_may_pass(
    keyed: tuple[House, dict[str, bytes]], name: str, *, stream: bool
) -> None:
    turn = Turn(text="There is a heron.", calls=(Call("call_1", "look", "{}"),))
    keyed[0].provider.script = always(say(WIRES[name].name, turn, streamed=stream))
    got = asked_as(keyed, "spoken", WIRES[name], stream=stream)
    assert got.status == 200
    assert b"a heron" not in got.body
    assert b"Stepwarden: " in got.body


@pytest.fixture(scope="module")
def turning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("turning")
    with standing(folder, more=settings(folder)) as house:
        yield house


def turn_to(house: House, rules: str) -> None:
    """Have these rules in force in place of those there were."""
    turned = house.gateway.log.count("policies read anew")
    (house.gateway.folder / "house.toml").write_text(rules)
    house.gateway.process.send_signal(signal.SIGHUP)
    waited(lambda: house.gateway.log.count("policies read anew") > turned or None)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_policies_that_are_read_anew_during_a_stream_hold_for_the_next_one(turning: House, dialect: Dialect) -> None:
    house = fresh(turning)
    turn_to(house, RULES)
    gate, sent = Gate(), house.reached()
    events = render.stream(dialect.name, SECRET_TURN, Setting(model="m", fragment=4))
    half = len(events) // 2
    body = json.dumps({**json.loads(body_of(dialect, "Well?")), "stream": True}).encode()
    whole = request(dialect.target, body, headers=[JSON, dialect.key])
    paused = msgspec.structs.replace(render.stream_answer(events), body=(*events[:half], gate, *events[half:]))
    house.provider.script = in_turn(paused, render.stream_answer(events))
    answers: list[Response] = []
    caller = threading.Thread(target=lambda: answers.append(house.ask(whole)))
    caller.start()
    waited(lambda: house.reached() > sent or None)
    turn_to(house, RULES.replace("bluebird", "heron").replace("launch", "begin"))
    gate.open()
    caller.join(60)
    assert b"bluebird-1" not in answers[0].body
    assert b"call_1" not in answers[0].body
    assert b"call_1" in house.ask(whole).body
