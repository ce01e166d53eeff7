"""Never silently off: on every wire, both ways, plain and streamed, every guard reads every kind of step.

The matrix is made of the code's own registries. A cell is covered by a finding in the record of a real exchange, or
excused by a reason that stands in the code, or it fails; and what is excused can only become less.
"""

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from typing import Any, Final, Literal, NamedTuple, cast, get_args

import msgspec
import pytest

from gateway.demo.answers import Piece
from gateway.in_force import panel_of
from gateway.stations.judge import JUDGED_BEFORE
from gateway.wire.absences import ABSENT, UNREAD, absent
from gateway.wire.dialects import dialects
from policies.asking import Asked, Question
from policies.evaluate import Ruleset
from policies.examples import scene_of
from policies.guards.interface import Guard
from policies.guards.judge import AT_THE_GATE
from policies.guards.registry import KINDS, GuardSpec, Kind, build
from policies.trail import Scene
from policies.vocabulary.clauses import Example
from policies.vocabulary.findings import Hit
from policies.vocabulary.steps import PUT_BEFORE_THE_MODEL, STEP_KINDS, Side, StepKind
from tests.fakes.judge import running_judge, saying
from tests.fakes.provider import always
from tests.gateway import probes
from tests.gateway.house import CANARIES, JSON, PATIENT, House, standing, waited
from tests.gateway.rawhttp import Response, request

Lane = Literal["watched", "held"]
LANES: Final[tuple[Lane, ...]] = get_args(Lane)
"""`watched`: no clause acts, the bytes are relayed and judged beside it. `held`: a clause can act on every step."""

SIDES: Final[tuple[Side, ...]] = get_args(Side)
DIALECTS: Final = tuple([name for name in dialects().by_name() if name != "mcp"])
"""Of providers; what tool servers say is judged in `test_mcp.py`."""


class Cell(NamedTuple):
    """One place where a guard has to be."""

    dialect: str
    stream: bool
    side: Side
    step: StepKind
    guard: str


def excuse(cell: Cell) -> str | None:
    """Why nothing can be found there; None where something has to be."""
    if why := absent(cell.dialect, cell.side, cell.step):
        return why
    if cell.side == "request" and (why := JUDGED_BEFORE.get(cell.step)):
        return why
    if cell.guard == "judge" and cell.step not in AT_THE_GATE:
        return "the gate sees proposed calls alone; the monitor reads the rest once it is recorded"
    return next(kind for kind in KINDS if kind.name == cell.guard).impossible.get(cell.step)


def judged_by(kind: Kind) -> Sequence[StepKind]:
    """Steps that a guard of a kind judges while they wait."""
    return [step for step in kind.possible if kind.name != "judge" or step in AT_THE_GATE]


CELLS: Final = [
    Cell(*place, kind.name)
    for place in product(DIALECTS, (False, True), SIDES, STEP_KINDS)
    for kind in KINDS
]  # fmt: skip


# ------------------------------------------------------------------------------------------- what may be excused

ABSENT_NOW: Final[Mapping[tuple[str, Side], frozenset[str]]] = {
    ("anthropic", "request"): frozenset({"handoff"}),
    ("anthropic", "response"): frozenset({"handoff", "instructions", "user_input"}),
    ("openai_chat", "request"): frozenset({"handoff", "retrieval"}),
    ("openai_chat", "response"): frozenset(
        {"handoff", "instructions", "user_input", "tool_definitions", "tool_result", "retrieval"}
    ),
    ("openai_responses", "request"): frozenset({"handoff"}),
    ("openai_responses", "response"): frozenset({"handoff"}),
}
UNREAD_NOW: Final = frozenset({"raw"})
JUDGED_BEFORE_NOW: Final = frozenset({"model_text", "reasoning", "tool_call", "handoff"})
AT_THE_GATE_NOW: Final = frozenset({"tool_call"})
JUDGES_NOW: Final[Mapping[str, frozenset[str]]] = {
    "schema": frozenset({"tool_call", "tool_definitions"}),
    "code": frozenset({"tool_call"}),
    "egress": frozenset({"tool_call", "model_text"}),
    "sequence": frozenset({"tool_call"}),
    "provenance": frozenset({"tool_call"}),
    "instructions_in_data": frozenset({"tool_call", "tool_result", "retrieval"}),
}
"""Step kinds a guard kind judges at least; one that is not named here judges all of them."""


def test_what_is_excused_only_becomes_less() -> None:
    assert {place: frozenset(kinds) for place, kinds in ABSENT.items()} == ABSENT_NOW
    assert frozenset(UNREAD) == UNREAD_NOW
    assert frozenset(JUDGED_BEFORE) == JUDGED_BEFORE_NOW
    assert AT_THE_GATE == AT_THE_GATE_NOW
    for kind in KINDS:
        assert frozenset(kind.possible) == JUDGES_NOW.get(kind.name, frozenset(STEP_KINDS)), kind.name


def test_every_excuse_has_a_reason_and_none_is_for_a_kind_that_is_judged() -> None:
    assert set(JUDGED_BEFORE) | PUT_BEFORE_THE_MODEL == set(STEP_KINDS)
    assert not set(JUDGED_BEFORE) & PUT_BEFORE_THE_MODEL
    assert {dialect for dialect, _ in ABSENT} | set(UNREAD) == set(DIALECTS)
    assert all(excuse(cell) is None or excuse(cell).strip() for cell in CELLS)  # type: ignore[union-attr]


# --------------------------------------------------------------------------------------------------- the policies


@pytest.fixture(scope="module")
def judge_url() -> Iterator[str]:
    """Where the service listens that answers for `external`."""
    with running_judge(saying(probes.judge)) as service:
        yield service.url


def spec_of(kind: Kind, judge_url: str) -> dict[str, Any]:
    where = {"url": judge_url} if kind.name == "external" else {}
    return {"kind": kind.name, **probes.SETTINGS.get(kind.name, {}), **where}


def toml(value: Any) -> str:
    """A value as TOML, inline."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each) for each in cast("list[Any]", value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def policy(lane: Lane, judge_url: str) -> str:
    """A clause for every guard kind, about every step it can judge; `held` clauses act where a guard fails."""
    lines = ["[policy]", f'id = "{lane}"', 'description = "One clause for each kind of guard."']
    for kind in KINDS:
        steps = list(judged_by(kind))
        lines += [
            "[[clause]]",
            f'id = "{kind.name}"',
            'text = "Nothing is found."',
            'severity = "low"',
            f"steps = {toml(steps)}",
            f"guards = [{toml(spec_of(kind, judge_url))}]",
            'action = [{ at = 1, do = "flag" }]',
            'reason = "action_not_allowed"',
            f'on_error = "{"reject" if lane == "held" else "flag"}"',
        ]
        for expect, made in (("violation", probes.violation), ("ok", probes.passing)):
            lines += ["[[clause.example]]", f'expect = "{expect}"', f"steps = {toml(made(steps[0]))}"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory, judge_url: str) -> Iterator[tuple[House, Mapping[Lane, bytes]]]:
    """One gateway with an app for each lane, and a key of each app."""
    folder = tmp_path_factory.mktemp("matrix")
    apps: list[str] = []
    for lane in LANES:
        (folder / f"{lane}.toml").write_text(policy(lane, judge_url), encoding="utf-8")
        apps.append(f'[app.{lane}]\npolicy = ["{folder / lane}.toml"]\nenforce = true\n')
    environment = {**CANARIES, "PYTHONPATH": os.pathsep.join(probes.LIBRARIES)}
    more = PATIENT + '[supervisor]\nprovider = "scripted"\nmodel = "scripted"\n'
    with standing(folder, more=more + "\n".join(apps), environment=environment) as house:
        yield house, {lane: house.key(name=lane, app=lane)["secret"].encode() for lane in LANES}


# ----------------------------------------------------------------------------------------------------- the matrix


def judged(house: House, exchange_id: str) -> dict[str, Any]:
    """The whole record of an exchange with what was said of it."""

    def read() -> dict[str, Any] | None:
        status, body = house.control(f"/api/exchanges/{exchange_id}")
        return json.loads(body) if status == 200 else None

    return waited(read)


def asked(house: House, dialect: str, key: bytes, body: bytes, session: str) -> Response:
    headers = [JSON, (b"authorization", b"Bearer " + key), (b"stepwarden-session", session.encode())]
    return house.ask(request(probes.WIRES[dialect].target, body, headers=headers))


def record_of(house: House, dialect: str, key: bytes, lane: Lane, *, stream: bool) -> dict[str, Any]:
    """The record of one exchange that holds every probe there is, in a session with an innocent beginning."""
    session = f"{dialect}-{lane}-{stream}"
    plain = probes.first_request(dialect, stream=stream)
    house.provider.script = always(probes.reply(dialect, stream=stream))
    first = asked(house, dialect, key, plain, session)
    assert first.status == 200, first.body
    got = asked(house, dialect, key, probes.request_body(dialect, stream=stream), session)
    assert got.status == 200, got.body
    record = judged(house, got.exchange)
    sent = house.kept(got.exchange, "response")
    assert sorted(got.body.split(b"\n\n")) == sorted(sent.split(b"\n\n"))  # only flags; a ping may overtake
    return record


def found_in(record: Mapping[str, Any], dialect: str, *, stream: bool) -> set[Cell]:
    """The cells in which a guard ran over the whole of a step and found something."""
    steps = {step["seq"]: step for step in record["steps"]}
    found: set[Cell] = set()
    for said in record["judged"]["steps"]:
        step = steps[said["seq"]]
        ran = {(row["clause"], row["guard"]) for row in said["coverage"] if row["skipped"] is None and row["size"] > 0}
        for finding in said["findings"]:
            if (finding["clause"], finding["guard"]) in ran and finding["state"] in ("unsure", "violation"):
                guard = finding["clause"].partition("/")[2]
                found.add(Cell(dialect, stream, step["side"], step["kind"], guard))
    return found


def unjudged(record: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """Steps that hold text, with each guard that should have read all of it and did not."""
    rows = {
        (said["seq"], row["clause"].partition("/")[2])
        for said in record["judged"]["steps"]
        for row in said["coverage"]
        if row["skipped"] is None and row["scanned"] == row["size"]
    }
    return [
        (step["seq"], step["kind"], kind.name)
        for step in record["steps"]
        if step["side"] == "response" or step["kind"] in PUT_BEFORE_THE_MODEL
        for kind in KINDS
        if step["kind"] in judged_by(kind) and (step["seq"], kind.name) not in rows
    ]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("dialect", [name for name in DIALECTS if name not in UNREAD])
def test_every_guard_finds_its_probe_in_every_place_the_wire_has(
    keyed: tuple[House, Mapping[Lane, bytes]], dialect: str, lane: Lane, *, stream: bool
) -> None:
    house, keys = keyed
    record = record_of(house, dialect, keys[lane], lane, stream=stream)
    found = found_in(record, dialect, stream=stream)
    cells = {cell for cell in CELLS if (cell.dialect, cell.stream) == (dialect, stream)}
    expected = {cell for cell in cells if excuse(cell) is None}
    assert expected - found == set(), "neither covered nor excused"
    assert found - expected == set(), "excused, and found all the same"
    assert unjudged(record) == []


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("dialect", sorted(UNREAD))
def test_a_wire_that_is_not_read_is_recorded_as_unread(
    keyed: tuple[House, Mapping[Lane, bytes]], dialect: str, lane: Lane, *, stream: bool
) -> None:
    house, keys = keyed
    house.provider.script = always(probes.reply("anthropic", stream=stream))
    headers = [JSON, (b"stepwarden-key", keys[lane]), (b"authorization", b"Bearer of-my-own")]
    got = house.ask(request(b"/raw/v1/anything", b"{}", headers=headers))
    assert got.status == 200, got.body
    said = judged(house, got.exchange)["judged"]
    assert (said["unread"], said["verdict"]) == ("path", "flag")
    assert said["steps"] == []


# ------------------------------------------------------------------------------------------------- at unit level


@cache
def guards(judge_url: str) -> Mapping[str, Guard | Asked]:
    """One guard of each kind; building some takes a while."""
    return {kind.name: build(msgspec.convert(spec_of(kind, judge_url), GuardSpec)) for kind in KINDS}


async def asked_of(guard: Asked, scene: Scene) -> Sequence[Hit]:
    """What is answered for a guard that is asked."""
    panel = panel_of({})
    answer = await panel.ask(Question(number=0, spec=guard.spec, scene=guard.shown(scene)))
    await panel.close()
    assert answer.failure is None
    return answer.hits


@pytest.fixture(scope="module")
def library() -> Iterator[None]:
    """The validators of the house on the path of this process."""
    with pytest.MonkeyPatch.context() as patch:
        before = set(sys.modules)
        for folder in probes.LIBRARIES:
            patch.syspath_prepend(folder)
        for name in ("LITELLM_LOCAL_MODEL_COST_MAP", "REGEX_TIMEOUT_SECONDS"):
            patch.setenv(name, "")
        yield
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(probes.LIBRARIES):
            del sys.modules[name]


@pytest.mark.parametrize("step", STEP_KINDS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name != "judge"], ids=lambda kind: kind.name)
def test_a_guard_finds_its_probe_exactly_in_the_steps_it_says_it_can_judge(
    kind: Kind, step: StepKind, judge_url: str, library: None
) -> None:
    scene = scene_of(msgspec.convert({"expect": "violation", "steps": probes.violation(step)}, Example))
    guard = guards(judge_url)[kind.name]
    hits = asyncio.run(asked_of(guard, scene)) if isinstance(guard, Asked) else guard.examine(scene)
    assert bool(hits) is (step in kind.possible)


def readings() -> Iterator[tuple[str, Side, StepKind]]:
    """What the readers make of every probe."""
    known = dialects().by_name()
    for name, stream in product(probes.WIRES, (False, True)):
        dialect = known[name]
        for body in (probes.first_request(name, stream=stream), probes.request_body(name, stream=stream)):
            view = dialect.read_request(body, "chat")
            for cut in [cut for _, cut in view.lead_cuts] + [message.cut for message in view.messages]:
                for part in dialect.parts(body, view, cut):
                    yield name, "request", part.kind
        reader = dialect.reply_reader("chat", stream=stream)
        for piece in probes.reply(name, stream=stream).body:
            assert isinstance(piece, bytes | Piece)
            reader.feed(piece if isinstance(piece, bytes) else piece.data, 0)
        for part in reader.close(0).parts:
            yield name, "response", part.kind


def test_no_reader_makes_a_step_that_its_wire_is_said_not_to_carry() -> None:
    seen: set[tuple[str, Side, StepKind]] = set(readings())
    assert seen
    assert {place for place in seen if absent(*place)} == set()
    possible = {
        (name, side, step)
        for name in probes.WIRES
        for side in SIDES
        for step in STEP_KINDS
        if absent(name, side, step) is None and (side == "response" or step in PUT_BEFORE_THE_MODEL)
    }
    assert possible <= seen


def test_a_ruleset_that_is_told_of_no_step_judges_none() -> None:
    """The matrix is worth something: without its clauses, nothing is found."""
    scene = scene_of(msgspec.convert({"expect": "violation", "steps": probes.violation("tool_call")}, Example))
    assert Ruleset.compile([]).judge(scene, clock=lambda: 0).coverage == ()
