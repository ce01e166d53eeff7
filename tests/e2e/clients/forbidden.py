"""The Python SDKs in the loop that most agents are: ask, run what is called, ask again."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import anthropic
import openai
from program import CASES, play

TURNS = 6
"""A loop that has gone on so long is a loop that does not end."""
SCHEMA = {"type": "object", "properties": {"mark": {"type": "string"}}, "required": ["mark"]}
FUNCTION = {"name": "deed", "description": "Does it.", "parameters": SCHEMA}
Loop = Callable[[str, bool], dict[str, Any]]


def _told(scene: str) -> str:
    return f"scene:{scene} Do the deed{', bluebird' if scene.endswith('asked') else ''}."


@cache
def _anthropic() -> anthropic.Anthropic:
    return anthropic.Anthropic()


@cache
def _openai() -> openai.OpenAI:
    return openai.OpenAI()


def _over_anthropic(scene: str, streamed: bool) -> dict[str, Any]:  # noqa: FBT001 - one of two lanes
    tool: Any = {"name": "deed", "description": "Does it.", "input_schema": SCHEMA}
    told: list[Any] = [{"role": "user", "content": _told(scene)}]
    ran: list[str] = []
    for turn in range(TURNS):
        request: Any = {"model": "claude-sonnet-4-5", "max_tokens": 1024, "tools": [tool], "messages": told}
        if streamed:
            with _anthropic().messages.stream(**request) as events:
                message = events.get_final_message()
        else:
            message = _anthropic().messages.create(**request)
        calls = [block for block in message.content if block.type == "tool_use"]
        ran += [str(call.input["mark"]) for call in calls]
        if not calls:
            said = "".join(block.text for block in message.content if block.type == "text")
            return {"ran": ran, "turns": turn + 1, "ended": message.stop_reason, "said": said}
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "done"} for call in calls]
        told += [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    return {"ran": ran, "turns": TURNS, "ended": None, "said": ""}


def _over_chat(scene: str, streamed: bool) -> dict[str, Any]:  # noqa: FBT001 - one of two lanes
    told: list[Any] = [{"role": "user", "content": _told(scene)}]
    ran: list[str] = []
    for turn in range(TURNS):
        request: Any = {"model": "gpt-5.2", "tools": [{"type": "function", "function": FUNCTION}], "messages": told}
        if streamed:
            with _openai().chat.completions.stream(**request) as events:
                choice: Any = events.get_final_completion().choices[0]
        else:
            choice = _openai().chat.completions.create(**request).choices[0]
        calls = choice.message.tool_calls or []
        ran += [json.loads(call.function.arguments)["mark"] for call in calls]
        if not calls:
            return {"ran": ran, "turns": turn + 1, "ended": choice.finish_reason, "said": choice.message.content}
        results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in calls]
        told += [choice.message.model_dump(exclude_none=True), *results]
    return {"ran": ran, "turns": TURNS, "ended": None, "said": ""}


def _over_responses(scene: str, streamed: bool) -> dict[str, Any]:  # noqa: FBT001 - one of two lanes
    told: list[Any] = [{"role": "user", "content": _told(scene)}]
    ran: list[str] = []
    for turn in range(TURNS):
        tools = [{"type": "function", "strict": False, **FUNCTION}]
        request: Any = {"model": "gpt-5.2", "tools": tools, "store": False, "input": told}
        if streamed:
            last: Any = list(_openai().responses.create(stream=True, **request))[-1]
            reply = last.response
        else:
            reply = _openai().responses.create(**request)
        calls = [item for item in reply.output if item.type == "function_call"]
        ran += [json.loads(call.arguments)["mark"] for call in calls]
        if not calls:
            return {"ran": ran, "turns": turn + 1, "ended": reply.status, "said": reply.output_text}
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "done"} for call in calls]
        told += [*[item.model_dump(exclude_none=True) for item in reply.output], *results]
    return {"ran": ran, "turns": TURNS, "ended": None, "said": ""}


LOOPS: dict[str, Loop] = {"anthropic": _over_anthropic, "chat": _over_chat, "responses": _over_responses}


def _scene(wire: str, lane: str, case: str) -> Callable[[], Any]:
    name = f"{wire}_{lane}_{case}"

    def scene() -> Any:
        return LOOPS[wire](name, lane == "stream")

    scene.__name__ = name
    return scene


if __name__ == "__main__":
    play([_scene(wire, lane, case) for wire in LOOPS for lane in ("json", "stream") for case in CASES])
