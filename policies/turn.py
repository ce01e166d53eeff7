"""A turn: all that a model says in answer to one question, in as many texts as its wire cuts that into.

Clients put these texts in a row, whatever stands between them: `response.output_text` and `get_final_text()` of the
vendors' SDKs do. So what one text ends with and the next begins with is read together too.
"""

import re
from typing import Final

from policies.trail import Scene
from policies.vocabulary.steps import PUT_BEFORE_THE_MODEL, Part, StepKind

_SPOKEN: Final[frozenset[StepKind]] = frozenset({"model_text", "reasoning"})
_QUOTED: Final = re.compile(r"/(?:citations|annotations|search_results)/[0-9]+$")


def is_quoted(part: Part) -> bool:
    """Whether a part is what a text refers to: shown beside it, and no part of what is said."""
    return part.kind == "model_text" and _QUOTED.search(part.pointer) is not None


def is_spoken(part: Part) -> bool:
    """Whether a part is words of the model that clients put in a row with the others of its kind."""
    return part.kind in _SPOKEN and part.unread is None and not is_quoted(part)


def choice_of(pointer: str) -> str:
    """The index of the choice a part stands in; empty on wires that know no choices, and in requests."""
    return pointer[9:].partition("/")[0] if pointer.startswith("/choices/") else ""


def said_before(scene: Scene, most: int) -> str:
    """The end, at most so many characters, of what the same turn said before a step; empty where it is its first."""
    step = scene.step
    if not is_spoken(step):
        return ""
    choices = ("", choice_of(step.pointer))
    found = ""
    for part in reversed(scene.trail.parts):
        if part.kind in PUT_BEFORE_THE_MODEL and not part.server_side:
            break
        if part.kind == step.kind and is_spoken(part) and choice_of(part.pointer) in choices:
            found = part.text[-most:] + found
        if len(found) >= most:
            break
    return found[-most:]
