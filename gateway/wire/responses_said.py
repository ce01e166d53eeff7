"""Texts in Responses items: where they stand, and how a message of ours is said in events."""

from typing import Any, Final

_FIELDS: Final = ("text", "refusal", "transcript")


def said_by(part: dict[str, Any]) -> tuple[str, str] | None:
    """The field of a content part that holds its text, and the text; None where it has no place for any."""
    fields = [field for field in _FIELDS if type(part.get(field)) is str]
    said = next((field for field in fields if part[field]), fields[0] if fields else None)
    return None if said is None else (said, part[said])


def message_item(name: str, place: int, said: str) -> tuple[dict[str, Any], list[tuple[str, dict[str, Any]]]]:
    """A message item that says one text, and the events (without numbers) that stream it at this output index."""
    where: dict[str, Any] = {"output_index": place, "content_index": 0, "item_id": name}
    piece: dict[str, Any] = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
    item: dict[str, Any] = {
        "id": name,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [piece],
    }
    begun: dict[str, Any] = {**item, "status": "in_progress", "content": []}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.output_item.added", {"output_index": place, "item": begun}),
        ("response.content_part.added", {**where, "part": {**piece, "text": ""}}),
        ("response.output_text.delta", {**where, "delta": said, "logprobs": []}),
        ("response.output_text.done", {**where, "text": said, "logprobs": []}),
        ("response.content_part.done", {**where, "part": piece}),
        ("response.output_item.done", {"output_index": place, "item": item}),
    ]
    return item, events
