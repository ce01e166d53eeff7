"""Playback: a provider that answers with what a model once said, and otherwise says that it does not know.

Like a real provider it keeps no state: each request carries the whole conversation, and the recorded run that this
conversation is the beginning of gives the next turn. Ids are not compared; roles, texts, calls and results are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, cast

import msgspec
from blake3 import blake3

from gateway.demo import render, scenarios
from gateway.demo.answers import Answer, Piece, SeenRequest
from gateway.demo.asked import Asked, Json, content_text, read
from gateway.demo.obliging import tokens
from gateway.demo.turns import Call, Spent, Turn

UNKNOWN = (
    "[written by Stepwarden's demo, not by a model] This conversation is none of the recorded runs, "
    "so there is nothing to play back."
)

FIRST_FRAGMENT = 0.25
"""Seconds from a request to its first fragment at speed 1."""

FRAGMENT_PAUSE = (0.015, 0.040)
"""Seconds between fragments at speed 1: from, to."""


class RecordedCall(msgspec.Struct, frozen=True):
    """A call as recorded."""

    id: str
    name: str
    arguments: str
    """JSON text."""


class RecordedMessage(msgspec.Struct, frozen=True):
    """One message of a recorded run, in the roles of Chat Completions."""

    role: str
    content: str
    calls: tuple[RecordedCall, ...] = ()
    tool_call_id: str | None = None


class Run(msgspec.Struct, frozen=True):
    """One recorded run of an agent."""

    id: str
    name: str
    """The file's name without its ending: `1_airline`."""
    model: str
    """What said it."""
    outcome: str
    """`clean_useful`, `resisted_useful` or `attack_succeeded`."""
    system: str
    tools: tuple[Json, ...]
    """As Anthropic tool definitions."""
    messages: tuple[RecordedMessage, ...]
    """Without the system message."""

    def result(self, call_id: str) -> str | None:
        """What the tool answered to a recorded call; None where the recording does not say."""
        return next((message.content for message in self.messages if message.tool_call_id == call_id), None)


def _tool(definition: Json) -> Json:
    function = cast("Json", definition["function"])
    schema: Json = function.get("parameters") or {"type": "object", "properties": {}}
    return {"name": function["name"], "description": function.get("description", ""), "input_schema": schema}


def _message(row: Json) -> RecordedMessage:
    calls = tuple(
        RecordedCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in cast("list[Json]", row.get("tool_calls") or [])
    )
    return RecordedMessage(row["role"], row["content"] or "", calls, row.get("tool_call_id"))


def _run(name: str, text: str) -> Run:
    row = cast("Json", msgspec.json.decode(text))
    messages = [_message(message) for message in row["messages"]]
    return Run(
        id=row["id"],
        name=name,
        model=row["pipeline"],
        outcome=row["outcome"],
        system="\n\n".join(message.content for message in messages if message.role == "system"),
        tools=tuple(_tool(definition) for definition in row["tools"]),
        messages=tuple(message for message in messages if message.role != "system"),
    )


def load_runs() -> tuple[Run, ...]:
    """The runs that ship with the package, in the order of their names."""
    folder = resources.files("gateway.demo").joinpath("runs")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".json")), key=lambda file: file.name)
    return tuple(_run(file.name.removesuffix(".json"), file.read_text("utf-8")) for file in files)


Atom = tuple[str, ...]
"""One thing said or done: (`user`, text), (`assistant`, text), (`call`, tool, arguments) or (`result`, text)."""


def _canonical(arguments: Any) -> str:
    try:
        value = msgspec.json.decode(arguments) if isinstance(arguments, str) else arguments
    except msgspec.DecodeError:
        return str(arguments)
    return msgspec.json.encode(value, order="deterministic").decode()


def _text(role: str, text: str) -> Iterator[Atom]:
    if text.strip():
        yield (role, text.strip())


def recorded_atoms(messages: Iterable[RecordedMessage]) -> Iterator[Atom]:
    """A recorded conversation, ready to be compared."""
    for message in messages:
        if message.role == "tool":
            yield ("result", message.content.strip())
            continue
        yield from _text(message.role, message.content)
        for call in message.calls:
            yield ("call", call.name, _canonical(call.arguments))


def _part_atoms(role: str, part: Json) -> Iterator[Atom]:
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        yield from _text(role, str(part.get("text")))
    elif kind == "tool_use":
        yield ("call", str(part.get("name")), _canonical(part.get("input")))
    elif kind == "tool_result":
        yield ("result", content_text(part.get("content")).strip())


def _asked_atoms(message: Json) -> Iterator[Atom]:
    role, content = message.get("role"), message.get("content")
    if message.get("type") == "function_call":
        yield ("call", str(message.get("name")), _canonical(message.get("arguments")))
    elif message.get("type") == "function_call_output":
        yield ("result", content_text(message.get("output")).strip())
    elif role == "tool":
        yield ("result", content_text(content).strip())
    elif role in ("user", "assistant"):
        parts: list[Json] = [{"type": "text", "text": content}] if isinstance(content, str) else (content or [])
        for part in parts:
            yield from _part_atoms(role, part)
        for call in cast("list[Json]", message.get("tool_calls") or []):
            yield ("call", call["function"]["name"], _canonical(call["function"]["arguments"]))


def asked_atoms(asked: Asked, body: bytes) -> tuple[Atom, ...]:
    """The conversation of a request in any of the three wires, ready to be compared."""
    value = cast("Json", msgspec.json.decode(body))
    talk = value.get("input") if asked.wire == "responses" else value.get("messages")
    messages = [{"role": "user", "content": talk}] if isinstance(talk, str) else cast("list[Json]", talk or [])
    return tuple(atom for message in messages for atom in _asked_atoms(message))


def turn_of(run: Run, index: int) -> Turn:
    """The assistant's message at this place, as a turn; the same message is always the same turn."""
    message = run.messages[index]
    before = sum(len(earlier.content) for earlier in run.messages[:index])
    calls = tuple(Call(call.id, call.name, call.arguments) for call in message.calls)
    said = message.content + "".join(call.arguments for call in calls)
    head = len(run.system) + len(msgspec.json.encode(run.tools))
    return Turn(
        text=message.content,
        calls=calls,
        spent=Spent(input_tokens=(head + before) // 4, output_tokens=tokens(said)),
        reply_id=blake3(f"{run.id} {index}".encode()).hexdigest()[:24],
    )


def _turns(runs: Iterable[Run]) -> Mapping[tuple[Atom, ...], Turn]:
    """What comes next after each beginning of each run."""
    found: dict[tuple[Atom, ...], Turn] = {}
    for run in runs:
        for index, message in enumerate(run.messages):
            if message.role == "assistant":
                found.setdefault(tuple(recorded_atoms(run.messages[:index])), turn_of(run, index))
    return found


def paced(events: Sequence[bytes], *, speed: float, seed: bytes) -> tuple[Piece, ...]:
    """Events with the pauses of a model that writes; the same seed gives the same pauses. Speed 2 halves them."""
    noise = blake3(seed).digest(length=max(1, len(events)))
    shortest, longest = FRAGMENT_PAUSE
    pauses = [shortest + (longest - shortest) * byte / 255 for byte in noise]
    pauses[0] = FIRST_FRAGMENT
    return tuple(Piece(event, pause / speed) for event, pause in zip(events, pauses, strict=False))


class Playback:
    """A script that plays recorded runs. Two runs that begin alike share their beginning; the first one wins."""

    def __init__(
        self, runs: Sequence[Run], *, speed: float = 1.0, beyond: Callable[[Sequence[Atom]], Turn | None] | None = None
    ) -> None:
        """`beyond` is asked for a turn where no run has one."""
        self._beyond = beyond
        self._turns = _turns(runs)
        self._speed = speed

    def __call__(self, request: SeenRequest) -> Answer:
        """The next recorded turn, or a text that says there is none."""
        asked = read(request)
        if asked is None:
            return scenarios.ok(request)
        try:
            atoms = asked_atoms(asked, request.body)
        except (AttributeError, KeyError, TypeError):
            return render.error(asked.wire, 400, "invalid_request_error", "the messages could not be read")
        turn = self._turns.get(atoms)
        if turn is None and self._beyond is not None:
            turn = self._beyond(atoms)
        if turn is None:
            turn = Turn(text=UNKNOWN, spent=Spent(input_tokens=tokens(request.body), output_tokens=tokens(UNKNOWN)))
        setting = msgspec.structs.replace(asked.setting(), fragment=16)
        answer = render.answer(asked.wire, turn, setting, streamed=asked.streamed)
        if not asked.streamed:
            return msgspec.structs.replace(answer, delay=FIRST_FRAGMENT / self._speed)
        events = render.stream(asked.wire, turn, setting)
        return msgspec.structs.replace(answer, body=paced(events, speed=self._speed, seed=turn.reply_id.encode()))
