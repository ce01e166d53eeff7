"""What OpenAI's two wires share: the error envelope, sampling fields and ids of a request, and usage."""

from typing import Any, Final

import msgspec

from gateway.wire.interface import Reply
from gateway.wire.values import count, label, mapping, word
from policies.vocabulary.usage import Usage

_ERROR_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_SERVER_FAULT: Final = 500


def error(kind: str, message: str, exchange_id: str, code: str | None) -> dict[str, Any]:
    """An error of ours, recognisable by its `stepwarden` member."""
    return {
        "message": message,
        "type": kind,
        "param": None,
        "code": code,
        "stepwarden": {"exchange": exchange_id},
    }


def error_body(status: int, message: str, exchange_id: str, code: str | None) -> bytes:
    """OpenAI's JSON error envelope with a type that fits the status."""
    fallback = "server_error" if status >= _SERVER_FAULT else "invalid_request_error"
    return msgspec.json.encode({"error": error(_ERROR_TYPES.get(status, fallback), message, exchange_id, code)})


def error_type(found: Any) -> str | None:
    """The class of an `error` member: its type, else its code; None where there is no error."""
    if not found:
        return None
    fields = mapping(found)
    return label(fields.get("type") or fields.get("code") or "error")


def read_other(value: Any) -> Reply:
    """A reply that is no turn (embeddings, a batch): model, id, usage, and whether it is an error."""
    fields = mapping(value)
    return Reply(
        complete=True,
        response_id=word(fields.get("id")),
        model=word(fields.get("model")),
        error_type=error_type(fields.get("error")),
        usage=usage(mapping(fields.get("usage"))),
    )


def usage(counts: dict[str, Any], *, estimated: bool = False) -> Usage:
    """OpenAI's counts under our meaning; both wires' names, input includes what the cache held."""
    if not counts:
        return Usage(estimated=estimated)
    get = counts.get
    details, more = (
        get("prompt_tokens_details") or get("input_tokens_details"),
        get("completion_tokens_details") or get("output_tokens_details"),
    )
    into, out = mapping(details) if details else {}, mapping(more) if more else {}
    given, made = count(get("prompt_tokens")), count(get("completion_tokens"))
    return Usage(
        input_tokens=count(get("input_tokens")) if given is None else given,
        output_tokens=count(get("output_tokens")) if made is None else made,
        cache_read_tokens=count(into.get("cached_tokens")) if into else None,
        cache_write_tokens=count(into.get("cache_write_tokens")) if into else None,
        reasoning_tokens=count(out.get("reasoning_tokens")) if out else None,
        estimated=estimated,
    )
