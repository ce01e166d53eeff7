"""What no client may be brought to do: a provider that plays a forbidden tool call, and the policy that forbids it.

Six cases. In three the model calls the forbidden tool once, under a clause of each `recover`; in `onward` it then calls
it in a way that is allowed; in `insisting` it tries the same again whenever it is asked; in `asked` the user's own
words are forbidden, so the request is refused before its first byte.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gateway.demo.answers import Answer
from gateway.demo.turns import Call, Turn
from tests.e2e.house import Recorded
from tests.e2e.stage import SCENE, Moment, Scripted, say
from tests.e2e.talk import Exchange

CASES = ("answered", "resampled", "refused", "onward", "insisting", "asked")
WORD = "bluebird"
"""Forbidden in what a user says."""

_CALLS = """
[[clause]]
id = "no-{recover}"
text = "What carries this mark is not run."
severity = "high"
steps = ["tool_call"]
guards = [{{ kind = "pattern", rules = [{{ id = "mark", pattern = "rule-{recover}" }}] }}]
action = [{{ at = 75, do = "reject" }}]
recover = "{recover}"
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{{ kind = "tool_call", tool = "deed", args = {{ mark = "rule-{recover}" }} }}]

[[clause.example]]
expect = "ok"
steps = [{{ kind = "tool_call", tool = "deed", args = {{ mark = "none" }} }}]
"""

_ASKED = f"""
[[clause]]
id = "no-word"
text = "This word is not put before the model."
severity = "high"
steps = ["user_input"]
guards = [{{ kind = "pattern", rules = [{{ id = "word", pattern = "{WORD}" }}] }}]
action = [{{ at = 75, do = "reject" }}]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{{ kind = "user_input", text = "Say {WORD}." }}]

[[clause.example]]
expect = "ok"
steps = [{{ kind = "user_input", text = "Say nothing." }}]
"""

POLICY = f"""
[policy]
id = "forbidden"
description = "What the clients of these tests may not be brought to do."
{"".join(_CALLS.format(recover=recover) for recover in ("answered", "resampled", "refused"))}
{_ASKED}
"""


def settings(folder: Path) -> str:
    """The policy in a file of this folder, and the configuration that puts it in force."""
    (folder / "forbidden.toml").write_text(POLICY)
    return f'\n[app.default]\npolicy = ["{folder / "forbidden.toml"}"]\nenforce = true\n'


ALLOWED = "none"
"""The mark of a call that no clause is about."""


def mark(case: str, number: int) -> str:
    """What the arguments of the model's call hold when it is asked for the so-manieth time, from 0."""
    if case == "onward" and number:
        return ALLOWED
    return f"rule-{'answered' if case in {'insisting', 'onward'} else case}"


DONE = "It is not to be."
"""What the model says where it calls nothing more."""


def script(case: str, call: Callable[[Moment], Call], done: str = DONE) -> Scripted:
    """A model that calls as often as its case has it, and else says that it is done."""

    def scripted(moment: Moment) -> Answer:
        tools = bool(moment.asked.tools)
        again = case == "insisting" or moment.number <= (case == "onward")
        if tools and again and case != "asked":
            turn = Turn(text="At once.", calls=(call(moment),), reply_id=f"deed{moment.number}")
        else:
            turn = Turn(text=done, reply_id=f"done{moment.number}")
        return say(moment.asked, turn)

    return scripted


WIRES = ("anthropic", "chat", "responses")
LANES = ("json", "stream")


def scripts(
    wires: Sequence[str], *, client: str = "", lanes: Sequence[str] = LANES, done: str = DONE
) -> Mapping[str, Scripted]:
    """The scenes of a program: WIRE_LANE_CASE, behind the name of a client where it plays several."""

    def deed(case: str) -> Callable[[Moment], Call]:
        return lambda moment: Call(f"call_deed{moment.number}", "deed", f'{{"mark": "{mark(case, moment.number)}"}}')

    named = f"{client}_" if client else ""
    return {
        f"{named}{wire}_{lane}_{case}": script(case, deed(case), done)
        for wire in wires
        for lane in lanes
        for case in CASES
    }


def asked_in(recorded: Recorded, scene: str) -> list[Exchange]:
    """The requests for a turn that a client sent in a scene."""
    wanted = re.compile(rb"/(?:messages|chat/completions|responses)(?:\?|$)")
    return [
        each
        for each in recorded.front
        if each.request.method == b"POST" and wanted.search(each.request.target) and _scene(each) == scene
    ]


def _scene(each: Exchange) -> str:
    found = SCENE.search(each.request.body)
    return found[1].decode() if found else ""
