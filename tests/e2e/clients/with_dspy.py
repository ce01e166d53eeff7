"""DSPy as its users use it: predictions, reasoned and typed, over all three wires."""

import os
from collections.abc import Callable
from typing import Any

import dspy
from program import ask, play

OPENAI = os.environ["OPENAI_BASE_URL"]
CLAUDE = os.environ["ANTHROPIC_BASE_URL"]


def _scenes(name: str, make: Callable[[], dspy.LM]) -> list[Any]:
    def predict() -> Any:
        with dspy.context(lm=make()):
            return dspy.Predict("question -> answer")(question=ask(f"{name}_predict")).toDict()

    def chain_of_thought() -> Any:
        with dspy.context(lm=make()):
            return dspy.ChainOfThought("question -> answer")(question=ask(f"{name}_chain_of_thought")).toDict()

    def typed() -> Any:
        with dspy.context(lm=make(), adapter=dspy.JSONAdapter()):
            return dspy.Predict("question -> city: str, degrees: float")(question=ask(f"{name}_typed")).toDict()

    def bad_request() -> Any:
        with dspy.context(lm=make()):
            return dspy.Predict("question -> answer")(question=ask("bad_request")).toDict()

    made = [predict, chain_of_thought, typed, bad_request]
    for scene in made:
        scene.__name__ = f"{name}_{scene.__name__}"
    return made


SCENES = (
    *_scenes("anthropic", lambda: dspy.LM("anthropic/claude-sonnet-4-5", api_base=CLAUDE, cache=False, num_retries=0)),
    *_scenes("chat", lambda: dspy.LM("openai/gpt-4.1", api_base=OPENAI, cache=False, num_retries=0)),
    *_scenes(
        "responses",
        lambda: dspy.LM("openai/gpt-4.1", model_type="responses", api_base=OPENAI, cache=False, num_retries=0),
    ),
)

if __name__ == "__main__":
    play(SCENES)
