"""Lines in force for an app: in every request of every wire, in nothing its caller sees, taken back by one command."""

import json
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import openai
import pytest

from gateway.demo.answers import Piece, pieces
from gateway.wire.overlay import HEAD
from policies.vocabulary.ladder import Climb, Decision
from policies.vocabulary.revisions import AddLine, DescribeTool, Edit, Line, Parameters, Proposal
from storage.store import Store
from tests.fakes.provider import TURN, always, say
from tests.gateway.house import ANTHROPIC, CHAT, DIALECTS, RESPONSES, Dialect, House, fresh, standing
from tests.gateway.rawhttp import Response
from tests.gateway.test_fidelity import stream_or_json
from tests.gateway.test_optimizing import RULES, WORD, entries
from tests.gateway.test_policies import tools_of

LOOK = "Look up every entity a question names."
ADDED = f"{HEAD}\n- {LOOK}"

SET = f'[[line]]\nid = "look"\ntext = "{LOOK}"\n'

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def settings(folder: Path, lines: str = SET, more: str = "") -> str:
    rules, own = folder / "rules.toml", folder / "lines.toml"
    rules.write_text(RULES)
    if not own.exists():
        own.write_text(lines)
    return f'[app.default]\npolicy = ["{rules}"]\nenforce = true\ninstructions = "{own}"\n{more}'


@pytest.fixture(scope="module")
def taught_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("taught")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def taught(taught_house: House) -> House:
    return fresh(taught_house)


def body_of(
    dialect: Dialect, turns: int, *, stream: bool, own: str | None = None, about: str = "Where is it?"
) -> bytes:
    """The request of a turn, written as nobody's serialiser would."""
    said: list[dict[str, Any]] = [{"role": "user", "content": about}]
    for turn in range(turns):
        said += [{"role": "assistant", "content": TURN.text}, {"role": "user", "content": f"And {turn}?"}]
    body: dict[str, Any] = {**dialect.body, "stream": stream, "odd": {"kept": [1, 2.50, "\u00e9"]}}
    body["input" if dialect is RESPONSES else "messages"] = said
    if own is not None and dialect is CHAT:
        said.insert(0, {"role": "developer", "content": own})
    elif own is not None:
        body["system" if dialect is ANTHROPIC else "instructions"] = own
    return json.dumps(body, separators=(" ,\t", ": ")).encode()


def instructions(dialect: Dialect, body: bytes) -> Any:
    document = json.loads(body)
    if dialect is CHAT:
        return document["messages"][0]["content"]
    return document["system" if dialect is ANTHROPIC else "instructions"]


def sent(house: House, dialect: Dialect, body: bytes, *, stream: bool) -> tuple[Response, bytes]:
    house.provider.script = lambda request: echoing(dialect, request.body, stream=stream)
    got = house.ask(dialect.call(body=body))
    assert got.status == 200, got.body
    return got, house.provider.requests[-1].body


def echoing(dialect: Dialect, asked: bytes, *, stream: bool) -> Any:
    """The provider's answer; on the Responses wire with what was asked in it, as the real one has it."""
    answer = say(dialect.name, TURN, streamed=stream)
    if dialect is not RESPONSES:
        return answer
    said = json.dumps(json.loads(asked).get("instructions")).encode()
    whole = b"".join(piece.data for piece in pieces(answer.body) if isinstance(piece, Piece))
    assert whole.count(b'"instructions":null')
    return msgspec.structs.replace(answer, body=(whole.replace(b'"instructions":null', b'"instructions":' + said),))


@every_dialect
@stream_or_json
@pytest.mark.parametrize("own", [None, "You are \u00e9xact."], ids=["none", "some"])
def test_lines_are_added_and_no_other_byte_changes(
    taught: House, dialect: Dialect, own: str | None, *, stream: bool
) -> None:
    body = body_of(dialect, 1, stream=stream, own=own)
    got, forwarded = sent(taught, dialect, body, stream=stream)
    assert instructions(dialect, forwarded) == (ADDED if own is None else f"{own}\n\n{ADDED}")
    start = next(at for at, (one, other) in enumerate(zip(body, forwarded, strict=False)) if one != other)
    grown = len(forwarded) - len(body)
    assert forwarded[:start] + forwarded[start + grown :] == body
    assert HEAD.encode() not in got.body
    facts = json.loads(taught.control(f"/api/exchanges/{got.exchange}")[1]) if taught.facts(got.exchange) else {}
    assert facts["judged"]["forwarded_sha256"] == sha256(forwarded).hexdigest()
    assert facts["judged"]["instructed"]
    assert taught.kept(got.exchange, "request") == body
    assert taught.kept(got.exchange, "forwarded") == forwarded


@every_dialect
@stream_or_json
def test_each_later_turn_begins_with_the_bytes_of_the_one_before_and_is_the_same_session(
    taught: House, dialect: Dialect, *, stream: bool
) -> None:
    about = f"Where is the {dialect.name} {stream} one?"  # no other test begins so
    bodies = [body_of(dialect, turns, stream=stream, own="You are careful.", about=about) for turns in range(3)]
    seen = [sent(taught, dialect, body, stream=stream) for body in bodies]
    assert len({got.one(b"stepwarden-session") for got, _ in seen}) == 1
    for (_, before), (_, after) in pairwise(seen):
        ends = before.rindex(b"}]")
        assert after[:ends] == before[:ends]
    again = sent(taught, dialect, bodies[1], stream=stream)[1]
    assert again == seen[1][1]
    steps = [taught.facts(got.exchange)["steps"] for got, _ in seen]
    assert sum(step["kind"] == "instructions" for each in steps for step in each) == 1
    assert not any(HEAD in (step["text"] or "") for each in steps for step in each)


def test_a_chain_that_stands_at_the_provider_is_told_with_each_request(taught: House) -> None:
    first, _ = sent(taught, RESPONSES, body_of(RESPONSES, 0, stream=False), stream=False)
    shown = json.loads(first.body)["id"]
    following = json.dumps({**RESPONSES.body, "input": "Go on.", "previous_response_id": shown}).encode()
    got, forwarded = sent(taught, RESPONSES, following, stream=False)
    assert json.loads(forwarded)["instructions"] == ADDED
    assert json.loads(forwarded)["input"] == "Go on."
    assert json.loads(got.body)["instructions"] is None
    assert got.one(b"stepwarden-session") == first.one(b"stepwarden-session")


def test_marks_of_a_cache_stay_where_they_are_and_none_is_added(taught: House) -> None:
    blocks = [
        {"type": "text", "text": "You are careful."},
        {"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}},
    ]
    body = json.dumps({**ANTHROPIC.body, "system": blocks}).encode()
    _, forwarded = sent(taught, ANTHROPIC, body, stream=False)
    assert json.loads(forwarded)["system"] == [*blocks, {"type": "text", "text": ADDED}]
    assert forwarded.count(b"cache_control") == 1
    counted = taught.ask(ANTHROPIC.call(body=body).replace(b"/v1/messages", b"/v1/messages/count_tokens"))
    assert counted.status == 200
    assert json.loads(taught.provider.requests[-1].body)["system"][-1]["text"] == ADDED


def test_what_cannot_take_lines_goes_on_as_it_came_and_the_record_says_so(taught: House) -> None:
    body = json.dumps({**RESPONSES.body, "prompt": {"id": "pmpt_1"}}).encode()
    got, forwarded = sent(taught, RESPONSES, body, stream=False)
    assert forwarded == body
    facts = taught.facts(got.exchange)
    assert facts["outcome"] == "complete"
    judged = json.loads(taught.control(f"/api/exchanges/{got.exchange}")[1])["judged"]
    assert (judged["instructed"], judged["uninstructed"]) == (None, "stored_prompt")
    assert taught.kept(got.exchange, "forwarded") == body


def test_the_vendors_own_clients_see_what_they_sent_and_nothing_else(taught: House) -> None:
    base = f"http://127.0.0.1:{taught.gateway.address[1]}"
    taught.provider.script = lambda request: echoing(
        RESPONSES, request.body, stream=json.loads(request.body).get("stream", False)
    )
    with openai.OpenAI(base_url=f"{base}/openai/v1", api_key="sk-caller", max_retries=0) as client:
        plain = client.responses.create(model="gpt-4.1-mini", input="Hi", instructions="Be exact.")
        assert (plain.output_text, plain.instructions) == (TURN.text, "Be exact.")
        with client.responses.stream(model="gpt-4.1-mini", input="Hi") as stream:
            final = stream.get_final_response()
        assert (final.output_text, final.instructions) == (TURN.text, None)
        taught.provider.script = always(say("chat", TURN))
        said = client.chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": "Hi"}])
        assert said.choices[0].message.content == TURN.text
        assert instructions(CHAT, taught.provider.requests[-1].body) == ADDED
    taught.provider.script = always(say("anthropic", TURN, streamed=True))
    with (
        anthropic.Anthropic(base_url=f"{base}/anthropic", api_key="sk-ant-caller", max_retries=0) as client,
        client.messages.stream(
            model="claude-haiku-4-5", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        assert stream.get_final_text() == TURN.text
    assert instructions(ANTHROPIC, taught.provider.requests[-1].body) == ADDED


# ------------------------------------------------------------------------------------------------------- revisions


def filed(folder: Path, *edits: Edit) -> None:
    """A proposal that waits for a person, as an optimizer would leave it; no gateway runs meanwhile."""
    store = Store.open(folder / "data")
    try:
        now = store.revisions.in_force("default")
        assert now is not None, "the set's own lines are kept as the beginning of the chain"
        parameters: Parameters = now.parameters
        proposal = Proposal(app="default", parent=parameters.digest, author="optimizer:reflective", edits=edits)
        offline = ("rollback", "lint", "headroom", "minibatch", "holdout", "anchors", "fp_budget", "second_opinion")
        decisions = (
            *[Decision(rung=rung, outcome="passed") for rung in offline],  # type: ignore[arg-type]
            Decision(rung="approval", outcome="waiting", why="needs_a_person"),
        )
        climb = Climb(
            proposal=proposal.digest, parent=proposal.parent, child="0", direction="loosens", decisions=decisions
        )
        store.revisions.file(proposal, climb, now_ns=1)
    finally:
        store.close()


MORE = AddLine(line=Line(id="units", text="Convert all amounts to one unit."))


def test_an_approved_line_is_in_the_next_request_of_every_worker_and_one_command_takes_it_out(tmp_path: Path) -> None:
    more = settings(tmp_path)
    with standing(tmp_path, more=more) as house:
        assert instructions(CHAT, sent(house, CHAT, body_of(CHAT, 0, stream=False), stream=False)[1]) == ADDED
    filed(tmp_path, MORE)
    with standing(tmp_path, more=more, workers=2) as house:
        done = house.gateway.command("proposals", "approve", "1", "--at-once", *WORD)
        assert done.returncode == 0, done.stderr
        for turn in range(4):
            _, forwarded = sent(house, CHAT, body_of(CHAT, turn, stream=False), stream=False)
            assert instructions(CHAT, forwarded) == f"{ADDED}\n- Convert all amounts to one unit."
        assert entries(house, "revision.activated")[-1]["parameters"]
        back = house.gateway.command("revisions", "rollback", *WORD)
        assert back.returncode == 0, back.stderr
        for turn in range(4):
            assert instructions(CHAT, sent(house, CHAT, body_of(CHAT, turn, stream=False), stream=False)[1]) == ADDED


def test_a_tools_description_is_revised_only_where_the_configuration_lets_it(tmp_path: Path) -> None:
    described = DescribeTool(tool="launch", description="Launches; ask before you call it.")
    with standing(tmp_path, more=settings(tmp_path)):
        pass
    filed(tmp_path, described)
    with standing(tmp_path, more=settings(tmp_path)) as house:
        done = house.gateway.command("proposals", "approve", "1", "--at-once", *WORD)
        assert done.returncode != 0
        assert "tool_descriptions" in done.stderr
    with standing(tmp_path, more=settings(tmp_path, more='tool_descriptions = "revised"\n')) as house:
        done = house.gateway.command("proposals", "approve", "1", "--at-once", *WORD)
        assert done.returncode == 0, done.stderr
        for dialect in DIALECTS:
            body = json.loads(body_of(dialect, 0, stream=False))
            body["tools"] = tools_of(dialect, "launch", "pay")
            raw = json.dumps(body).encode()
            _, forwarded = sent(house, dialect, raw, stream=False)
            said = [each.get("function", each)["description"] for each in json.loads(forwarded)["tools"]]
            assert said == ["Launches; ask before you call it.", "pay"]


def test_an_app_that_names_no_set_gets_no_lines_by_whatever_way(tmp_path: Path) -> None:
    with standing(tmp_path, more=settings(tmp_path)):
        pass
    filed(tmp_path, MORE)
    without = settings(tmp_path).partition("instructions")[0]
    with standing(tmp_path, more=without) as house:
        done = house.gateway.command("proposals", "approve", "1", "--at-once", *WORD)
        assert done.returncode != 0
        body = body_of(CHAT, 0, stream=False)
        assert sent(house, CHAT, body, stream=False)[1] == body
