"""Activation: what the audit log is told of the clauses that are about to be in force."""

import msgspec

from gateway.config import App, Config
from gateway.stations.benches import Supervision
from policies.digests import digest
from policies.evaluate import Ruleset
from policies.vocabulary.audit import OWNER, ConfigActivated
from policies.vocabulary.modes import Modes

_CLAUSES = 500
"""Clauses whose digests one entry of the audit log names; the digest over all of them is there in any case."""


def activation(config: Config, supervision: Supervision) -> tuple[ConfigActivated, ...]:
    """What the audit log says of what is about to be in force: one entry an app."""
    whole = _whole(config)
    rulesets = supervision.rulesets(Modes(()), 0)
    return tuple([_activated(app, rulesets.get(app.name), whole) for app in config.apps.values()])


def activated(config: Config, app: str, ruleset: Ruleset, *, actor: str) -> ConfigActivated:
    """What it says of one app that a revision changes; `actor`: on whose account."""
    return _activated(config.apps[app], ruleset, _whole(config), actor=actor)


def _whole(config: Config) -> str:
    return digest(msgspec.to_builtins(config, enc_hook=str))


def _activated(app: App, ruleset: Ruleset | None, whole: str, *, actor: str = OWNER) -> ConfigActivated:
    rules = () if ruleset is None else ruleset.rules[:_CLAUSES]
    return ConfigActivated(
        actor=actor,
        tenant=app.name,
        config=whole,
        policy=None if ruleset is None else ruleset.revision,
        enforce=app.enforce,
        unseen=app.unseen,
        audit=app.audit,
        clauses={rule.name: rule.revision for rule in rules},
    )
