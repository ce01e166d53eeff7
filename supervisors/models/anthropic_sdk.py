"""Anthropic: a supervisor's model behind the vendor's own SDK. The SDK's one door on this floor, loaded where named.

The SDK writes the request and says what its answer is; a `Post` to the configured address carries both. So nothing is
sent twice, no redirect is followed, no proxy or address is taken from the environment, and no more of an answer is
read than is allowed.
"""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from supervisors.models.http_status import unanswered, unsent
from supervisors.models.interface import Completion, Prompt, Stop, Unanswered, counted
from supervisors.models.key import LookUp, usable
from supervisors.ports import Post, Unposted

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from httpx2 import AsyncBaseTransport, Request

SDK: Final = "anthropic"
"""What takes two seconds to import: whoever makes a model may have it imported beside, so that no call waits for it."""

PATH: Final = "/v1/messages"
MOST_BYTES: Final = 1 << 20
"""Of an answer; a longer one is none."""

_THE_POSTS: Final = frozenset(
    {b"host", b"connection", b"content-length", b"content-type", b"accept", b"accept-encoding", b"user-agent"}
)
"""Headers that whoever carries a request writes himself."""

_LOOKED_BACK: Final = 19
_MARKS: Final = 3
"""Of the four marks there may be one stands behind the rubric. From each the provider looks back over twenty blocks for
what it remembers, so these find the end of the last call's history behind as many steps as came since."""

_OK: Final = 200
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

    def __init__(self, name: str, *, post: Post, key: LookUp) -> None:
        """`post` goes to the configured address and `PATH`."""
        self.name = name
        self._post = post
        self._key = key
        self._client: AsyncAnthropic | None = None
        self._making = asyncio.Lock()

    async def ready(self) -> None:
        """See `Model.ready`: the SDK, and a client with the key as it is now; a key that is none is told when used."""
        with suppress(Unanswered):
            await self._keyed(usable(self._key))

    async def complete(self, prompt: Prompt, *, seconds: float) -> Completion:
        """See `Model.complete`."""
        client = await self._keyed(usable(self._key))
        return _completion(await self._answer(client, prompt, seconds))

    async def close(self) -> None:
        """See `Model.close`."""
        await self._post.close()

    async def _keyed(self, key: str) -> "AsyncAnthropic":
        """A client with this key: a new one where the key is another than before. All of them share the `Post`."""
        async with self._making:
            if self._client is None or self._client.api_key != key:
                self._client = await asyncio.to_thread(self._made, key)
            return self._client

    def _made(self, key: str) -> "AsyncAnthropic":
        """A new client; the SDK takes too long to load for an event loop."""
        from anthropic import AsyncAnthropic  # noqa: PLC0415 - see `SDK`
        from httpx2 import AsyncClient  # noqa: PLC0415

        client = AsyncAnthropic(
            api_key=key,
            base_url="http://supervisor.invalid",  # where requests go is the `Post`'s affair
            max_retries=0,
            open_telemetry=False,
            http_client=AsyncClient(transport=_carried(self._post), trust_env=False, follow_redirects=False),
        )
        _ = client.messages
        return client

    async def _answer(self, client: "AsyncAnthropic", prompt: Prompt, seconds: float) -> bytes:
        """The body of the answer. Raises `Unanswered`."""
        from anthropic import APIConnectionError, APIError  # noqa: PLC0415

        try:
            messages: Any = client.messages
            answer: Any = await messages.with_raw_response.create(**request_of(self.name, prompt), timeout=seconds)
        except APIConnectionError as error:
            if isinstance(error.__cause__, Unanswered):
                raise error.__cause__ from None
            raise
        except APIError:
            raise Unanswered("answer_invalid") from None
        return answer.http_response.content


def _carried(post: Post) -> "AsyncBaseTransport":
    """What the SDK sends through. Raises `Unanswered` into the SDK, which hands it on as a cause."""
    from httpx2 import AsyncBaseTransport, Response  # noqa: PLC0415 - see `SDK`

    class Carried(AsyncBaseTransport):
        async def handle_async_request(self, request: "Request") -> Response:
            headers = [(name, value) for name, value in request.headers.raw if name.lower() not in _THE_POSTS]
            try:
                posted = await post.post(await request.aread(), key=None, most=MOST_BYTES, headers=headers)
            except Unposted as failed:
                raise unsent(failed) from None
            if posted.status != _OK:
                raise unanswered(posted.status, posted.retry_after_seconds)
            return Response(_OK, headers={"content-type": "application/json"}, content=posted.body)

    return Carried()


def request_of(model: str, prompt: Prompt) -> dict[str, Any]:
    """What the SDK is called with. Marks for the cache stand behind what repeats: the rubric, what was shown before."""
    cached = {"type": "ephemeral"}
    shown: list[dict[str, Any]] = [{"type": "text", "text": text} for text in prompt.history]
    for block in shown[::-_LOOKED_BACK][:_MARKS]:
        block["cache_control"] = cached
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
    try:
        message = msgspec.json.decode(body, type=_Message)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unanswered("answer_invalid") from None
    stop = _STOPS.get(message.stop_reason)
    if stop is None:
        raise Unanswered("answer_invalid")
    usage = message.usage
    own, read, written = [
        counted(count)
        for count in (usage.input_tokens, usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0)
    ]
    return Completion(
        text="".join([block.text for block in message.content if block.type == "text"]),
        stop=stop,
        model=message.model,
        input_tokens=None if own is None or read is None or written is None else own + read + written,
        cached_tokens=read,
        cache_write_tokens=written,
        output_tokens=counted(usage.output_tokens),
    )
