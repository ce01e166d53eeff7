"""In force: the clauses of every app, or nothing at all where no app names a policy."""

import msgspec

from gateway.config import App, Config
from gateway.stations.judge import Supervision
from policies.digests import digest
from policies.evaluate import Ruleset
from policies.vocabulary.audit import OWNER, ConfigActivated

_CLAUSES = 500
"""Clauses whose digests one entry of the audit log names; the digest over all of them is there in any case."""


def in_force(config: Config) -> Supervision:
    """The clauses in force. Raises `BadPolicy` where a policy does not check, its own examples included.

    Policies, guards and their libraries take 13 MB of a worker: they are loaded with the first policy an app names.
    """
    if not any(app.policy for app in config.apps.values()):
        return Supervision(dict.fromkeys(config.apps))
    from gateway.supervision import open_supervision  # noqa: PLC0415 - see above

    return open_supervision(config)


def activation(config: Config, supervision: Supervision) -> tuple[ConfigActivated, ...]:
    """What the audit log says of what is about to be in force: one entry an app."""
    whole = digest(msgspec.to_builtins(config, enc_hook=str))
    rulesets = supervision.rulesets()
    return tuple([_activated(app, rulesets.get(app.name), whole) for app in config.apps.values()])


def _activated(app: App, ruleset: Ruleset | None, whole: str) -> ConfigActivated:
    rules = () if ruleset is None else ruleset.rules[:_CLAUSES]
    return ConfigActivated(
        actor=OWNER,
        tenant=app.name,
        config=whole,
        policy=None if ruleset is None else ruleset.revision,
        enforce=app.enforce,
        unseen=app.unseen,
        audit=app.audit,
        clauses={rule.name: rule.revision for rule in rules},
    )
