"""In force: the clauses of every app, or nothing at all where no app names a policy."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from gateway.config import Config
from gateway.stations.benches import Supervision
from policies.guards.judge import Judge
from supervisors.panel import Maker, Panel

if TYPE_CHECKING:
    from gateway.standing import Standing
    from gateway.supervision import Revisions
    from storage.store import Store


def in_force(
    config: Config, panel: Panel | None = None, judge: Judge | None = None, revisions: "Revisions | None" = None
) -> Supervision:
    """The clauses in force. Raises `BadPolicy` where a policy does not check, its own examples included.

    Policies, guards and their libraries take 13 MB of a worker: they are loaded with the first policy an app names.
    `panel` answers for guards that are asked, `judge` for the gate; without them nothing can be judged by them.
    `revisions`: what the keeper says is in force in place of the files.
    """
    if not any(app.policy for app in config.apps.values()):
        return Supervision(dict.fromkeys(config.apps))
    from gateway.supervision import open_supervision  # noqa: PLC0415 - see above

    return open_supervision(config, panel, judge, revisions)


def standing_of(config: Config, store: "Store") -> "Standing | None":
    """Which revisions are in force; None where no app names a policy. Raises `BadPolicy` and the store's errors."""
    if not any(app.policy for app in config.apps.values()):
        return None
    from gateway.standing import Standing  # noqa: PLC0415 - with the policies

    standing = Standing(store.revisions, config, newest=store.newest_session)
    standing.settle()
    return standing


def panel_of(environ: Mapping[str, str]) -> Panel:
    """Who answers for guards that are asked, in one worker; what they need is loaded with the first such guard.

    Keys are looked up in `environ` when they are needed, and kept nowhere.
    """

    def makers() -> Mapping[type[msgspec.Struct], Maker]:
        from gateway.asking import makers  # noqa: PLC0415 - see above

        return makers(environ)

    return Panel(makers)
