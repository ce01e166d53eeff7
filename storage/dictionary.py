"""Makes the compression dictionary of codec 2 from synthetic text. Nobody's data is in it.

Run `python -m storage.dictionary OUT` to train one again. The shipped file never changes: contents on disk
need these very bytes, so a better dictionary is a new file under a new codec number.
"""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import zstandard

SEED = 20261123
DICTIONARY_BYTES = 48 * 1024

_KNOWN_SHARE = 0.55
"""How much of the prose is whole sentences; the rest is words in natural frequency."""

_SENTENCES: tuple[str, ...] = tuple(
    """
I'll start by looking at the files in the project to understand how it is organised.
Let me check the current state of the repository before making any changes.
Let me read the file to see what the function does.
Now I need to update the tests so that they cover the new behaviour.
The test failed because the expected value does not match the actual result.
I have found the problem: the variable is used before it has been defined.
The command completed successfully and there were no errors in the output.
You are a helpful assistant. You have access to the following tools.
You are a customer service agent. Follow the policy below and do not make up any information.
If the user asks for something that is not allowed, you should politely refuse and explain why.
Before taking any action, list the details and obtain explicit confirmation from the user to proceed.
Only make one tool call at a time, and if you make a tool call, do not respond to the user in the same turn.
Always use the absolute path when you read or write a file, and never guess the contents of a file.
Could you please provide your order number and the email address that is associated with your account?
Thank you for your patience. I have checked your reservation and here are the details.
I want to change my flight from New York to San Francisco on the twentieth of May.
Please cancel the order and refund the money to the original payment method.
Is there anything else that I can help you with today?
The user wants to know how many items are in stock, so I should call the search tool first.
First, I will search the web for the latest information about this topic.
According to the documentation, this parameter is optional and defaults to false.
Sends a message to the recipient with the given subject and body.
Returns a list of all the transactions in the account, ordered by date.
The name of the file to be created, relative to the current working directory.
The maximum number of results that should be returned. Must be between one and one hundred.
The identifier of the user, such as 'first_last_1234'.
Updates the status of the task. Use this when the work has been completed or is no longer needed.
Executes a shell command and returns its output. The command must not require any interactive input.
Searches for a pattern in the contents of all files and returns the matching lines with their line numbers.
There is a meeting with the team at ten o'clock on Monday in the large conference room.
The invoice of the last month has not been paid yet; the amount due is 1,250.00 dollars.
This approach should work, but we also need to handle the case where the list is empty.
I would recommend that you create a backup of the database before running the migration.
The request could not be completed because the server returned an unexpected status code.
In summary, there are three options, each of which has its own advantages and disadvantages.
Here is a summary of what I have done and what still needs to be done.
""".strip().splitlines()
)

_WORDS = (  # noqa: SIM905 - 250 strings one below the other would be read by nobody
    "the of and to in is that it for was on are as with his they at be this have from or one had by word but not what "
    "all were we when your can said there use an each which she do how their if will up other about out many then "
    "them these so some her would make like him into time has look two more write go see number no way could people "
    "my than first water been call who its now find long down day did get come made may part over new sound take only "
    "little work know place year live me back give most very after thing our just name good sentence man think say "
    "great where help through much before line right too mean old any same tell follow came want show also around "
    "form three small set put end does another well large must big even such because turn here why ask went men read "
    "need land different home us move try kind hand picture again change off play spell air away animal house point "
    "page letter mother answer found study still learn should world customer account payment balance reservation "
    "flight passenger order delivery product available between information current previous request response "
    "configuration directory environment repository function parameter argument variable object string integer value "
    "error exception message result status success failure update delete insert select search query table column"
).split()

_TOOLS = (  # noqa: SIM905 - as above
    "get_user_details search_files read_file write_file run_command list_directory send_email get_balance "
    "search_direct_flight book_reservation cancel_order update_status create_calendar_event get_weather"
).split()

Json: TypeAlias = dict[str, Any]
Sample: TypeAlias = Callable[[random.Random], Any]


def _prose(rng: random.Random, sentences: int) -> str:
    return " ".join(_sentence(rng) for _ in range(sentences))


def _sentence(rng: random.Random) -> str:
    if rng.random() < _KNOWN_SHARE:
        return rng.choice(_SENTENCES)
    words = rng.choices(_WORDS, weights=[1 / (rank + 8) for rank in range(len(_WORDS))], k=rng.randint(5, 16))
    return " ".join(words).capitalize() + rng.choice([".", ".", ".", "?", ":\n"])


def _token(rng: random.Random, prefix: str, length: int) -> str:
    return prefix + "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0123456789", k=length))


def _date(rng: random.Random) -> str:
    return f"202{rng.randint(4, 7)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"


def _arguments(rng: random.Random) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "user_id": _token(rng, "user_", 6),
        "path": f"/home/user/project/src/{rng.choice(_WORDS)}.py",
        "query": " ".join(rng.choices(_WORDS, k=3)),
        "command": rng.choice(["ls -la", "git status", "python -m pytest -q", "grep -rn 'def ' src/", "cat README.md"]),
        "date": _date(rng),
        "limit": rng.randint(1, 100),
        "content": _prose(rng, 1),
        "recursive": rng.choice([True, False]),
    }
    return {name: choices[name] for name in rng.sample(sorted(choices), k=rng.randint(1, 4))}


def _record(rng: random.Random) -> dict[str, Any]:
    return {
        "id": _token(rng, "", 8),
        "name": " ".join(rng.choices(_WORDS, k=2)).title(),
        "status": rng.choice(["available", "pending", "delivered", "cancelled", "active"]),
        "price": rng.randint(10, 4000) / 4,
        "created_at": f"{_date(rng)}T{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00Z",
        "email": f"{rng.choice(_WORDS)}.{rng.choice(_WORDS)}@example.com",
        "items": [rng.choice(_WORDS) for _ in range(rng.randint(0, 4))],
        "description": _sentence(rng),
    }


def _result_text(rng: random.Random) -> str:
    shape = rng.choice(["records", "record", "matches", "traceback"])
    if shape == "records":
        return json.dumps([_record(rng) for _ in range(rng.randint(1, 5))])
    if shape == "record":
        return json.dumps(_record(rng), indent=2)
    if shape == "matches":
        lines = (f"src/{rng.choice(_WORDS)}.py:{rng.randint(1, 400)}: {_sentence(rng)}" for _ in range(8))
        return "\n".join(lines)
    return (
        f'Traceback (most recent call last):\n  File "/home/user/project/src/{rng.choice(_WORDS)}.py", line '
        f"{rng.randint(1, 400)}, in {rng.choice(_TOOLS)}\n    return self.{rng.choice(_WORDS)}({rng.choice(_WORDS)})\n"
        f"ValueError: {_sentence(rng)}\n"
    )


def _schema(rng: random.Random) -> dict[str, Any]:
    properties: Json = {
        name: {"type": rng.choice(["string", "string", "integer", "boolean"]), "description": rng.choice(_SENTENCES)}
        for name in rng.sample(["user_id", "path", "query", "command", "date", "limit", "content", "origin"], k=3)
    }
    properties["mode"] = {"type": "string", "enum": ["one_way", "round_trip"], "description": _sentence(rng)}
    return {"type": "object", "properties": properties, "required": sorted(properties)[:2]}


def _anthropic_tools(rng: random.Random) -> Any:
    return [{"name": rng.choice(_TOOLS), "description": _prose(rng, 2), "input_schema": _schema(rng)} for _ in range(3)]


def _openai_tools(rng: random.Random) -> Any:
    return [
        {
            "type": "function",
            "function": {
                "name": rng.choice(_TOOLS),
                "description": _prose(rng, 2),
                "parameters": {**_schema(rng), "additionalProperties": False},
                "strict": True,
            },
        }
        for _ in range(3)
    ]


def _anthropic_system(rng: random.Random) -> Any:
    return [{"type": "text", "text": _prose(rng, 8), "cache_control": {"type": "ephemeral"}}]


def _user(rng: random.Random) -> Any:
    return {"role": "user", "content": _prose(rng, rng.randint(1, 4))}


def _user_blocks(rng: random.Random) -> Any:
    return {"role": "user", "content": [{"type": "text", "text": _prose(rng, 2)}]}


def _anthropic_turn(rng: random.Random) -> Any:
    call = {"type": "tool_use", "id": _token(rng, "toolu_01", 22), "name": rng.choice(_TOOLS), "input": _arguments(rng)}
    return {"role": "assistant", "content": [{"type": "text", "text": _prose(rng, 1)}, call]}


def _anthropic_result(rng: random.Random) -> Any:
    block = {"type": "tool_result", "tool_use_id": _token(rng, "toolu_01", 22), "content": _result_text(rng)}
    return {"role": "user", "content": [block]}


def _chat_turn(rng: random.Random) -> Any:
    function = {"name": rng.choice(_TOOLS), "arguments": json.dumps(_arguments(rng))}
    call = {"id": _token(rng, "call_", 24), "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def _chat_result(rng: random.Random) -> Any:
    return {"role": "tool", "tool_call_id": _token(rng, "call_", 24), "content": _result_text(rng)}


def _responses_items(rng: random.Random) -> Any:
    call = _token(rng, "call_", 24)
    items: list[Json] = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": _prose(rng, 2)}]},
        {
            "type": "function_call",
            "id": _token(rng, "fc_", 40),
            "call_id": call,
            "name": rng.choice(_TOOLS),
            "arguments": json.dumps(_arguments(rng)),
            "status": "completed",
        },
        {"type": "function_call_output", "call_id": call, "output": _result_text(rng)},
        {"type": "reasoning", "id": _token(rng, "rs_", 40), "summary": [], "encrypted_content": None},
    ]
    return rng.choice(items)


def _anthropic_reply(rng: random.Random) -> Any:
    usage = {
        "input_tokens": rng.randint(100, 40000),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": rng.randint(0, 30000),
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": rng.randint(1, 900),
        "service_tier": "standard",
    }
    return {
        "id": _token(rng, "msg_01", 22),
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": _anthropic_turn(rng)["content"],
        "stop_reason": rng.choice(["end_turn", "tool_use", "max_tokens"]),
        "stop_sequence": None,
        "usage": usage,
    }


def _chat_reply(rng: random.Random) -> Json:
    prompt, completion = rng.randint(100, 40000), rng.randint(1, 900)
    reply: Json = {
        "id": _token(rng, "chatcmpl-", 29),
        "object": "chat.completion",
        "created": 1760000000 + rng.randrange(10**7),
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {
                "index": 0,
                "message": {**_chat_turn(rng), "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": rng.choice(["stop", "tool_calls", "length"]),
            }
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": _token(rng, "fp_", 10),
    }
    return reply


def _events(rng: random.Random) -> str:
    started: Json = {**_anthropic_reply(rng), "content": [], "stop_reason": None}
    deltas = _prose(rng, 2).split(" ")
    block: Json = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    call: Json = {"type": "tool_use", "id": _token(rng, "toolu_01", 22), "name": rng.choice(_TOOLS), "input": {}}
    events: list[Json] = [{"type": "message_start", "message": started}, block, {"type": "ping"}]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f" {word}"}}
        for word in deltas[:12]
    ]
    events += [
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": call},
        {
            "type": "content_block_delta",
            "index": 1,
            "delta": {"type": "input_json_delta", "partial_json": json.dumps(_arguments(rng))},
        },
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": rng.randint(1, 900)},
        },
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {_compact(event)}\n\n" for event in events)


def _chunks(rng: random.Random) -> str:
    head = {
        "id": _token(rng, "chatcmpl-", 29),
        "object": "chat.completion.chunk",
        "created": 1760000000 + rng.randrange(10**7),
        "model": "gpt-4o-2024-08-06",
        "service_tier": "default",
        "system_fingerprint": _token(rng, "fp_", 10),
    }
    deltas: list[Any] = [{"role": "assistant", "content": "", "refusal": None}]
    deltas += [{"content": f" {word}"} for word in _prose(rng, 1).split(" ")[:8]]
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"})
    return "".join(f"data: {_compact({**head, 'choices': [one]})}\n\n" for one in choices) + "data: [DONE]\n\n"


def _response_events(rng: random.Random) -> str:
    item = _token(rng, "msg_", 48)
    deltas: list[Json] = [
        {
            "type": "response.output_text.delta",
            "sequence_number": number,
            "item_id": item,
            "output_index": 0,
            "content_index": 0,
            "delta": f" {word}",
            "logprobs": [],
            "obfuscation": _token(rng, "", 10),
        }
        for number, word in enumerate(_prose(rng, 1).split(" ")[:8], start=4)
    ]
    done: Json = {
        "type": "response.completed",
        "sequence_number": 20,
        "response": {
            "id": _token(rng, "resp_", 48),
            "object": "response",
            "status": "completed",
            "error": None,
            "incomplete_details": None,
            "output": [{"id": item, "type": "message", "status": "completed", "role": "assistant"}],
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 2},
        },
    }
    return "".join(f"event: {event['type']}\ndata: {_compact(event)}\n\n" for event in [*deltas, done])


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


_JSON: tuple[Sample, ...] = (
    _anthropic_tools,
    _openai_tools,
    _anthropic_system,
    _user,
    _user_blocks,
    _anthropic_turn,
    _anthropic_result,
    _chat_turn,
    _chat_result,
    _responses_items,
    _anthropic_reply,
    _chat_reply,
)
_TEXT: tuple[Sample, ...] = (_events, _chunks, _response_events)


def samples(count: int) -> list[bytes]:
    """Synthetic contents, the same ones every time."""
    rng = random.Random(SEED)  # noqa: S311 - the text must be the same every time, not unguessable
    makers = _JSON + _TEXT
    made = ((makers[number % len(makers)](rng), number) for number in range(count))
    return [(value if isinstance(value, str) else _compact(value)).encode() for value, _ in made]


def train() -> bytes:
    """The dictionary itself."""
    texts: Any = samples(4000)  # the stub wants a type that Python 3.14 no longer has
    return zstandard.train_dictionary(DICTIONARY_BYTES, texts, level=3, dict_id=33_001).as_bytes()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(train())
