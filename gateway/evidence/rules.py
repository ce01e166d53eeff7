"""Rules: the clauses in force now, beside what the log says was in force in a period."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.evidence.log_entries import LogEntry
from policies.evaluate import Ruleset
from policies.rules import Rule


def document(app: str, ruleset: Ruleset, activations: Iterable[LogEntry]) -> dict[str, Any]:
    """An app's clauses, whole, with the entries of the log that name exactly this set."""
    entries = [each.index for each in activations if each.said.get("policy") == ruleset.revision]
    return {
        "app": app,
        "policy": ruleset.revision,
        "activated_by_entries": entries,
        "clauses": [
            {"name": rule.name, "digest": rule.revision, "clause": msgspec.to_builtins(rule.clause)}
            for rule in ruleset.rules
        ],
    }


def unknown(activations: Iterable[LogEntry], rulesets: Mapping[str, Ruleset]) -> list[dict[str, Any]]:
    """Sets of clauses that were in force and are not kept: the log has their digests, and no more."""
    now = {ruleset.revision for ruleset in rulesets.values()}
    return [
        {"entry": each.index, "ts": each.ts, "app": each.text("tenant"), "policy": policy}
        for each in activations
        if (policy := each.said.get("policy")) is not None and policy not in now
    ]


class Taxonomy:
    """Ids of attacks by clause, where the clause is the very one that was in force."""

    def __init__(self, rulesets: Mapping[str, Ruleset]) -> None:
        self._rules: dict[str, dict[str, Rule]] = {
            ruleset.revision: {rule.name: rule for rule in ruleset.rules} for ruleset in rulesets.values()
        }

    def rule(self, policy: str, clause: str) -> Rule | None:
        """The clause of a set with this digest; None where that set is not in force any more."""
        return self._rules.get(policy, {}).get(clause)
