"""LangChain's chat models as its users use them: ChatAnthropic, ChatOpenAI over both of its wires, and an agent."""

import os
from collections.abc import Callable
from typing import Any

from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from program import ask, play, weather
from pydantic import BaseModel


class Forecast(BaseModel):
    """A forecast."""

    city: str
    degrees: float


@tool("weather")
def look_up(city: str, unit: str = "celsius") -> str:
    """Weather now."""
    del unit
    return weather(city)


def _claude(**more: Any) -> ChatAnthropic:
    return ChatAnthropic(model="claude-sonnet-4-5", base_url=os.environ["ANTHROPIC_BASE_URL"], **more)


def _gpt(**more: Any) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-5.2", base_url=os.environ["OPENAI_BASE_URL"], **more)


def _gpt_responses(**more: Any) -> ChatOpenAI:
    return _gpt(use_responses_api=True, store=False, include=["reasoning.encrypted_content"], **more)


def _told(message: BaseMessage) -> Any:
    """A message without the ids that LangChain draws at random."""
    told = message.model_dump(mode="json")
    if str(told.get("id", "")).startswith("lc_run"):
        del told["id"]
    return told


def _agent(model: BaseChatModel, scene: str) -> Any:
    """A tool loop of several turns, run by LangGraph; ids of its own messages are random."""
    asked = {"messages": [{"role": "user", "content": ask(scene)}]}
    said = create_agent(model, tools=[look_up]).invoke(asked)["messages"]
    return [{**message.model_dump(mode="json"), "id": None} for message in said]


def _scenes(name: str, make: Callable[..., BaseChatModel], loop: str, agent_options: dict[str, Any]) -> list[Any]:
    def invoke() -> Any:
        return _told(make().invoke(ask(f"{name}_invoke")))

    def stream() -> Any:
        return [_told(chunk) for chunk in make().stream(ask(f"{name}_stream"))]

    def structured() -> Any:
        return make().with_structured_output(Forecast).invoke(ask(f"{name}_structured"))

    def agent() -> Any:
        return _agent(make(**agent_options), loop)

    def rate_limited() -> Any:
        return _told(make(max_retries=2).invoke(ask("rate_limited")))

    def bad_request() -> Any:
        return make().invoke(ask("bad_request"))

    made = [invoke, stream, structured, agent, bad_request]
    made += [rate_limited] if name == "anthropic" else []
    for scene in made:
        scene.__name__ = f"{name}_{scene.__name__}"
    return made


SCENES = (
    *_scenes(
        "anthropic", _claude, "tools", {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4096}
    ),
    *_scenes("chat", _gpt, "chat_tools", {}),
    *_scenes("responses", _gpt_responses, "responses_tools", {}),
)

if __name__ == "__main__":
    play(SCENES)
