"""In force: the clauses of every app, or nothing at all where no app names a policy."""

from gateway.config import Config
from gateway.stations.judge import Supervision


def in_force(config: Config) -> Supervision:
    """The clauses in force. Raises `BadPolicy` where a policy does not check, its own examples included.

    Policies, guards and their libraries take 13 MB of a worker: they are loaded with the first policy an app names.
    """
    if not any(app.policy for app in config.apps.values()):
        return Supervision(dict.fromkeys(config.apps))
    from gateway.supervision import open_supervision  # noqa: PLC0415 - see above

    return open_supervision(config)
