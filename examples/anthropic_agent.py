"""An agent loop with one tool, through Stepwarden: `python examples/anthropic_agent.py [http://127.0.0.1:8787]`."""

import sys
from datetime import UTC, datetime

from anthropic import Anthropic
from anthropic.types import MessageParam, ToolParam, ToolResultBlockParam

GATEWAY = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8787"
CLOCK: ToolParam = {
    "name": "clock",
    "description": "The current time in UTC.",
    "input_schema": {"type": "object", "properties": {}},
}


def main() -> None:
    """Ask, run the tool where the model wants it, and print the answer as it streams in."""
    client = Anthropic(base_url=f"{GATEWAY}/anthropic")
    messages: list[MessageParam] = [{"role": "user", "content": "What time is it?"}]
    while True:
        with client.messages.stream(
            model="claude-sonnet-4-5", max_tokens=1024, messages=messages, tools=[CLOCK]
        ) as stream:
            for text in stream.text_stream:
                print(text, end="", flush=True)
            reply = stream.get_final_message()
        print()
        calls = [block for block in reply.content if block.type == "tool_use"]
        if not calls:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        results: list[ToolResultBlockParam] = [
            {"type": "tool_result", "tool_use_id": call.id, "content": now} for call in calls
        ]
        print(*(f"[{call.name} -> {now}]" for call in calls), sep="\n")
        messages.append({"role": "assistant", "content": reply.content})
        messages.append({"role": "user", "content": results})


if __name__ == "__main__":
    main()
