"""Spans: rows of exchanges in the day files, and back."""

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from policies.vocabulary.exchanges import Exchange, Recording
from policies.vocabulary.judgements import Judged
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Step
from policies.vocabulary.usage import Usage
from storage.facts import Facts
from storage.step_rows import pack_values, unpack_steps
from storage.ulids import pack, unpack

Values: TypeAlias = tuple[Any, ...]

_COMMON = (
    "app", "key_id", "provider", "dialect", "operation", "method", "path", "stream", "status", "upstream_status",
    "error_type", "model_requested", "model", "price_version", "client", "verdict",
)  # fmt: skip
_SETTINGS = ("finish_reasons", "max_tokens", "temperature", "top_p", "retry", "tags")
_COMMON_JOIN = ("evidence", "relation", "derived", "lead_known")
_FORM = ("form", "media_type", "encoding")
_BRANCH = ("session_id", "branch_id", "parent_branch_id", "name", "agent_name", "trace_id", "branch_span_id")
_TIMES = ("upstream_started", "first_byte", "first_token", "ended")
_EXCHANGE = (
    "outcome", "response_id", "cost_micro_usd", "server_span_id", "client_span_id", "parent_span_id", "started_ns",
)  # fmt: skip
_USAGE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
_FLAGS = frozenset({"stream", "derived", "lead_known"})

COMMON_COLUMNS = (
    "id", *_COMMON, "settings", *_COMMON_JOIN,
    "request_form", "request_type", "request_encoding", "response_form", "response_type", "response_encoding",
)  # fmt: skip
BRANCH_COLUMNS = ("id", *_BRANCH)
EXCHANGE_COLUMNS = (
    "id", "exchange_id", "common", "branch", *_EXCHANGE, *(f"{name}_after" for name in _TIMES), "known", *_USAGE,
    "facts", "steps", "depth", "joining_state", "reply_fingerprint",
    "request_length", "request_sha256", "request_content", "request_lead", "request_state",
    "response_length", "response_sha256", "response_content", "judged", "end_user",
)  # fmt: skip

EXCHANGES = """
SELECT exchange.*, common.*, branch.* FROM exchange
JOIN common ON common.id = exchange.common
LEFT JOIN branch ON branch.id = exchange.branch
"""
"""Every column of an exchange; `id` names the exchange's own, which comes first."""

_common_values = attrgetter(*_COMMON, *_SETTINGS)
_common_join_values = attrgetter(*_COMMON_JOIN)
_form_values = attrgetter(*_FORM)
_branch_values = attrgetter(*_BRANCH)
_exchange_values = attrgetter(*_EXCHANGE)
_time_values = attrgetter(*(f"{name}_ns" for name in _TIMES))
_usage_values = attrgetter(*_USAGE)
_unjoined = (None,) * len(_COMMON_JOIN)

_TIME_FIELDS = tuple(f"{name}_ns" for name in _TIMES)
_EXCHANGE_FACTS = Facts(Exchange, (*_COMMON, *_SETTINGS, *_EXCHANGE, *_TIME_FIELDS, "exchange_id", "join", "usage"))
_JOIN_FACTS = Facts(Join, (*_COMMON_JOIN, *_BRANCH, "known"))
_USAGE_FACTS = Facts(Usage, _USAGE)
_SETTING_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Exchange)}

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode
_decode_judged = msgspec.msgpack.Decoder(Judged).decode


def newest(day: sqlite3.Connection) -> int:
    """The highest number an exchange of a day has or had; 0 for none."""
    query = "SELECT max(ifnull((SELECT max(id) FROM exchange), 0), ifnull((SELECT max(id) FROM erased), 0))"
    return int(day.execute(query).fetchone()[0])


class BodyRow(msgspec.Struct, frozen=True):
    """How one body is stored."""

    form: str
    length: int
    sha256: bytes
    media_type: str | None
    encoding: str | None
    content: bytes | None = None
    lead: bytes | None = None
    state: bytes | None = None
    messages: int = 0


class Written(NamedTuple):
    """One exchange as it was just written: its rows, in the order of their columns."""

    number: int
    recording: Recording
    exchange: Values
    common: Values
    branch: Values | None
    steps: list[list[Any]]
    """What its row holds packed."""


def common_key(recording: Recording, request: BodyRow, response: BodyRow) -> Values:
    """What an exchange has in common with many others, to look it up by."""
    join = recording.exchange.join
    return (
        _common_values(recording.exchange), _unjoined if join is None else _common_join_values(join),
        _form_values(request), _form_values(response),
    )  # fmt: skip


def common_row(number: int, key: Values) -> Values:
    """The row of `common` that a key stands for."""
    facts, join, request, response = key
    settings = {
        name: value
        for name, value in zip(_SETTINGS, facts[len(_COMMON) :], strict=True)
        if value != _SETTING_DEFAULTS[name]
    }
    values = (*facts[: len(_COMMON)], msgspec.json.encode(settings).decode(), *join, *request, *response)
    # A file knows no booleans.
    return (number, *[int(value) if value.__class__ is bool else value for value in values])


def branch_row(number: int, key: Values) -> Values:
    """The row of `branch` that a key stands for."""
    return (number, *key)


def branch_key(join: Join) -> Values:
    """What an exchange has in common with the others of its branch; the columns of `branch` after `id`."""
    return _branch_values(join)


def exchange_row(
    number: int,
    recording: Recording,
    request: BodyRow,
    response: BodyRow,
    common: int,
    branch: int | None,
    end_user: bytes | None,
    steps: Sequence[Sequence[Any]],
) -> Values:
    """One row of `exchange`, in the order of its columns; `steps` are the values of each."""
    exchange, join, usage = recording.exchange, recording.exchange.join, recording.exchange.usage
    started = exchange.started_ns
    upstream, first_byte, first_token, ended = _time_values(exchange)
    facts = _EXCHANGE_FACTS.of(exchange)
    if join is not None and (rest := _JOIN_FACTS.of(join)):
        facts["join"] = rest
    if rest := _USAGE_FACTS.of(usage):
        facts["usage"] = rest
    return (
        number, pack(exchange.exchange_id), common, branch, *_exchange_values(exchange),
        None if upstream is None else upstream - started, None if first_byte is None else first_byte - started,
        None if first_token is None else first_token - started, (ended or started) - started,
        None if join is None else join.known, *_usage_values(usage), _encode(facts) if facts else None,
        pack_values(steps), request.messages, recording.state, recording.reply_fingerprint,
        request.length, request.sha256, request.content, request.lead, request.state,
        response.length, response.sha256, response.content,
        None if recording.judged is None else zlib.compress(_encode(recording.judged), 1), end_user,
    )  # fmt: skip


def exchange_of(row: sqlite3.Row) -> Exchange:
    """The exchange of a row of `EXCHANGES`."""
    facts = {} if row["facts"] is None else _decode(row["facts"])
    started = row["started_ns"]
    values = {**facts, **msgspec.json.decode(row["settings"]), **_picked(row, (*_COMMON, *_EXCHANGE))}
    values |= {f"{name}_ns": None if (t := row[f"{name}_after"]) is None else started + t for name in _TIMES}
    values["exchange_id"] = unpack(row["exchange_id"])
    values["usage"] = {**facts.get("usage", {}), **_picked(row, _USAGE)}
    if row["branch"] is not None:
        values["join"] = {**facts.get("join", {}), **_picked(row, (*_COMMON_JOIN, *_BRANCH, "known"))}
    return msgspec.convert(values, Exchange)


def judged_of(row: sqlite3.Row) -> Judged | None:
    """What clauses said of the exchange of a row of `EXCHANGES`; None where none were in force."""
    return None if row["judged"] is None else _decode_judged(zlib.decompress(row["judged"]))


def steps_of(row: sqlite3.Row) -> list[Step]:
    """The steps of a row of `EXCHANGES`, in order."""
    return unpack_steps(
        row["steps"], row["started_ns"], unpack(row["exchange_id"]), row["session_id"], row["branch_id"]
    )


def _picked(row: sqlite3.Row, names: Iterable[str]) -> dict[str, Any]:
    return {name: bool(row[name]) if name in _FLAGS else row[name] for name in names}


def body_of(row: sqlite3.Row, side: Literal["request", "response"]) -> BodyRow:
    """How one body of an exchange is stored."""
    request = side == "request"
    return BodyRow(
        form=row[f"{side}_form"],
        length=row[f"{side}_length"],
        sha256=row[f"{side}_sha256"],
        media_type=row[f"{side}_type"],
        encoding=row[f"{side}_encoding"],
        content=row[f"{side}_content"],
        lead=row["request_lead"] if request else None,
        state=row["request_state"] if request else None,
        messages=row["depth"] if request else 0,
    )
