"""The wire corpus: exchanges as JSON files, and parts and replies said in words, so that expectations read well."""

import json
from pathlib import Path
from typing import Any

import msgspec

from gateway.wire.interface import Reply
from policies.vocabulary.steps import Part

CORPUS = Path(__file__).parent.parent / "corpus" / "wire"


def exchanges() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(CORPUS.glob("*.json"))}


def words(part: Part) -> str:
    said = part.kind
    if part.tool:
        said += f" {part.tool}"
    if part.call_id:
        said += f" ({part.call_id})"
    if part.server_side:
        said += ", run by the provider"
    if part.unread:
        said += f", unread: {part.unread}"
    return f"{said}, at {part.pointer or 'the top'}: {part.text}"


def facts(reply: Reply) -> dict[str, Any]:
    built: dict[str, Any] = json.loads(msgspec.json.encode(reply))
    usage = {name: value for name, value in built.pop("usage").items() if value is not None and value is not False}
    dropped = ("parts", "first_token_ns")
    return {name: value for name, value in built.items() if value and name not in dropped} | {"usage": usage}


def sse(dialect: str, events: list[Any]) -> bytes:
    lines: list[str] = []
    for event in events:
        if dialect != "chat":
            lines.append(f"event: {event['type']}\n")
        lines.append(f"data: {event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)}\n\n")
    return "".join(lines).encode()
