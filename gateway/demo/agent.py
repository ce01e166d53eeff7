"""The demo's agent: an unmodified `anthropic` client that plays the user's side and the tools of a recorded run.

It is an ordinary agent loop over streaming Messages. What the user says and what the tools answer comes from the
recording; what the model says comes over the wire from whoever answers, and is believed.
"""

import warnings
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from gateway.demo.asked import Json
from gateway.demo.playback import RecordedMessage, Run
from policies.errors import StepwardenError

if TYPE_CHECKING:
    from anthropic import Anthropic
    from anthropic.lib.streaming import MessageStreamManager
    from anthropic.types import Message

_MAX_TOKENS = 4096
_TIMEOUT = 60.0
"""Seconds a reply may take."""


class NotAnswered(StepwardenError):
    """A request of the agent's was refused, or nobody answered it."""

    def remedy(self) -> str:
        """What to look at."""
        return "Look at what the configuration says of limits and providers; the demo by itself needs none."


class Began(msgspec.Struct, frozen=True):
    """A recorded run starts."""

    run: Run


class UserSaid(msgspec.Struct, frozen=True):
    """The recorded user speaks."""

    text: str


class Fragment(msgspec.Struct, frozen=True):
    """A piece of the model's text, as it streams in."""

    text: str


class AgentSaid(msgspec.Struct, frozen=True):
    """The model's whole text of one turn; its Fragments came before."""

    text: str


class AgentCalled(msgspec.Struct, frozen=True):
    """The model calls a tool."""

    call_id: str
    """The id that the provider gave, and that goes back with the result."""
    tool: str
    arguments: Json


class ToolReturned(msgspec.Struct, frozen=True):
    """The recorded result of a call."""

    call_id: str
    tool: str
    text: str


class Strayed(msgspec.Struct, frozen=True):
    """The model did what the recording does not hold, so there is no result to give: the run ends here."""

    tool: str


class Ended(msgspec.Struct, frozen=True):
    """The run is over."""

    run: Run
    requests: int
    input_tokens: int
    """Summed over requests, as the provider counted them."""
    output_tokens: int


Event: TypeAlias = Began | UserSaid | Fragment | AgentSaid | AgentCalled | ToolReturned | Strayed | Ended


def client(base_url: str, *, api_key: str) -> "Anthropic":
    """The vendor's SDK, pointed at `base_url` (no `/v1`); loopback is never sent through a proxy of the user's."""
    from anthropic import Anthropic, DefaultHttpxClient  # noqa: PLC0415 -- imported late: it takes half a second

    transport = DefaultHttpxClient(trust_env=False)
    return Anthropic(api_key=api_key, base_url=base_url, timeout=_TIMEOUT, http_client=transport)


class Agent:
    """Plays one run against one client."""

    def __init__(self, run: Run, anthropic: "Anthropic") -> None:
        self._run = run
        self._anthropic = anthropic
        self._messages: list[Any] = []
        self._results = self._recorded_results()
        self._requests = 0
        self._input_tokens = 0
        self._output_tokens = 0

    def play(self) -> Iterator[Event]:
        """The run, step by step, to its end or to where the model strays from it."""
        yield Began(self._run)
        for message in self._user_messages():
            yield UserSaid(message.content)
            self._messages.append({"role": "user", "content": message.content})
            strayed = yield from self._until_answered()
            if strayed:
                break
        yield Ended(self._run, self._requests, self._input_tokens, self._output_tokens)

    def _user_messages(self) -> list[RecordedMessage]:
        """What the user says; a last word that the recording leaves without an answer is not said."""
        last = max((n for n, message in enumerate(self._run.messages) if message.role == "assistant"), default=-1)
        return [message for message in self._run.messages[:last] if message.role == "user"]

    def _recorded_results(self) -> dict[tuple[str, str], list[str]]:
        """Results by tool and arguments, in the order in which they were given."""
        found: dict[tuple[str, str], list[str]] = {}
        for message in self._run.messages:
            for call in message.calls:
                result = self._run.result(call.id)
                if result is not None:
                    arguments = msgspec.json.decode(call.arguments)
                    found.setdefault(_key(call.name, arguments), []).append(result)
        return found

    def _until_answered(self) -> Generator[Event, None, bool]:
        """Turns of the model until one calls no tool. Returns whether it strayed."""
        while True:
            reply = yield from self._ask()
            self._messages.append({"role": "assistant", "content": reply.content})
            results: list[Json] = []
            for block in reply.content:
                if block.type != "tool_use":
                    continue
                yield AgentCalled(block.id, block.name, block.input)
                recorded = self._results.get(_key(block.name, block.input))
                if not recorded:
                    yield Strayed(block.name)
                    return True
                text = recorded.pop(0)
                yield ToolReturned(block.id, block.name, text)
                results.append({"type": "tool_result", "tool_use_id": block.id, "content": text})
            if not results:
                return False
            self._messages.append({"role": "user", "content": results})

    def _ask(self) -> Generator[Event, None, "Message"]:
        """One streamed reply. Returns the SDK's Message. Raises `NotAnswered`."""
        from anthropic import APIError  # noqa: PLC0415 -- as in `client`

        try:
            with self._request() as stream:
                for text in stream.text_stream:
                    yield Fragment(text)
                reply = stream.get_final_message()
        except APIError as error:
            raise NotAnswered(f"the agent was not answered: {error.message}") from error
        self._count(reply)
        text = "".join(block.text for block in reply.content if block.type == "text")
        if text:
            yield AgentSaid(text)
        return reply

    def _request(self) -> "MessageStreamManager[None]":
        tools: Any = list(self._run.tools)
        with warnings.catch_warnings():
            # The SDK warns of models that have been retired; the runs were recorded before, and say so honestly.
            warnings.simplefilter("ignore", DeprecationWarning)
            return self._anthropic.messages.stream(
                model=self._run.model,
                max_tokens=_MAX_TOKENS,
                system=self._run.system,
                messages=self._messages,
                tools=tools,
            )

    def _count(self, reply: "Message") -> None:
        self._requests += 1
        self._input_tokens += reply.usage.input_tokens
        self._output_tokens += reply.usage.output_tokens


def _key(tool: str, arguments: Any) -> tuple[str, str]:
    return tool, msgspec.json.encode(arguments, order="deterministic").decode()
