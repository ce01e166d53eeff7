"""pydantic-ai as its users use it: an agent with a tool, a typed result and a stream, over all three wires."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from program import ask, play, weather
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel


class Forecast(BaseModel):
    city: str
    degrees: float


def _turns(messages: Any) -> Any:
    """The turns of a run, without clocks and ids that the client makes."""
    drop = {"timestamp", "run_id", "conversation_id"}
    if isinstance(messages, dict):
        return {key: _turns(value) for key, value in messages.items() if key not in drop}
    return [_turns(each) for each in messages] if isinstance(messages, list) else messages


def _scenes(name: str, make: Callable[[], Model], loop: str, settings: Any) -> list[Any]:
    def tools() -> Any:
        agent = Agent(make(), instructions="Be brief.", model_settings=settings)

        @agent.tool_plain(name="weather")
        def look_up(city: str, unit: str = "celsius") -> str:
            """Weather now."""
            del unit
            return weather(city)

        result = agent.run_sync(ask(loop))
        return [result.output, _turns(_messages(result))]

    def typed() -> Any:
        return Agent(make(), output_type=Forecast).run_sync(ask(f"{name}_typed")).output

    def stream() -> Any:
        async def run() -> Any:
            async with Agent(make()).run_stream(ask(f"{name}_stream")) as result:
                return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

        return asyncio.run(run())

    def bad_request() -> Any:
        return Agent(make()).run_sync(ask("bad_request")).output

    made = [tools, typed, stream, bad_request]
    for scene in made:
        scene.__name__ = f"{name}_{scene.__name__}"
    return made


def _messages(result: Any) -> Any:
    return json.loads(result.all_messages_json())


THINKING = {"anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}

SCENES = (
    *_scenes("anthropic", lambda: AnthropicModel("claude-sonnet-4-5"), "tools", THINKING),
    *_scenes("chat", lambda: OpenAIChatModel("gpt-5.2"), "chat_tools", None),
    *_scenes("responses", lambda: OpenAIResponsesModel("gpt-5.2"), "responses_tools", None),
)

if __name__ == "__main__":
    play(SCENES)
