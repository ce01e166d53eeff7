"""OCSF 1.8: exchanges, findings and changes as events for a SIEM. Pure: what was recorded in, JSON objects out.

An exchange is API Activity (6003) with the profile `ai_operation`; what a clause found in one is a Detection Finding
(2004) with the profile `security_control`, like what a supervisor or a person says of steps afterwards; changes of
clauses, revisions, keys, tools and of a session's trust are Entity Management (3004); content that was shown or
exported, and sign-ins, are API Activity. `tests/corpus/ocsf` holds the schema that every event is held against. No
content.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from gateway.evidence.log_entries import LogEntry
from gateway.evidence.rules import Taxonomy
from gateway.times import nanoseconds
from policies.rules import Rule
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.findings import Finding
from policies.vocabulary.judgements import Judged
from policies.vocabulary.verdicts import STRENGTH, VerdictName
from storage.rows import RecordedRow

VERSION: Final = "1.8.0"
_API, _FINDING, _ENTITY = 6003, 2004, 3004
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_METHODS = {"GET": _READ, "HEAD": _READ, "POST": _CREATE, "PUT": _UPDATE, "PATCH": _UPDATE, "DELETE": _DELETE}
_SEVERITY = {"info": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_UNKNOWN_SEVERITY = 0
_SUCCESS, _FAILURE = 1, 2
_ASSISTANT = 2
_RULE = 1
_CLIENT_ERROR = 400
_MS = 1_000_000
_HTTP = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})

_ACTIONS: Final[Mapping[VerdictName, tuple[int, int]]] = {
    "allow": (3, 15),
    "flag": (3, 15),
    "redact": (4, 11),
    "rewrite": (4, 11),
    "hold": (99, 14),
    "reject": (2, 2),
    "terminate": (2, 24),
}
"""`action_id` and `disposition_id`: detected (also where only a clause out of force asked for more), corrected,
delayed, blocked, access revoked."""

_ACTIVATE, _DEACTIVATE, _SUSPEND, _RESUME = 10, 11, 12, 13

_CHANGES: Final[Mapping[str, tuple[int, str, str]]] = {
    "config.activated": (_ACTIVATE, "policy", "policy"),
    "apikey.created": (_CREATE, "key", "API key"),
    "apikey.revoked": (_DELETE, "key", "API key"),
    "proposal.filed": (_CREATE, "proposal", "proposal"),
    "proposal.judged": (_UPDATE, "proposal", "proposal"),
    "proposal.reviewed": (_UPDATE, "proposal", "proposal"),
    "canary.begun": (_ACTIVATE, "revision", "policy"),
    "revision.activated": (_ACTIVATE, "revision", "policy"),
    "revision.rolled_back": (_DEACTIVATE, "revision", "policy"),
    "tool.pinned": (_CREATE, "fingerprint", "MCP tool"),
    "tool.changed": (_SUSPEND, "fingerprint", "MCP tool"),
    "tool.approved": (_RESUME, "fingerprint", "MCP tool"),
    "tool_server.authorised": (_ACTIVATE, "server", "MCP server"),
    "tool_server.withdrawn": (_DEACTIVATE, "server", "MCP server"),
    "session.distrusted": (_SUSPEND, "session", "session"),
    "session.trusted": (_RESUME, "session", "session"),
}
"""`activity_id` of Entity Management, the field that names the entity, and what it is."""

_ROUTINE = frozenset({"apikey.created", "apikey.revoked", "proposal.filed", "proposal.judged", "tool.pinned"})
_CALLS: Final[Mapping[str, int]] = {
    "content.read": _READ,
    "content.searched": _READ,
    "content.exported": _READ,
    "access.signed_in": _CREATE,
    "access.signed_out": _DELETE,
}
_LOOKED_AT: Final[Mapping[str, str]] = {"content.searched": "search"}
_POLICY_ENTITY = 5

ELSEWHERE: Final = frozenset({
    "request.accepted", "request.completed", "request.failed", "stream.aborted", "step.recorded", "guard.decision",
    "action.blocked", "action.modified", "action.escalated", "override.used", "kill_switch",
    "log.opened", "log.key_rotated", "checkpoint.witnessed", "verify.run", "ingest.dropped", "clock.skew",
    "retention.applied", "content.erased", "legal_hold.set", "legal_hold.released", "optimizer.heard",
})  # fmt: skip
"""Types that give no event of their own: an exchange's or a proposal's tell of it, or it is about the log's keeping."""

_UPDATE_FINDING = 2
_SAID: Final[Mapping[str, str]] = {
    "critique.recorded": "A supervisor read recorded steps",
    "label.recorded": "A person said whether a step was in order",
    "canary.missed": "The supervisor did not see a violation that is known as one",
}
_REVIEWS = {"approved": 8, "rejected": 25, "expired": 25}
"""`disposition_id`: approved, rejected; nobody's answer in time is a no."""


class Events:
    """Events of one deployment."""

    def __init__(self, *, release: str, origin: str, taxonomy: Taxonomy) -> None:
        """`origin` is the name of the audit log, so that two deployments' events are told apart."""
        self._release = release
        self._origin = origin
        self._taxonomy = taxonomy

    def of_exchange(self, row: RecordedRow) -> Iterator[dict[str, Any]]:
        """An exchange, then what each clause found in it."""
        yield self._activity(row)
        if row.judged is not None:
            yield from self._findings(row.exchange, row.judged)

    def of_entry(self, entry: LogEntry) -> Iterator[dict[str, Any]]:
        """What an entry of the log says that no exchange does; nothing for other entries."""
        if entry.type in _CHANGES:
            activity, name, kind = _CHANGES[entry.type]
            yield self._change(entry, activity, entry.text(name) or "none", kind)
        elif entry.type == "clause.mode_changed":
            activity = _SUSPEND if entry.text("mode") == "shadow" else _RESUME
            yield self._change(entry, activity, entry.text("clause"), "policy")
        elif entry.type in _CALLS:
            yield self._look(entry)
        elif entry.type == "human.review":
            yield self._review(entry)
        elif entry.type in _SAID:
            yield self._said(entry)

    def _activity(self, row: RecordedRow) -> dict[str, Any]:
        exchange = row.exchange
        activity = _METHODS.get(exchange.method, _OTHER)
        failed = exchange.outcome != "complete" or (exchange.status or 0) >= _CLIENT_ERROR
        event = self._base(_API, activity, exchange.ended_ns, uid=exchange.exchange_id, profiles=["ai_operation"])
        event["metadata"] |= {"tenant_uid": exchange.app, "correlation_uid": _trace(exchange)}
        return event | {
            "severity_id": _SEVERITY["info"],
            "status_id": _FAILURE if failed else _SUCCESS,
            "status_code": "none" if exchange.status is None else str(exchange.status),
            "status_detail": exchange.outcome,
            "start_time": exchange.started_ns // _MS,
            "end_time": exchange.ended_ns // _MS,
            "duration": max(0, exchange.ended_ns - exchange.started_ns) // _MS,
            "actor": _actor(exchange),
            "api": _api(exchange),
            "src_endpoint": {"svc_name": exchange.app},
            "dst_endpoint": {"svc_name": exchange.provider},
            **_http(exchange),
            **_model(exchange),
            "message_context": _message(exchange),
            "unmapped": {
                "dialect": exchange.dialect,
                "verdict": exchange.verdict,
                "steps": len(row.steps),
                "cost_micro_usd": exchange.cost_micro_usd,
            },
        }

    def _findings(self, exchange: Exchange, judged: Judged) -> Iterator[dict[str, Any]]:
        """One event for each clause that asked for more than nothing, or found something while out of force."""
        by_clause: dict[str, list[tuple[int, Finding, VerdictName]]] = {}
        for said in judged.steps:
            for finding in said.findings:
                if finding.state != "ok":
                    asked = finding.clause in said.verdict.clauses
                    verdict = said.verdict.name if asked else "allow"
                    by_clause.setdefault(finding.clause, []).append((said.seq, finding, verdict))
        for clause, found in by_clause.items():
            yield self._finding(exchange, judged, clause, found)

    def _finding(
        self, exchange: Exchange, judged: Judged, clause: str, found: list[tuple[int, Finding, VerdictName]]
    ) -> dict[str, Any]:
        rule = self._taxonomy.rule(judged.ruleset, clause)
        verdict: VerdictName = max((each for _, _, each in found), key=STRENGTH.__getitem__)
        action, disposition = _ACTIONS[verdict]
        uid = f"{exchange.exchange_id}:{clause}"
        event = self._base(_FINDING, _CREATE, exchange.ended_ns, uid=uid, profiles=["security_control"])
        event["metadata"] |= {"tenant_uid": exchange.app, "correlation_uid": _trace(exchange)}
        held = {"action": "Held"} if verdict == "hold" else {}
        return event | held | {
            "severity_id": _severity(rule),
            "status_id": 1,
            "action_id": action,
            "disposition_id": disposition,
            "is_alert": STRENGTH[verdict] >= STRENGTH["redact"],
            "confidence_score": max(each.score for _, each, _ in found),
            "policy": {"name": clause.partition("/")[0], "uid": judged.ruleset, "is_applied": verdict != "allow"},
            "finding_info": _info(uid, clause, rule, [each for _, each, _ in found]),
            "evidences": [_evidence(seq, each) for seq, each, _ in found],
            "resources": [{"uid": exchange.exchange_id, "type": "exchange", "name": exchange.model or "unknown model"}],
        }  # fmt: skip

    def _review(self, entry: LogEntry) -> dict[str, Any]:
        event = self._of_entry(_FINDING, 3, entry, profiles=["security_control"])
        decision = entry.text("decision")
        return event | {
            "severity_id": _SEVERITY["info"],
            "status_id": 4,
            "action_id": 1 if decision == "approved" else 2,
            "disposition_id": _REVIEWS.get(decision, _OTHER),
            "finding_info": {"uid": entry.text("hold"), "title": f"A held step was {decision}"},
            "resources": [{"uid": entry.text("exchange"), "type": "exchange"}],
        }

    def _said(self, entry: LogEntry) -> dict[str, Any]:
        """What a supervisor or a person said of steps after the fact, or that the supervisor did not see one."""
        verdict = cast("VerdictName", entry.text("verdict") or "allow")
        action, disposition = _ACTIONS[verdict]
        held = {"action": "Held"} if verdict == "hold" else {}
        event = self._of_entry(_FINDING, _UPDATE_FINDING, entry, profiles=["security_control"])
        return event | held | {
            "severity_id": _SEVERITY["medium" if entry.type == "canary.missed" else "info"],
            "status_id": 1,
            "action_id": action,
            "disposition_id": disposition,
            "is_alert": STRENGTH[verdict] >= STRENGTH["redact"] or entry.type == "canary.missed",
            "finding_info": {"uid": entry.text("critique") or f"entry {entry.index}", "title": _title(entry)},
            "resources": [{"uid": entry.text("exchange") or "none", "type": "exchange"}],
            "unmapped": _told(entry),
        }  # fmt: skip

    def _change(self, entry: LogEntry, activity: int, uid: str, kind: str) -> dict[str, Any]:
        policy = kind == "policy"
        what = {"type_id": _POLICY_ENTITY, "policy": {"uid": uid}} if policy else {"type_id": _OTHER, "type": kind}
        return self._of_entry(_ENTITY, activity, entry) | {
            "severity_id": _SEVERITY["info" if entry.type in _ROUTINE else "medium"],
            "status_id": _SUCCESS,
            "actor": {"user": {"uid": entry.text("actor")}},
            "entity": {"uid": uid, **what},
            "unmapped": _told(entry),
        }

    def _look(self, entry: LogEntry) -> dict[str, Any]:
        about = entry.text("exchange") or entry.text("session") or entry.text("words") or entry.text("role")
        about = about or f"{entry.text('since')}/{entry.text('until')}"
        return self._of_entry(_API, _CALLS[entry.type], entry) | {
            "severity_id": _SEVERITY["low"],
            "status_id": _SUCCESS,
            "actor": {"user": {"uid": entry.text("actor")}},
            "api": {"operation": entry.type, "service": {"name": "stepwarden"}},
            "src_endpoint": {"svc_name": "stepwarden"},
            "resources": [
                {
                    "uid": about,
                    "type": entry.text("what") or entry.text("format") or _LOOKED_AT.get(entry.type, "dashboard"),
                }
            ],
        }

    def _of_entry(
        self, class_uid: int, activity: int, entry: LogEntry, profiles: list[str] | None = None
    ) -> dict[str, Any]:
        event = self._base(class_uid, activity, nanoseconds(entry.ts), uid=f"entry {entry.index}", profiles=profiles)
        event["metadata"]["sequence"] = entry.index
        if tenant := entry.text("tenant"):
            event["metadata"]["tenant_uid"] = tenant
        return event

    def _base(
        self, class_uid: int, activity: int, at_ns: int, *, uid: str, profiles: list[str] | None = None
    ) -> dict[str, Any]:
        return {
            "class_uid": class_uid,
            "category_uid": class_uid // 1000,
            "activity_id": activity,
            "type_uid": class_uid * 100 + activity,
            "time": at_ns // _MS,
            "metadata": {
                "version": VERSION,
                "product": {"name": "Stepwarden", "vendor_name": "Stepwarden", "version": self._release},
                "profiles": profiles or [],
                "log_name": self._origin,
                "uid": uid,
            },
        }


def _title(entry: LogEntry) -> str:
    """What a finding afterwards is about."""
    return "A supervisor could not read recorded steps" if entry.text("failed") else _SAID[entry.type]


def _told(entry: LogEntry) -> dict[str, Any]:
    """What an entry says itself."""
    return {name: value for name, value in entry.said.items() if name != "clauses"}


def _actor(exchange: Exchange) -> dict[str, Any]:
    user = {} if exchange.key_id is None else {"user": {"uid": exchange.key_id}}
    session = {} if exchange.join is None else {"session": {"uid": exchange.join.session_id}}
    return {"app_uid": exchange.app, **user, **session}


def _api(exchange: Exchange) -> dict[str, Any]:
    error = {} if exchange.error_type is None else {"error": exchange.error_type}
    code = {} if exchange.status is None else {"code": exchange.status}
    return {
        "operation": exchange.operation,
        "service": {"name": exchange.provider},
        "request": {"uid": exchange.exchange_id},
        "response": {**code, **error},
    }


def _http(exchange: Exchange) -> dict[str, Any]:
    method = {"http_method": exchange.method} if exchange.method in _HTTP else {}
    agent = {} if exchange.client is None else {"user_agent": exchange.client}
    response = {} if exchange.status is None else {"http_response": {"code": exchange.status}}
    return {"http_request": {**method, **agent}, **response}


def _model(exchange: Exchange) -> dict[str, Any]:
    name = exchange.model or exchange.model_requested
    return {} if name is None else {"ai_model": {"ai_provider": exchange.provider, "name": name}}


def _message(exchange: Exchange) -> dict[str, Any]:
    """The profile's context of a message; counts that the provider did not give are left out."""
    given, taken = exchange.usage.input_tokens, exchange.usage.output_tokens
    total = None if given is None or taken is None else given + taken
    counts = {"prompt_tokens": given, "completion_tokens": taken, "total_tokens": total}
    return {
        "ai_role_id": _ASSISTANT,
        "application": {"uid": exchange.app},
        "service": {"name": exchange.provider},
        **({} if exchange.join is None else {"uid": exchange.join.session_id}),
        **{name: count for name, count in counts.items() if count is not None},
    }


def _info(uid: str, clause: str, rule: Rule | None, found: list[Finding]) -> dict[str, Any]:
    """The finding; text and taxonomy only of the very clause that judged, never of one that came after it."""
    info: dict[str, Any] = {
        "uid": uid,
        "title": clause,
        "analytic": {"type_id": _RULE, "uid": clause, "name": ", ".join(dict.fromkeys(each.guard for each in found))},
    }
    if rule is None:
        return info
    info["desc"] = rule.clause.text
    info["analytic"]["version"] = rule.revision
    attacks = [{"technique": {"uid": each}} for each in rule.clause.taxonomy if each.startswith("AML.")]
    types = [each for each in rule.clause.taxonomy if each.startswith("OWASP-")]
    return info | ({"attacks": attacks} if attacks else {}) | ({"types": types} if types else {})


def _evidence(seq: int, finding: Finding) -> dict[str, Any]:
    """Where it stands, as ranges and words; never what stands there."""
    places = [{"label": each.label, "start": each.start, "end": each.end} for each in finding.evidence]
    return {"data": {"step": seq, "guard": finding.guard, "score": finding.score, "places": places}}


def _severity(rule: Rule | None) -> int:
    return _UNKNOWN_SEVERITY if rule is None else _SEVERITY[rule.clause.severity]


def _trace(exchange: Exchange) -> str:
    return exchange.exchange_id if exchange.join is None else exchange.join.trace_id.hex()
