"""Contents for a bundle: an exchange's texts and exact bodies, with the blind by which the log vouches for them."""

from base64 import b64encode
from typing import Any, Literal

import msgspec

from gateway.api.ports import Records
from gateway.api.reading import Reader
from policies.errors import StepwardenError
from storage.rows import RecordedRow

_LONGEST = 10_000_000


def content_line(row: RecordedRow, records: Records, reader: Reader) -> bytes:
    """One line of `content/DAY.jsonl`. What was not kept, or cannot be read back, is said so in its place."""
    exchange = row.exchange
    steps = [
        {"step_id": step.step_id, "kind": step.kind, "tool": step.tool, "text": step.text}
        for step in reader.steps([exchange], row.steps, longest=_LONGEST)
    ]
    said: dict[str, Any] = {
        "exchange_id": exchange.exchange_id,
        "blind": exchange.blind.hex(),
        "steps": steps,
        "request": _body(records, exchange.exchange_id, "request"),
        "response": _body(records, exchange.exchange_id, "response"),
    }
    return msgspec.json.encode(said) + b"\n"


def _body(records: Records, exchange_id: str, side: Literal["request", "response"]) -> dict[str, Any]:
    try:
        body = records.body(exchange_id, side)
    except StepwardenError as error:
        return {"base64": None, "why": str(error)}
    if body is None or body.raw is None:
        return {"base64": None, "why": "it was not kept"}
    return {
        "base64": b64encode(body.raw).decode(),
        "sha256": body.sha256.hex(),
        "media_type": body.media_type,
        "content_encoding": body.content_encoding,
    }
