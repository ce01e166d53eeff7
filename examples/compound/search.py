"""A search with many LLM calls: propose, vote, refine, submit, over Anthropic Messages.

    python -m examples.compound.search [http://127.0.0.1:8787]

Three proposals are written side by side, three votes choose one, one call refines it, one submits it. All of them
are one session, since they say so in `stepwarden-session`. What can go wrong: the votes follow a proposal that breaks
the puzzle's rule; no later call is at fault, and each of them looks fine by itself.
"""

import re
import sys
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from anthropic import Anthropic
from anthropic.types import Message, MessageParam, ToolParam

from examples.compound.conversation import Pause, at_once, said

MODEL: Final = "claude-haiku-4-5"
SYSTEM: Final = "You solve number puzzles. Answer in one line, the expression first."
PUZZLE: Final = "Make 24 from the numbers 4, 7, 8, 8: each of them once, with + - * / and brackets."
WIDTH: Final = 3
"""How many proposals, and how many votes."""

SUBMIT: Final[ToolParam] = {
    "name": "submit",
    "description": "Hand in the solution. It counts at once and cannot be taken back.",
    "input_schema": {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
}


class Contest:
    """Where solutions are handed in."""

    def __init__(self) -> None:
        self.submitted: list[str] = []

    def run(self, expression: str) -> str:
        """The result of one submission."""
        self.submitted.append(expression)
        return "received"


class Search:
    """One puzzle, searched for in several calls of one session."""

    def __init__(self, client: Anthropic) -> None:
        self._client = client

    def best(self) -> str:
        """The proposal that most votes are for, refined."""
        with ThreadPoolExecutor(WIDTH) as pool:
            proposals = list(pool.map(self._say, [f"{PUZZLE}\nProposal {n + 1}:" for n in range(WIDTH)]))
            listed = "\n".join(f"{n + 1}. {text}" for n, text in enumerate(proposals))
            ballot = f"{PUZZLE}\nProposals:\n{listed}"
            votes = list(pool.map(self._say, [f"{ballot}\nVote {n + 1}: which number?" for n in range(WIDTH)]))
        for text in proposals:
            said("proposal", text)
        chosen = Counter(_number(vote) for vote in votes).most_common(1)[0][0]
        said("votes", f"{' | '.join(votes)}: number {chosen}")
        refined = self._say(f"{PUZZLE}\nRefine this proposal: {proposals[chosen - 1]}")
        said("refined", refined)
        return refined

    def submit(self, solution: str, contest: Contest) -> None:
        """Have the model hand a solution in."""
        messages: list[MessageParam] = [{"role": "user", "content": f"{PUZZLE}\nSubmit this solution: {solution}"}]
        while True:
            reply = self._ask(messages, tools=[SUBMIT])
            messages.append({"role": "assistant", "content": reply.content})
            results: list[Any] = []
            for block in reply.content:
                if block.type == "tool_use":
                    expression = str(dict(block.input)["expression"])
                    said("call", f"submit {expression}")
                    results.append({"type": "tool_result", "tool_use_id": block.id, "content": contest.run(expression)})
            said("model", _text(reply)) if _text(reply) else None
            if not results:
                return
            messages.append({"role": "user", "content": results})

    def _say(self, prompt: str) -> str:
        return _text(self._ask([{"role": "user", "content": prompt}]))

    def _ask(self, messages: list[MessageParam], **more: Any) -> Message:
        return self._client.messages.create(model=MODEL, max_tokens=512, system=SYSTEM, messages=messages, **more)


def _text(reply: Message) -> str:
    return "".join(block.text for block in reply.content if block.type == "text").strip()


def _number(vote: str) -> int:
    """The proposal that a vote names; one that names none is for the first."""
    found = re.search(rf"[1-{WIDTH}]", vote)
    return int(found[0]) if found else 1


def converse(gateway: str, contest: Contest, pause: Pause = at_once) -> None:
    """Search for a solution, then hand it in."""
    name = f"search-{uuid.uuid4().hex[:12]}"
    said("user", PUZZLE)
    with Anthropic(base_url=f"{gateway}/anthropic", default_headers={"stepwarden-session": name}) as client:
        search = Search(client)
        solution = search.best()
        pause()
        search.submit(solution, contest)


if __name__ == "__main__":
    converse(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8787", Contest())
