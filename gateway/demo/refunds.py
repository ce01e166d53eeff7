"""The demo's third act: many short runs of a shop's agent, what two persons say of them, and what is learned from that.

All of it was written by us: a recorded run holds no labels, and one alone teaches nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from gateway.demo.obliging import tokens
from gateway.demo.playback import Atom
from gateway.demo.turns import Call, Spent, Turn

RULES: Final = Path(__file__).with_name("refunds.toml")

SETTINGS: Final = {
    "STEPWARDEN_APP__DEFAULT__POLICY": str(RULES),
    "STEPWARDEN_APP__DEFAULT__ENFORCE": "true",
    "STEPWARDEN_OPTIMIZER__HOLDOUT": "5",
    "STEPWARDEN_OPTIMIZER__SHARE": "0.5",
    "STEPWARDEN_OPTIMIZER__BUDGET": "0.5",
    "STEPWARDEN_OPTIMIZER__SHADOW_REQUESTS": "0",
    "STEPWARDEN_OPTIMIZER__SHADOW_HOURS": "0",
}
"""A gate for a shop with forty labelled runs; the defaults ask for hundreds."""

PERSONS: Final = ("Ann", "Bob")
GIVEN_AWAY, SENT_BACK = 30, 10
"""Runs of either kind."""

_ASKED: Final = "Refund order "
_NOTES: Final = ("goodwill, the customer asked twice", "sent back unopened")
TOOL: Final = {
    "name": "refund",
    "description": "Pays an order back.",
    "input_schema": {
        "type": "object",
        "properties": {"order": {"type": "integer"}, "amount": {"type": "number"}, "note": {"type": "string"}},
    },
}


def asked(order: int, *, given_away: bool) -> str:
    """What a user says."""
    return f"{_ASKED}{order}: {_NOTES[not given_away]}."


def request(text: str) -> bytes:
    """The agent's first request of a run."""
    return msgspec.json.encode(
        {"model": "no-model", "max_tokens": 64, "tools": [TOOL], "messages": [{"role": "user", "content": text}]}
    )


def turn(atoms: Sequence[Atom]) -> Turn | None:
    """The call that is played for such a request; None for others."""
    if not atoms or atoms[0][0] != "user" or not atoms[0][-1].startswith(_ASKED):
        return None
    order, _, note = atoms[0][-1].removeprefix(_ASKED).partition(": ")
    arguments = msgspec.json.encode({"order": int(order), "amount": 20.0, "note": note}).decode()
    name = blake3(atoms[0][-1].encode()).hexdigest()[:16]
    call = Call(f"toolu_{name}", "refund", arguments)
    return Turn(calls=(call,), spent=Spent(input_tokens=200, output_tokens=tokens(arguments)), reply_id=name)
