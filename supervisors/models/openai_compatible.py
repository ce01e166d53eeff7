"""OpenAI-compatible: a supervisor's model behind any `/chat/completions`, a local one included.

It speaks the small part of that dialect which all of them know, over a `Post` to the configured address.
"""

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from supervisors.models.http_status import unanswered, unsent
from supervisors.models.interface import Completion, Prompt, Stop, Unanswered, counted
from supervisors.models.key import LookUp, usable
from supervisors.ports import Post, Unposted

PATH: Final = "/chat/completions"
MOST_BYTES: Final = 1 << 20

_OK: Final = 200
_STOPS: Final[dict[str | None, Stop]] = {"stop": "end", "length": "length", "content_filter": "refused"}


class _Said(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Said
    finish_reason: str | None = None


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Completion(msgspec.Struct, frozen=True):
    """What is read of an answer; the rest is passed over."""

    choices: Annotated[tuple[_Choice, ...], Meta(min_length=1)]
    model: str = ""
    usage: _Usage | None = None


class OpenAiCompatibleModel:
    """One model of one address."""

    def __init__(self, name: str, *, base_url: str, post: Post, key: LookUp | None) -> None:
        """`post` goes to `base_url` and `PATH`. `key` is None where the address wants none."""
        self.name = name
        self._post = post
        self._key = key
        # The vendor refuses the old name for its newer models; most others know the old one only.
        official = (urlsplit(base_url).hostname or "").endswith("openai.com")
        self._limit = "max_completion_tokens" if official else "max_tokens"

    async def ready(self) -> None:
        """See `Model.ready`: nothing takes long."""

    async def complete(self, prompt: Prompt, *, seconds: float) -> Completion:
        """See `Model.complete`; the deadline is kept by whoever calls."""
        del seconds
        key = None if self._key is None else usable(self._key)
        body = msgspec.json.encode(self._request(prompt))
        try:
            posted = await self._post.post(body, key=key, most=MOST_BYTES)
        except Unposted as failed:
            raise unsent(failed) from None
        if posted.status != _OK:
            raise unanswered(posted.status, posted.retry_after_seconds)
        return _completion(posted.body, self.name)

    async def close(self) -> None:
        """See `Model.close`."""
        await self._post.close()

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        shown = "\n".join([*prompt.history, prompt.question])
        request: dict[str, Any] = {
            "model": self.name,
            self._limit: prompt.most_tokens,
            "messages": [{"role": "system", "content": prompt.system}, {"role": "user", "content": shown}],
        }
        if prompt.schema is not None:
            schema = {"name": "critique", "strict": True, "schema": dict(prompt.schema)}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        return request


def _completion(body: bytes, name: str) -> Completion:
    try:
        answer = msgspec.json.decode(body, type=_Completion)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise Unanswered("answer_invalid") from None
    choice, usage = answer.choices[0], answer.usage or _Usage()
    details = usage.prompt_tokens_details or _Details()
    stop = "refused" if choice.message.refusal else _STOPS.get(choice.finish_reason)
    if stop is None:
        raise Unanswered("answer_invalid")
    return Completion(
        text=choice.message.content or "",
        stop=stop,
        model=answer.model or name,
        input_tokens=counted(usage.prompt_tokens),
        cached_tokens=counted(details.cached_tokens),
        output_tokens=counted(usage.completion_tokens),
    )
