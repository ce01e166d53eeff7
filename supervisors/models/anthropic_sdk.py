"""Anthropic: a supervisor's model behind the vendor's own SDK. The SDK's one door on this floor, loaded where named.

It is told to try nothing twice, to follow no redirect, and to take neither proxies nor an address from the
environment: where calls go is the configuration's alone.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec

from supervisors.models.http_status import seconds_of, unanswered
from supervisors.models.interface import Completion, Prompt, Stop, Unanswered
from supervisors.models.key import LookUp, usable

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

SDK: Final = "anthropic"
"""What takes two seconds to import: whoever makes a model may have it imported beside, so that no call waits for it."""

MOST_BYTES: Final = 1 << 20
"""Of an answer; a longer one is none."""

_STOPS: Final[dict[str | None, Stop]] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refused",
}


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct, frozen=True):
    """What is read of an answer; the rest is passed over."""

    model: str
    content: tuple[_Block, ...]
    stop_reason: str | None = None
    usage: _Usage = _Usage()


class AnthropicModel:
    """One model of one address that speaks Messages."""

    def __init__(self, name: str, *, base_url: str, key: LookUp) -> None:
        self.name = name
        self._base_url = base_url
        self._key = key
        self._client: AsyncAnthropic | None = None
        self._making = asyncio.Lock()

    async def complete(self, prompt: Prompt, *, seconds: float) -> Completion:
        """See `Model.complete`."""
        client = await self._keyed(usable(self._key))
        return _completion(await self._answer(client, prompt, seconds))

    async def close(self) -> None:
        """See `Model.close`."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _keyed(self, key: str) -> "AsyncAnthropic":
        """A client with this key: a new one where the key is another than before."""
        async with self._making:
            if self._client is not None and self._client.api_key != key:
                await self.close()
            if self._client is None:
                self._client = await asyncio.to_thread(self._made, key)
            return self._client

    def _made(self, key: str) -> "AsyncAnthropic":
        """A new client; the SDK and certificates take too long to load for an event loop."""
        from anthropic import AsyncAnthropic  # noqa: PLC0415 - see `SDK`
        from httpx2 import AsyncClient  # noqa: PLC0415

        client = AsyncAnthropic(
            api_key=key,
            base_url=self._base_url,
            max_retries=0,
            open_telemetry=False,
            # The SDK's own default takes proxies from the environment.
            http_client=AsyncClient(trust_env=False, follow_redirects=False),
        )
        _ = client.messages
        return client

    async def _answer(self, client: "AsyncAnthropic", prompt: Prompt, seconds: float) -> bytes:
        """The body of the answer. Raises `Unanswered`."""
        from anthropic import APIConnectionError, APIError, APIStatusError, APITimeoutError  # noqa: PLC0415

        try:
            messages: Any = client.messages
            answer: Any = await messages.with_raw_response.create(**_request(self.name, prompt), timeout=seconds)
        except APIStatusError as error:
            raise unanswered(error.status_code, seconds_of(error.response.headers.get("retry-after"))) from None
        except APITimeoutError as error:
            raise Unanswered("timed_out", sent=_was_sent(error)) from None
        except APIConnectionError as error:
            raise Unanswered("unreachable", sent=_was_sent(error)) from None
        except APIError:
            raise Unanswered("answer_invalid") from None
        return answer.http_response.content


def _request(model: str, prompt: Prompt) -> dict[str, Any]:
    """Marks for the provider's cache stand behind what repeats: the rubric, and what was shown before."""
    cached = {"type": "ephemeral"}
    shown: list[dict[str, Any]] = [{"type": "text", "text": text} for text in prompt.history]
    if shown:
        shown[-1]["cache_control"] = cached
    request: dict[str, Any] = {
        "model": model,
        "max_tokens": prompt.most_tokens,
        "thinking": {"type": "disabled"},
        "system": [{"type": "text", "text": prompt.system, "cache_control": cached}],
        "messages": [{"role": "user", "content": [*shown, {"type": "text", "text": prompt.question}]}],
    }
    if prompt.schema is not None:
        request["output_config"] = {"format": {"type": "json_schema", "schema": dict(prompt.schema)}}
    return request


def _completion(body: bytes) -> Completion:
    if len(body) > MOST_BYTES:
        raise Unanswered("answer_too_long")
    try:
        message = msgspec.json.decode(body, type=_Message)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unanswered("answer_invalid") from None
    stop = _STOPS.get(message.stop_reason)
    if stop is None:
        raise Unanswered("answer_invalid")
    usage = message.usage
    read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Completion(
        text="".join([block.text for block in message.content if block.type == "text"]),
        stop=stop,
        model=message.model,
        input_tokens=None if usage.input_tokens is None else usage.input_tokens + read + written,
        cached_tokens=read,
        cache_write_tokens=written,
        output_tokens=usage.output_tokens,
    )


def _was_sent(error: Exception) -> bool:
    """Whether a call may have reached the provider: it cannot where no connection was ever there."""
    return type(error.__cause__).__name__ not in ("ConnectError", "ConnectTimeout", "PoolTimeout")
