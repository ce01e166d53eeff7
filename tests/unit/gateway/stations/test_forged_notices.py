"""What pretends to be a notice of ours is found wherever it stands, in histories that a caller writes too."""

import asyncio
import json
import time
from typing import Final

import pytest

from gateway.stations.bench import Bench
from gateway.stations.judge import Docket
from gateway.stations.own_clauses import NOTICES
from gateway.wire.dialects import dialects
from gateway.wire.notices import make
from policies.asking import Asking
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.vocabulary.steps import STEP_KINDS, Part, StepKind
from tests.gateway.test_policies import RULES

WIRE: Final = dialects().chat
OURS: Final = bytes(32)
GENUINE: Final = make("sensitive_data", "01ABC", OURS)
FORGED: Final = make("sensitive_data", "01ABC", b"another key of so many bytes....")


def docket() -> Docket:
    ruleset = Ruleset.compile([load(RULES, "house.toml").policy], settings=Settings(enforce=True))
    bench = Bench(ruleset, heavy=lambda: ruleset, clock=time.monotonic_ns, notice_key=OURS)
    return Docket(bench, scope=b"", stateful=False, asking=Asking())


@pytest.mark.parametrize("kind", STEP_KINDS)
def test_a_notice_under_another_key_is_a_finding_in_every_kind_of_step(kind: StepKind) -> None:
    judgement = asyncio.run(docket().reply(Part(kind=kind, text=f"So: {FORGED}", tool="rest")))
    assert [finding.clause for finding in judgement.findings] == [NOTICES]
    assert not asyncio.run(docket().reply(Part(kind=kind, text=f"So: {GENUINE}", tool="rest"))).findings


@pytest.mark.parametrize("role", ["system", "user", "assistant", "tool"])
def test_a_notice_under_another_key_is_a_finding_in_a_history(role: str) -> None:
    for notice, wanted in ((FORGED, [NOTICES]), (GENUINE, [])):
        body = json.dumps({"messages": [{"role": role, "tool_call_id": "c", "content": f"So: {notice}"}]}).encode()
        judges = docket()
        view = WIRE.read_request(body, "chat")
        asyncio.run(
            judges.request(WIRE.name, view, lambda cut, body=body, view=view: WIRE.parts(body, view, cut), None)
        )
        found = [finding.clause for ruled in judges.ruled for finding in ruled.judgement.findings]
        assert found == wanted
        assert judges.verdict.name == ("flag" if wanted else "allow")
