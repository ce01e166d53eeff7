"""The OpenAI Agents SDK as its users use it; its tracing, which bypasses any base URL, is off."""

import asyncio
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from program import ask, play, weather
from pydantic import BaseModel

MODEL = "gpt-5.2"


class Forecast(BaseModel):
    city: str
    degrees: float


@function_tool(name_override="weather")
def look_up(city: str, unit: str = "celsius") -> str:
    """Weather now."""
    del unit
    return weather(city)


def _agent(**more: Any) -> Agent[Any]:
    return Agent(name="forecaster", instructions="Be brief.", **{"model": MODEL, **more})


def responses_tools() -> Any:
    settings = ModelSettings(store=False, response_include=["reasoning.encrypted_content"])
    result = Runner.run_sync(_agent(tools=[look_up], model_settings=settings), ask("responses_tools"))
    return [result.final_output, result.to_input_list()]


def chat_tools() -> Any:
    model = OpenAIChatCompletionsModel(MODEL, AsyncOpenAI())
    result = Runner.run_sync(_agent(tools=[look_up], model=model), ask("chat_tools"))
    return [result.final_output, result.to_input_list()]


def typed() -> Any:
    return Runner.run_sync(_agent(output_type=Forecast), ask("typed")).final_output


def streamed() -> Any:
    async def run() -> Any:
        model = OpenAIResponsesModel(MODEL, AsyncOpenAI())  # the SDK's shared client belongs to another event loop
        result = Runner.run_streamed(_agent(model=model), ask("streamed"))
        return [event.data async for event in result.stream_events() if event.type == "raw_response_event"]

    return asyncio.run(run())


def handoff() -> Any:
    """One agent hands over to another."""
    second = Agent(name="transfer", instructions="You are the second.", model=MODEL)
    first = _agent(handoffs=[second])
    result = Runner.run_sync(first, f"{ask('handoff')} Use transfer_to_transfer.")
    return [result.final_output, result.last_agent.name]


def bad_request() -> Any:
    return Runner.run_sync(_agent(), ask("bad_request")).final_output


SCENES = (responses_tools, chat_tools, typed, handoff, bad_request, streamed)  # `streamed` leaves its event loop behind

if __name__ == "__main__":
    set_tracing_disabled(disabled=True)
    play(SCENES)
