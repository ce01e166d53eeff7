"""Step rows: the steps of one exchange as one MessagePack array of arrays, and back.

They are written and read together, so they are one value of their exchange's row: a row of their own each, with
its key, its column headers and its bindings, costs four times as much. Ids of step, session and branch follow from
the exchange and are not repeated.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from policies.vocabulary.steps import SeenCall, Step
from storage.facts import Facts

_KINDS = (
    "instructions", "tool_definitions", "user_input", "model_text", "reasoning", "tool_call", "tool_result",
    "retrieval", "handoff",
)  # fmt: skip
_FIDELITIES = ("witnessed", "projected", "reported")
_SIDES = ("request", "response")
# Places in these tuples are on disk: they only ever grow at their ends. A word that is not there stands as itself.
_WORDS = (_KINDS, _FIDELITIES, _SIDES)
_KIND_CODE, _FIDELITY_CODE, _SIDE_CODE = ({word: code for code, word in enumerate(words)} for words in _WORDS)

_TIMES = ("started_ns", "ended_ns", "call_ended_ns")
_REST = (
    "seq", "span_id", "size", "pointer", "cut", "tool", "call_id", "unread", "server_side", "call_span_id",
)  # fmt: skip
_FIELDS = ("kind", "fidelity", "side", *_TIMES, *_REST)
_CODED = len(_WORDS) + len(_TIMES)
_FACTS = Facts(Step, (*_FIELDS, "step_id", "exchange_id", "session_id", "branch_id"))

_values = attrgetter(*_FIELDS)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[Any]]).decode


def step_values(steps: Sequence[Step], from_ns: int) -> list[list[Any]]:
    """What is written of each step, times counted from a moment in nanoseconds."""
    rows: list[list[Any]] = []
    for step in steps:
        row: list[Any] = [*_values(step), *_FACTS.rest(step)]
        kind, fidelity, side, started, ended, call_ended = row[:_CODED]
        row[:_CODED] = (
            _KIND_CODE.get(kind, kind), _FIDELITY_CODE.get(fidelity, fidelity), _SIDE_CODE.get(side, side),
            (started or from_ns) - from_ns, (ended or from_ns) - from_ns,
            None if call_ended is None else call_ended - from_ns,
        )  # fmt: skip
        rows.append(row)
    return rows


def pack_values(rows: Sequence[Sequence[Any]]) -> bytes | None:
    """The steps of one exchange as they are stored; None for no steps."""
    return _encode(rows) if rows else None


def count_steps(packed: bytes | None) -> int:
    """How many steps there are."""
    return 0 if packed is None else len(_decode(packed))


def unpack_steps(
    packed: bytes | None, from_ns: int, exchange_id: str, session_id: str | None, branch_id: str | None
) -> list[Step]:
    """The steps of one exchange in order."""
    return [_step(row, from_ns, exchange_id, session_id or "", branch_id or "") for row in _decode(packed or b"\x90")]


def _step(row: Sequence[Any], from_ns: int, exchange_id: str, session_id: str, branch_id: str) -> Step:
    values: dict[str, Any] = {}
    for facts in row[len(_FIELDS) :]:
        values |= facts
    values |= zip(_FIELDS, row, strict=False)
    for name, words in zip(_FIELDS, _WORDS, strict=False):
        values[name] = _word(values[name], words)
    for name in _TIMES:
        values[name] = None if values[name] is None else values[name] + from_ns
    ids = {"step_id": f"{exchange_id}.{values['seq']:04d}", "exchange_id": exchange_id}
    return msgspec.convert({**values, **ids, "session_id": session_id, "branch_id": branch_id}, Step)


def _word(code: Any, words: Sequence[str]) -> Any:
    return words[code] if isinstance(code, int) else code


def newest_call(rows: Iterable[tuple[bytes, int]], call_id: str) -> SeenCall | None:
    """The first call with this id in packed steps with their moments."""
    for packed, from_ns in rows:
        for step in unpack_steps(packed, from_ns, "", None, None):
            if step.kind == "tool_call" and step.call_id == call_id:
                return SeenCall(step.span_id, step.ended_ns, step.tool)
    return None
