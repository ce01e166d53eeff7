"""LiteLLM as a client, in the loop that most agents are, and DSPy with its provider's own tool calls."""

import json
import os
from typing import Any

import dspy
import litellm
from program import forbidden_scenes, play

TURNS = 6
"""A loop that has gone on so long is a loop that does not end."""
SCHEMA = {"type": "object", "properties": {"mark": {"type": "string"}}, "required": ["mark"]}
FUNCTION = {"name": "deed", "description": "Does it.", "parameters": SCHEMA}
MODELS = {
    "anthropic": ("anthropic/claude-sonnet-4-5", os.environ["ANTHROPIC_BASE_URL"]),
    "chat": ("openai/gpt-4.1", os.environ["OPENAI_BASE_URL"]),
    "responses": ("openai/gpt-4.1", os.environ["OPENAI_BASE_URL"]),
}


def over_completion(wire: str, told: str, *, streamed: bool) -> dict[str, Any]:
    model, base = MODELS[wire]
    history: list[Any] = [{"role": "user", "content": told}]
    ran: list[str] = []
    for _ in range(TURNS):
        tools = [{"type": "function", "function": FUNCTION}]
        reply: Any = litellm.completion(model, api_base=base, messages=history, tools=tools, stream=streamed)
        if streamed:
            reply = litellm.stream_chunk_builder(list(reply), messages=history)
        message = reply.choices[0].message
        calls = message.tool_calls or []
        ran += [json.loads(call.function.arguments)["mark"] for call in calls]
        if not calls:
            return {"ran": ran, "said": message.content, "ended": reply.choices[0].finish_reason}
        results = [{"role": "tool", "tool_call_id": call.id, "content": "done"} for call in calls]
        history += [message.model_dump(exclude_none=True), *results]
    return {"ran": ran, "said": None, "ended": None}


def over_responses(told: str, *, streamed: bool) -> dict[str, Any]:
    model, base = MODELS["responses"]
    history: list[Any] = [{"role": "user", "content": told}]
    ran: list[str] = []
    for _ in range(TURNS):
        tools: Any = [{"type": "function", "strict": False, **FUNCTION}]
        reply: Any = litellm.responses(model=model, input=history, api_base=base, tools=tools, stream=streamed)
        if streamed:
            reply = list(reply)[-1].response
        calls = [item for item in reply.output if item.type == "function_call"]
        ran += [json.loads(call.arguments)["mark"] for call in calls]
        if not calls:
            said = [part.text for item in reply.output if item.type == "message" for part in item.content]
            return {"ran": ran, "said": "".join(said), "ended": reply.status}
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "done"} for call in calls]
        history += [*[item.model_dump(exclude_none=True) for item in reply.output], *results]
    return {"ran": ran, "said": None, "ended": None}


def over_litellm(wire: str, told: str, *, streamed: bool) -> dict[str, Any]:
    if wire == "responses":
        return over_responses(told, streamed=streamed)
    return over_completion(wire, told, streamed=streamed)


class Doing(dspy.Signature):
    """Do what is asked, with the tools there are."""

    question: str = dspy.InputField()
    results: list[str] = dspy.InputField()
    tools: list[dspy.Tool] = dspy.InputField()
    answer: str = dspy.OutputField()
    calls: dspy.ToolCalls = dspy.OutputField()


def over_dspy(wire: str, told: str, *, streamed: bool) -> dict[str, Any]:
    del streamed
    model, base = MODELS[wire]
    ran: list[str] = []

    def deed(mark: str) -> str:
        """Does it."""
        ran.append(mark)
        return "done"

    tools = [dspy.Tool(deed)]
    more: dict[str, Any] = {"model_type": "responses"} if wire == "responses" else {}
    lm = dspy.LM(model, api_base=base, cache=False, num_retries=0, **more)
    results: list[str] = []
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(use_native_function_calling=True)):
        for _ in range(TURNS):
            said = dspy.Predict(Doing)(question=told, results=results, tools=tools)
            calls = said.calls.tool_calls if said.calls else []
            results += [str(call.execute(tools)) for call in calls]
            if not calls:
                return {"ran": ran, "said": said.answer}
    return {"ran": ran, "said": None}


if __name__ == "__main__":
    play([
        *forbidden_scenes("litellm", over_litellm),
        *forbidden_scenes("dspy", over_dspy, lanes=("json",)),
    ])  # fmt: skip
