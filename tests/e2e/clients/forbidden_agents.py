"""LangChain, pydantic-ai and the OpenAI Agents SDK run an agent with one tool, as their users have them do."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import agents
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from program import forbidden_scenes, play
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

CLAUDE, GPT = "claude-sonnet-4-5", "gpt-5.2"


def _langchain_model(wire: str, *, streamed: bool) -> BaseChatModel:
    if wire == "anthropic":
        return ChatAnthropic(model=CLAUDE, base_url=os.environ["ANTHROPIC_BASE_URL"], streaming=streamed)
    more: dict[str, Any] = {"use_responses_api": True, "store": False} if wire == "responses" else {}
    return ChatOpenAI(model=GPT, base_url=os.environ["OPENAI_BASE_URL"], streaming=streamed, **more)


def langchain(wire: str, told: str, *, streamed: bool) -> dict[str, Any]:
    ran: list[str] = []

    @tool("deed")
    def deed(mark: str) -> str:
        """Does it."""
        ran.append(mark)
        return "done"

    agent = create_agent(_langchain_model(wire, streamed=streamed), tools=[deed])
    last = agent.invoke({"messages": [{"role": "user", "content": told}]})["messages"][-1]
    return {"ran": ran, "said": last.text}


PYDANTIC: dict[str, Callable[[], Any]] = {
    "anthropic": lambda: AnthropicModel(CLAUDE),
    "chat": lambda: OpenAIChatModel(GPT),
    "responses": lambda: OpenAIResponsesModel(GPT),
}


async def _drained(_: Any, events: Any) -> None:
    async for _event in events:
        pass


def pydantic_ai(wire: str, told: str, *, streamed: bool) -> dict[str, Any]:
    ran: list[str] = []
    agent = Agent(PYDANTIC[wire]())

    @agent.tool_plain(name="deed")
    def deed(mark: str) -> str:
        """Does it."""
        ran.append(mark)
        return "done"

    result = agent.run_sync(told, event_stream_handler=_drained if streamed else None)
    return {"ran": ran, "said": result.output}


def openai_agents(wire: str, told: str, *, streamed: bool) -> dict[str, Any]:
    ran: list[str] = []

    @agents.function_tool(name_override="deed")
    def deed(mark: str) -> str:
        """Does it."""
        ran.append(mark)
        return "done"

    async def run() -> Any:
        kind = agents.OpenAIResponsesModel if wire == "responses" else agents.OpenAIChatCompletionsModel
        agent = agents.Agent(name="doer", model=kind(GPT, AsyncOpenAI()), tools=[deed])
        if not streamed:
            return await agents.Runner.run(agent, told)
        result = agents.Runner.run_streamed(agent, told)
        async for _ in result.stream_events():
            pass
        return result

    return {"ran": ran, "said": asyncio.run(run()).final_output}


if __name__ == "__main__":
    agents.set_tracing_disabled(disabled=True)
    play([
        *forbidden_scenes("langchain", langchain),
        *forbidden_scenes("pydantic_ai", pydantic_ai),
        *forbidden_scenes("openai_agents", openai_agents, wires=("chat", "responses")),
    ])  # fmt: skip
