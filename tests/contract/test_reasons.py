"""Every code a caller can receive from the gateway is explained, and no code is explained that does not exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from gateway.advice import ADVICE
from gateway.keeper_socket import KeeperLost
from gateway.mcp.heads import WrongRevision
from gateway.mcp.refusals import Withdrawn
from gateway.refusals import BudgetExhausted, Refused, SessionTerminated, StepRejected, Unjudgeable, UpgradeRefused
from gateway.reported.refusals import NotOtlp
from policies.vocabulary.verdicts import ReasonCode

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"unknown_provider", "upstream_incomplete"}
"""Codes that are not refusals of an exchange: no provider to refuse for, and an end inside a stream."""

BY_REASON = {StepRejected, Unjudgeable}
"""Refusals whose code is a reason of a policy: explained where policies are."""


def kinds(kind: type[Refused]) -> Iterator[type[Refused]]:
    for child in kind.__subclasses__():
        yield child
        yield from kinds(child)


def documented(heading: str, cell: int) -> dict[str, str]:
    """One cell of each row under a heading, by the code the row begins with."""
    section = (ROOT / "docs/REASONS.md").read_text().partition(heading)[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if re.match(r"\| `\w+` \|", line)]
    return {row[1].strip(" `"): row[cell].strip() for row in rows}


def test_every_refusal_is_explained_with_its_status() -> None:
    assert {KeeperLost, NotOtlp, Withdrawn, WrongRevision} <= set(kinds(Refused))
    said = {kind.code: str(kind.status) for kind in kinds(Refused) if kind not in BY_REASON}
    explained = {code: status for code, status in documented("## Refusals", 2).items() if code not in ELSEWHERE}
    assert said == explained


def test_every_reason_of_a_policy_is_explained_with_the_advice_that_explain_gives() -> None:
    assert tuple(ADVICE) == get_args(ReasonCode)
    assert documented("## Policies", 3) == ADVICE


def test_codes_outside_refusals_stand_in_the_code_that_sends_them() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.py"))
    assert all(f'"{code}"' in sources for code in ELSEWHERE)


def test_nobody_is_told_to_change_a_request_that_no_change_would_help() -> None:
    assert [kind("no").remedy() for kind in (UpgradeRefused, SessionTerminated, BudgetExhausted)] == ["", "", ""]
