"""A store in which something of every kind happened, with hostile names, and its exports."""

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.shipped import shipped
from policies.vocabulary.audit import (
    GATEWAY,
    OWNER,
    CanaryBegun,
    CanaryMissed,
    ConfigActivated,
    ContentRead,
    CritiqueRecorded,
    LabelRecorded,
    ProposalReviewed,
    RevisionActivated,
    SessionDistrusted,
    ToolChanged,
)
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.holds import Review
from policies.vocabulary.modes import ModeChange
from tests.contract.api_store import CLAUSE, Plane, ask, asked, judged, recorded

EVIL_NAME = "Rosa <script>alert(2)</script>\u202e\u200b"
EVIL_REASON = "no <img src=x onerror=alert(3)> \u2066of ours"
LONG_NS = 3600 * 1_000_000_000


AFTERWARDS = (
    CritiqueRecorded(
        actor=GATEWAY,
        tenant="default",
        critique="K1",
        seat="monitor",
        steps=2,
        policy="gone",
        verdict="hold",
        content="",
    ),
    CritiqueRecorded(
        actor=GATEWAY,
        tenant="default",
        critique="K2",
        seat="monitor",
        steps=1,
        policy="gone",
        verdict="allow",
        failed="budget_day",
        content="",
    ),
    SessionDistrusted(actor=GATEWAY, tenant="default", session="session_1", critique="K1"),
    LabelRecorded(actor=OWNER, tenant="default", exchange="X", step=1, label="violation", by="person_1"),
    CanaryMissed(
        actor=GATEWAY, seat="gate", clause=CLAUSE, expected="violation", model="m", prompt="p", missed=1, of=2
    ),
    ToolChanged(actor=GATEWAY, tenant="default", server="mail", fingerprint="F1", exchange="X"),
    ProposalReviewed(actor=OWNER, tenant="default", proposal="P1", decision="approved"),
    CanaryBegun(
        actor=GATEWAY,
        tenant="default",
        proposal="P1",
        revision="R2",
        parent="R1",
        parameters="D2",
        policy="C2",
        share_millionths=100_000,
    ),
    RevisionActivated(actor=OWNER, tenant="default", revision="R1", parameters="D1", author="human:person_1"),
)
"""What was said and changed after the fact."""


def rules() -> Ruleset:
    """The clauses that `Plane` has in force for the app `default`."""
    return Ruleset.compile(
        [load(shipped()["agent-baseline"], "agent-baseline").policy], settings=Settings(enforce=True)
    )


def stopped(ruleset: str) -> Recording:
    """An exchange of which a step was rejected under these clauses, in a tool with a hostile name."""
    made = judged(recorded())
    assert made.judged is not None
    steps = tuple(
        msgspec.structs.replace(step, tool="<b>tool</b>\u202e") if step.seq == made.judged.steps[0].seq else step
        for step in made.steps
    )
    return msgspec.structs.replace(made, steps=steps, judged=msgspec.structs.replace(made.judged, ruleset=ruleset))


class Eventful(Plane):
    """A control plane over a store with a history."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        ruleset = rules()
        digests = {rule.name: rule.revision for rule in ruleset.rules}
        few = dict(list(digests.items())[:3])
        before = ConfigActivated(actor=OWNER, tenant="default", config="1", policy="gone", clauses=few)
        now = ConfigActivated(
            actor=OWNER, tenant="default", config="2", policy=ruleset.revision, enforce=True, clauses=digests
        )
        self.store.audit.note(before, now, ContentRead(actor=OWNER, tenant="other", what="request", exchange="X"))
        self.store.audit.note(*AFTERWARDS)
        self.stopped = stopped(ruleset.revision)
        self.earlier = stopped("gone")
        self.store.append([self.stopped, self.earlier])
        self._decide(self.stopped, approve=False)
        self._decide(self.earlier, approve=True)
        at_ns = time.time_ns()
        self.store.modes.record(
            ModeChange(
                clause=CLAUSE,
                app="default",
                mode="shadow",
                at_ns=at_ns,
                until_ns=at_ns + LONG_NS,
                by=EVIL_NAME,
                key_id=None,
                reason=EVIL_REASON,
            )
        )
        self.store.audit.head()  # nothing waits for its place any more

    def _decide(self, recording: Recording, *, approve: bool) -> None:
        now_ns = time.time_ns()
        hold = self.store.holds.join(asked(recording), now_ns=now_ns, expires_ns=now_ns + LONG_NS)
        answer = Review(actor=OWNER, by=EVIL_NAME, reason=EVIL_REASON)
        self.store.holds.decide(
            hold.hold_id, approve=approve, answer=answer, now_ns=now_ns, expires_ns=now_ns + LONG_NS
        )

    def export(self, query: str = "since=1h", *, key: str | None = None) -> bytes:
        """What the control plane sends."""
        answer = ask(self.app, f"/api/audit/export?{query}", key=key)
        assert answer.status_code == 200, answer.text
        return answer.content

    def bundle(self, query: str = "since=1h") -> dict[str, bytes]:
        """The files of a bundle by their paths."""
        with zipfile.ZipFile(io.BytesIO(self.export(query))) as made:
            return {name: made.read(name) for name in made.namelist()}

    def lines(self, query: str, *, key: str | None = None) -> list[dict[str, Any]]:
        """Lines of an export."""
        return [json.loads(line) for line in self.export(query, key=key).splitlines()]
