"""Every code a caller can receive from the gateway is explained, and no code is explained that does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path

from gateway.keeper_socket import KeeperLost
from gateway.refusals import BudgetExhausted, Refused, SessionTerminated, UpgradeRefused

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"unknown_provider", "upstream_incomplete"}
"""Codes that are not refusals of an exchange: no provider to refuse for, and an end inside a stream."""


def kinds(kind: type[Refused]) -> Iterator[type[Refused]]:
    for child in kind.__subclasses__():
        yield child
        yield from kinds(child)


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", (ROOT / "docs/REASONS.md").read_text(), re.MULTILINE)
    return {code: status.strip() for code, status in rows}


def test_every_refusal_is_explained_with_its_status() -> None:
    assert KeeperLost in set(kinds(Refused))
    said = {kind.code: str(kind.status) for kind in kinds(Refused)}
    explained = {code: status for code, status in documented().items() if code not in ELSEWHERE}
    assert said == explained


def test_codes_outside_refusals_stand_in_the_code_that_sends_them() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    assert all(f'"{code}"' in sources for code in ELSEWHERE)


def test_nobody_is_told_to_change_a_request_that_no_change_would_help() -> None:
    assert [kind("no").remedy() for kind in (UpgradeRefused, SessionTerminated, BudgetExhausted)] == ["", "", ""]
