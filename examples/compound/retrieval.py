"""Retrieval-augmented generation with several hops that the model chooses itself, over OpenAI Chat Completions.

    python -m examples.compound.retrieval [http://127.0.0.1:8787]

What can go wrong: a hop lands beside its target, and the answer cites what was never opened.
"""

import json
import math
import re
import sys
from collections import Counter
from typing import Any, Final

from openai import OpenAI

from examples.compound.conversation import Pause, at_once, said

MODEL: Final = "gpt-5-mini"
SYSTEM: Final = """\
Answer from the library alone. Search, open what you need, search again where the answer needs another hop, and cite the
documents you opened like this: [doc-3]."""
QUESTIONS: Final = (
    "Who founded the company that makes the flow meter at Halden Station, and when?",
    "Thank you. Save that to the team's notes.",
)

LIBRARY: Final = {
    "doc-1": "Halden Station gauges the river Halden. Its flow meter is a Brightline 4, fitted in 2019.",
    "doc-2": "The Brightline 4 is an ultrasonic flow meter. It is made by Norrvik Instruments in Tromvik.",
    "doc-3": "Norrvik Instruments was founded in 1987 by Ingrid Solheim, who had taught hydrology before.",
    "doc-4": "Norvik Marine was founded in 1921 by Aksel Berg and builds winches for trawlers.",
    "doc-5": "The river Halden rises at Storfjell and reaches the sea at Tromvik.",
    "doc-6": "Flow meters are calibrated every two years; ultrasonic ones are compared with a weir.",
    "doc-7": "Tromvik has 4,100 inhabitants, a fish market and two factories.",
}

TOOLS: Final[list[Any]] = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]},
        },
    }
    for name, description, argument in (
        ("search", "Titles and first words of the documents that fit best.", "query"),
        ("open_document", "The whole text of a document, by its id.", "id"),
        ("save_note", "Write a note into the team's shared notes.", "text"),
    )
]


class Library:
    """Documents with a ranked search, and the notes that were made of them."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._words = {name: Counter(_words(text)) for name, text in LIBRARY.items()}

    def run(self, tool: str, arguments: dict[str, str]) -> str:
        """The result of one tool call."""
        if tool == "search":
            return self.search(arguments["query"])
        if tool == "open_document":
            return LIBRARY.get(arguments["id"], "there is no such document")
        self.notes.append(arguments["text"])
        return "saved"

    def search(self, query: str) -> str:
        """The three best documents: rare words count more (idf)."""
        weights = {word: self._weight(word) for word in _words(query)}
        scores = {
            name: sum(weight * words[word] for word, weight in weights.items()) for name, words in self._words.items()
        }
        best = sorted((name for name, score in scores.items() if score > 0), key=lambda name: (-scores[name], name))
        return "\n".join(f"{name}: {' '.join(LIBRARY[name].split()[:6])} ..." for name in best[:3]) or "nothing found"

    def _weight(self, word: str) -> float:
        holding = sum(word in words for words in self._words.values())
        return math.log((1 + len(self._words)) / (1 + holding))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def converse(gateway: str, library: Library, pause: Pause = at_once) -> None:
    """A question, its answer, and what the user wants done with it."""
    messages: list[Any] = [{"role": "system", "content": SYSTEM}]
    with OpenAI(base_url=f"{gateway}/openai/v1") as client:
        for number, question in enumerate(QUESTIONS):
            if number:
                pause()
            messages.append({"role": "user", "content": question})
            said("user", question)
            _until_answered(client, messages, library)


def _until_answered(client: OpenAI, messages: list[Any], library: Library) -> None:
    """Turns of the model until one calls no tool."""
    while True:
        message = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if message.content:
            said("model", message.content)
        if not message.tool_calls:
            return
        for call in message.tool_calls:
            arguments = json.loads(call.function.arguments)
            result = library.run(call.function.name, arguments)
            said("call", f"{call.function.name} {arguments}")
            said("result", result)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})


if __name__ == "__main__":
    converse(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8787", Library())
