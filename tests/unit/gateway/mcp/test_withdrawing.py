"""Only who made a call can cancel it while it is judged: the same key, in the same protocol session, by the same id."""

import json
from typing import Any

import msgspec
import pytest

from gateway.config import Config
from gateway.exchange import Gate
from gateway.mcp.pair import Caller
from gateway.mcp.relay import McpPlane
from gateway.wire.jsonrpc import read
from policies.vocabulary.keys import Principal

MINE = Caller(
    principal=Principal(role="app", app="default", key_id="K1"),
    secret=None,
    headers=[],
    transport="POST",
    connection="web session-1",
    revision=None,
)
CALL = read(json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "pay"}}).encode())


class Judged:
    """A visit that notes that it was withdrawn."""

    def __init__(self) -> None:
        self.withdrawn = 0

    def withdraw(self) -> None:
        self.withdrawn += 1


def withdrawn_by(caller: Caller, wanted: object) -> tuple[bool, int]:
    nobody: Any = None
    plane = McpPlane(Config.load(None, environ={}), clients={}, seats={}, keeper=nobody, gate=Gate(1), environ={})
    visit: Any = Judged()
    with plane.judging(MINE, CALL, visit):
        found = plane.withdraw(caller, wanted)
    assert not plane.withdraw(MINE, 7)  # from then on it is the server's to do
    return found, visit.withdrawn


def test_its_caller_can_cancel_it() -> None:
    assert withdrawn_by(MINE, 7) == (True, 1)


@pytest.mark.parametrize("wanted", [8, "7", None])
def test_another_id_is_another_call(wanted: object) -> None:
    assert withdrawn_by(MINE, wanted) == (False, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"principal": Principal(role="app", app="default", key_id="K2")},
        {"principal": Principal(role="app", app="other", key_id="K1")},
        {"connection": "web session-2"},
        {"connection": None},
    ],
)
def test_nobody_else_can(changed: dict[str, Any]) -> None:
    assert withdrawn_by(msgspec.structs.replace(MINE, **changed), 7) == (False, 0)
