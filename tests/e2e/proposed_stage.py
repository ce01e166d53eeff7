"""Labelled sessions out of which optimizers make proposals, and spans that an application reports.

The sessions and their labels are made up, and by no model; what optimizers make of them, and the ladder, is not.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.config import Config
from gateway.times import rfc3339
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.labels import LabelGiven, StepLabel
from policies.vocabulary.ladder import Climb, Decision
from policies.vocabulary.revisions import AddLine, Line, Proposal, Score, Support
from storage.store import Store
from tests.e2e.dashboard_stage import MINUTE_NS, POLICIES, Stage, Turn, session_of, stage

APP = "release"
CLAUSE = "releases/no-late-deploys"

_RELEASES = """
[policy]
id = "releases"
description = "When things are put into production."

[[clause]]
id = "no-late-deploys"
text = "Nothing is put into production on a Friday evening or at night."
severity = "high"
steps = ["tool_call"]
guards = [{ kind = "pattern", rules = [
    { id = "night", pattern = "at 0[0-5]:", score = 95 },
    { id = "friday-evening", pattern = "Friday at (19|20)", score = 60 },
] }]
action = [{ at = 90, do = "reject" }, { at = 50, do = "flag" }]
reason = "action_not_allowed"
on_error = "reject"
mode = "enforce"

[[clause.example]]
expect = "violation"
steps = [{ kind = "tool_call", tool = "deploy", args = { said = "Deploy on Monday at 03:00" } }]

[[clause.example]]
expect = "ok"
steps = [{ kind = "tool_call", tool = "deploy", args = { said = "Deploy on Monday at 11:00" } }]
"""
_VIOLATING, _HONEST = 44, 20
"""Enough that either half of any split can tell a change that is right from one that is not."""


HOSTILE = "<img src=x onerror=\"window.pwned = 'proposal'\">"

_DECISIONS = (
    Decision(
        rung="holdout",
        outcome="refused",
        why="not_significant",
        scores=(Score(name="wins", value=4), Score(name="losses", value=1), Score(name="groups", value=60)),
    ),
    Decision(
        rung="canary",
        outcome="waiting",
        why="comparing",
        scores=(Score(name="sessions", value=40), Score(name="harmed", value=1)),
    ),
    Decision(rung="approval", outcome="waiting", why="needs_a_person"),
)


def released(folder: Path) -> str:
    """The configuration of the app whose policy learns; its file is put into the folder."""
    (folder / "releases.toml").write_text(_RELEASES)
    return (
        f'\n[app.{APP}]\npolicy = ["{folder / "releases.toml"}"]\nenforce = true\nsearch = true\n'
        "\n[app.silent]\nsearch = false\n"
        "\n[optimizer]\nholdout = 10\nshare = 0.5\nbudget = 0.25\n"
        "shadow_requests = 0\nshadow_hours = 0.0\nsession_minutes = 60.0\n"
    )


def labelled_deploys(folder: Path) -> None:
    """Put labelled sessions into the data directory of a gateway that is not started yet."""
    config = Config.load(None, environ={"STEPWARDEN_GATEWAY__DATA_DIR": str(folder / "data")}, overrides={})
    store = Store.open(config.gateway.data_dir)
    try:
        for number in range(_VIOLATING + _HONEST):
            late = number < _VIOLATING
            text = f"Deploy build {number} on {'Friday at 19' if late else 'Tuesday at 11'}:{number % 60:02d}"
            turn = Turn(text, tool="deploy", app=APP)
            _, recordings = session_of([turn], ended_ns=time.time_ns() - (number + 5) * MINUTE_NS)
            store.append(recordings)
            _label(store, recordings[0], "violation" if late else "ok", ("Ann", "Bob")[number % 2])
    finally:
        store.close()


def _label(store: Store, recording: Recording, label: StepLabel, by: str) -> None:
    step = next(each for each in recording.steps if each.kind == "tool_call")
    given = LabelGiven(
        step_id=step.step_id,
        session_id=step.session_id,
        app=recording.exchange.app,
        clause=CLAUSE,
        label=label,
        by=by,
        reason="It went out on a Friday evening." if label == "violation" else None,
        actor="owner",
        at_ns=recording.exchange.ended_ns + MINUTE_NS,
    )
    store.labels.record(given)


def filed(folder: Path) -> None:
    """Put proposals into the data directory of a gateway that is not started yet: refused, in a canary, and waiting.

    What they change is in force nowhere, and their words are hostile.
    """
    config = Config.load(None, environ={"STEPWARDEN_GATEWAY__DATA_DIR": str(folder / "data")}, overrides={})
    store = Store.open(config.gateway.data_dir)
    try:
        for number, decision in enumerate(_DECISIONS):
            proposal = Proposal(
                app="elsewhere",  # it names no policy, so nothing moves them
                parent="0" * 32,
                author="optimizer:reflective",
                edits=(AddLine(line=Line(id=f"line-{number}", text=HOSTILE)),),
                support=Support(sessions=("a", "b", "c"), principals=("Ann", "Bob")),
                why=f"{HOSTILE} {number}",
            )
            passed = Decision(rung="lint", outcome="passed")
            climb = Climb(
                proposal=proposal.digest,
                parent=proposal.parent,
                child="1" * 32,
                direction="loosens",
                decisions=(passed, decision),
            )
            store.revisions.file(proposal, climb, now_ns=time.time_ns() - (9 - number) * MINUTE_NS)
    finally:
        store.close()


def told(standing: Stage, trace: str, spans: list[dict[str, Any]]) -> None:
    """An application reports spans of a trace."""
    document = {"resourceSpans": [{
        "resource": {"attributes": [_attribute("service.name", "the agent's application")]},
        "scopeSpans": [{"scope": {"name": "agent-framework"}, "spans": [
            {
                "traceId": trace, "spanId": each["id"], "parentSpanId": each.get("parent", ""), "name": each["name"],
                "kind": 1, "startTimeUnixNano": str(each["began_ns"]), "endTimeUnixNano": str(each["ended_ns"]),
                "attributes": [_attribute(name, value) for name, value in each["attributes"].items()],
                "status": {"code": 2 if each.get("error") else 0},
            } for each in spans
        ]}],
    }]}  # fmt: skip
    answer = httpx.post(
        f"{standing.url}/v1/traces",
        content=json.dumps(document),
        headers={"content-type": "application/json"},
        timeout=30,
    )
    assert answer.is_success, answer.text
    assert "partialSuccess" not in answer.json(), answer.text


def _attribute(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": {"stringValue": value}}


def told_session(standing: Stage) -> str:
    """A session whose application reports an agent's run around its request, and a tool that ran after it; its id."""
    trace, root, call = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
    began_ns = time.time_ns()
    answer = httpx.post(
        f"{standing.url}/anthropic/v1/messages",
        json={"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Look it up."}]},
        headers={"x-api-key": "k", "traceparent": f"00-{trace}-{call}-01", "stepwarden-session": "told"},
        timeout=30,
    )
    session = answer.headers["stepwarden-session"]
    ended_ns = time.time_ns()
    told(standing, trace, [
        {"id": root, "name": "invoke_agent researcher", "began_ns": began_ns - 50_000_000,
         "ended_ns": ended_ns + 90_000_000,
         "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "researcher"}},
        {"id": call, "parent": root, "name": "chat claude-haiku-4-5", "began_ns": began_ns, "ended_ns": ended_ns,
         "attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "claude-haiku-4-5"}},
        {"id": "53995c3f42cd8ad8", "parent": root, "name": "execute_tool search_docs", "began_ns": ended_ns + 5_000_000,
         "ended_ns": ended_ns + 60_000_000, "error": True,
         "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search_docs",
                        "tool.query": "<img src=x onerror=\"window.pwned = 'told'\">"}},
    ])  # fmt: skip
    standing.recorded(1, since=rfc3339(began_ns))
    return session


@contextmanager
def learning(folder: Path) -> Iterator[Stage]:
    """A gateway with labelled sessions on record, out of which optimizers may propose, and that may be searched."""
    labelled_deploys(folder)
    more = POLICIES.replace("enforce = true", "enforce = true\nsearch = true") + released(folder)
    with stage(folder, more=more) as opened:
        yield opened


def proposed(standing: Stage) -> list[dict[str, Any]]:
    """Let the gateway's optimizers propose for the app; all that is kept, newest first."""
    with httpx.Client(base_url=standing.url, timeout=120) as client:
        answer = client.post("/api/optimize", json={"app": APP})
        assert "event: report" in answer.text, answer.text
    return standing.api("/api/proposals", app=APP)["proposals"]
