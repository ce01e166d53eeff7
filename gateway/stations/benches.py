"""The benches of one worker: of each app, and of each revision that governs some of its sessions."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from gateway.refusals import RevisionMissing
from gateway.stations.bench import Bench
from policies.evaluate import Ruleset
from policies.vocabulary.modes import Modes

Revise = Callable[[str, str], Awaitable[Bench]]
"""The bench of an app under a revision."""

_REVISIONS: Final = 16
"""Benches of revisions a worker keeps: those that running sessions began under, and those a rollback comes back to."""


class Supervision:
    """The clauses in force in one worker, by app."""

    def __init__(self, benches: Mapping[str, Bench | None], revise: Revise | None = None) -> None:
        """`revise`: makes benches of revisions; without one the policy files alone are in force."""
        self._benches = benches
        self._revise = revise
        self._revised: OrderedDict[str, asyncio.Future[Bench]] = OrderedDict()
        """By revision."""

    def rulesets(self, modes: Modes, at_ns: int) -> dict[str, Ruleset]:
        """The clauses of every configured app that has any, as they stand at a moment, for those who show them."""
        return {
            app: bench.shadowing(frozenset(modes.shadowed(app, at_ns))).ruleset
            for app, bench in self._benches.items()
            if bench is not None
        }

    def forget(self, sessions: Sequence[str]) -> None:
        """Forget what was read of sessions that were erased."""
        for bench in self._benches.values():
            if bench is not None:
                bench.forget(sessions)

    @property
    def asked(self) -> list[msgspec.Struct]:
        """The specs of all guards that are asked elsewhere."""
        return [spec for bench in self._benches.values() if bench is not None for spec in bench.ruleset.asked]

    async def attend(self, app: str, revision: str | None) -> None:
        """Have the clauses of a revision at hand, for exchanges that it governs. Raises `RevisionMissing`."""
        if revision is None or self._benches_of(app) is None:
            return
        if self._revise is None:
            raise RevisionMissing("What is in force for this app cannot be read here.")
        if revision not in self._revised:
            self._revised[revision] = asyncio.ensure_future(self._revise(self._named(app), revision))
            while len(self._revised) > _REVISIONS:
                self._revised.popitem(last=False)
        making = self._revised[revision]
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._revised.pop(revision, None)
            raise RevisionMissing("What is in force for this app cannot be read here.") from error
        with suppress(KeyError):
            self._revised.move_to_end(revision)

    def _named(self, app: str) -> str:
        return app if app in self._benches else "default"

    def _benches_of(self, app: str) -> Bench | None:
        benches = self._benches
        return benches[app] if app in benches else benches.get("default")

    def bench(
        self, app: str, shadowed: Collection[str] = (), *, distrusted: bool = False, revision: str | None = None
    ) -> Bench | None:
        """The bench for an app; apps nobody configured follow `default`. None where no policy is named.

        `shadowed`: clauses that are out of force for this app now; `distrusted`: whether a critique warns of the
        session; `revision`: what is in force in place of the policy files. Raises `RevisionMissing` where that was not
        attended to.
        """
        found = self._benches_of(app)
        if found is None:
            return None
        if revision is not None:
            made = self._revised.get(revision)
            if made is None or not made.done():
                raise RevisionMissing("What is in force for this app was read anew just now.")
            found = made.result()
        found = found.shadowing(frozenset(shadowed)) if shadowed else found
        return found.distrusting() if distrusted else found
