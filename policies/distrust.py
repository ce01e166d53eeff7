"""Distrust: the gateway's own clause for a session that a critique warns of; its next call waits for a person. Pure."""

from collections.abc import Sequence

from policies.evaluate import Ruleset
from policies.rules import Rule, Selector
from policies.trail import Scene
from policies.vocabulary.bands import Band
from policies.vocabulary.clauses import Clause
from policies.vocabulary.findings import Hit
from policies.vocabulary.monitoring import DISTRUSTED

_TEXT = "A session of which a supervisor said something bad makes no call before a person has looked at it."


class _Warned:
    """Finds every call."""

    window: None = None

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """The call, whatever it says."""
        del scene
        return (Hit(score=100, note="a critique of an earlier step of this session asks for a person"),)


def distrusting(ruleset: Ruleset) -> Ruleset:
    """The same clauses, and one under which every tool call waits for a person."""
    clause = Clause(
        id=DISTRUSTED.partition("/")[2],
        text=_TEXT,
        severity="high",
        steps=("tool_call",),
        guards=(),
        action=(Band(at=100, do="hold"),),
        reason="needs_approval",
        on_error="hold",
        mode="enforce",
    )
    rule = Rule(
        name=DISTRUSTED,
        revision=DISTRUSTED,
        clause=clause,
        selector=Selector(clause),
        condition=None,
        places=(),
        bands=clause.action,
    )
    return ruleset.also(rule, _Warned())
