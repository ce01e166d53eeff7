"""The desk for proposals and revisions: what the control plane asks of optimizers, the book and what is in force."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gateway.api import optimizing_answers as answers
from gateway.api.long_work import Gone, LongWork, Told
from gateway.backtest.run import Cancelled
from gateway.config import Config
from gateway.keeper import NoPolicies
from policies.vocabulary.holds import Review
from storage.store import Store

if TYPE_CHECKING:  # they know every kind of guard: loaded with the first call that needs them
    from gateway.optimizing.run import Workshop
    from gateway.standing import Standing
    from policies.vocabulary.revisions import Parameters
    from storage.revisions import Filed, Kept

T = TypeVar("T")

_MOST: Final = 500
"""Proposals and revisions that are listed."""

_WOULDS: Final = 20
"""Steps that are shown of what a candidate would have done."""

Revise = Callable[["Callable[[Standing], Any]"], Awaitable[Any]]
"""Changes what is in force, in the process that keeps it."""


class RevisionDesk:
    """Proposals and revisions of one gateway. What it does blocks no event loop."""

    def __init__(
        self,
        store: Store,
        config: Config,
        *,
        standing: "Callable[[], Standing | None]",
        revise: Revise,
        work: LongWork,
        rest: Callable[[], None],
    ) -> None:
        """`rest` gives the processor back to live traffic."""
        self._store = store
        self._config = config
        self._standing = standing
        self._revise = revise
        self._work = work
        self._rest = rest
        self._workshop: Workshop | None = None

    def optimize(self, apps: str | None, *, dry: bool) -> AsyncIterator[bytes]:
        """Begin a run and follow it. Raises `NoPolicies` and `WorkRunning`."""
        self._in_force()

        def work(told: Told, gone: Gone) -> answers.OptimizeReport:
            def rest() -> None:
                if gone():
                    raise Cancelled("the run was given up")
                self._rest()

            shop = self._shop()
            named = shop.apps(apps)
            runs: list[answers.AppRun] = []
            for at, app in enumerate(named):

                def progress(done: int, of: int, at: int = at) -> None:
                    told(at * of + done, len(named) * of)

                runs.append(answers.app_run(shop.run(app, dry=dry, progress=progress, rest=rest), self._before))
            return answers.OptimizeReport(dry=dry, apps=tuple(runs))

        return self._work.begin(work)

    # ---------------------------------------------------------------------------------------------------- proposals

    async def proposals(self, app: str | None, state: Any) -> answers.ProposalList:
        """Proposals, newest first."""
        return await asyncio.to_thread(self._proposals, app, state)

    def _proposals(self, app: str | None, state: Any) -> answers.ProposalList:
        listed = self._store.revisions.list(app=app, state=state, limit=_MOST)
        return answers.ProposalList(proposals=tuple([self._answer(each) for each in listed]))

    async def proposal(self, number: int) -> answers.Proposal:
        """One proposal. Raises `ProposalNotFound`."""
        return await asyncio.to_thread(lambda: self._answer(self._store.revisions.get(number)))

    async def approve(self, number: int, review: Review, *, at_once: bool) -> answers.Proposal:
        """Let it go on to its canary, or put it in force. Raises as `Standing.approve`."""
        filed: Filed = await self._revise(lambda standing: standing.approve(number, review, at_once=at_once))
        return await asyncio.to_thread(self._answer, filed)

    async def reject(self, number: int, review: Review) -> answers.Proposal:
        """Refuse it."""
        filed: Filed = await self._revise(lambda standing: standing.reject(number, review))
        return await asyncio.to_thread(self._answer, filed)

    # ---------------------------------------------------------------------------------------------------- revisions

    async def revisions(self, app: str | None) -> answers.RevisionList:
        """Everything that was in force, newest first."""
        return await asyncio.to_thread(self._revisions, app)

    def _revisions(self, app: str | None) -> answers.RevisionList:
        listed = self._store.revisions.every(app=app, limit=_MOST)
        return answers.RevisionList(revisions=tuple([self._revision(each) for each in listed]))

    async def revision(self, name: str) -> answers.Revision:
        """One revision by its digest or an unambiguous beginning of it. Raises `RevisionNotFound`."""
        return await asyncio.to_thread(lambda: self._revision(self._named(name)))

    async def diff(self, name: str, against: str | None) -> answers.RevisionDiff:
        """What it changed: from its parent, or from another revision."""
        return await asyncio.to_thread(self._diff, name, against)

    async def activate(self, name: str, review: Review) -> answers.Revision:
        """Put what was in force once in force again."""
        kept: Kept = await self._revise(lambda standing: standing.activate(self._named(name).revision.digest, review))
        return await asyncio.to_thread(self._revision, kept)

    async def roll_back(self, app: str, to: str | None, review: Review) -> answers.Revision:
        """Go back, by default to the one before."""

        def back(standing: "Standing") -> "Kept":
            return standing.roll_back(app, None if to is None else self._named(to).revision.digest, review)

        return await asyncio.to_thread(self._revision, await self._revise(back))

    # ------------------------------------------------------------------------------------------------------- within

    def _in_force(self) -> "Standing":
        standing = self._standing()
        if standing is None:
            raise NoPolicies("no app names a policy, so there is nothing to revise")
        return standing

    def _shop(self) -> "Workshop":
        if self._workshop is None:
            from gateway.optimizing.episodes import recorded_episodes  # noqa: PLC0415 - see above
            from gateway.optimizing.run import Workshop  # noqa: PLC0415

            episodes = recorded_episodes(self._store, self._config)
            self._workshop = Workshop(episodes, self._store.revisions, self._in_force(), self._config.optimizer)
        return self._workshop

    def _answer(self, filed: "Filed") -> answers.Proposal:
        book = self._store.revisions
        return answers.proposal(
            filed,
            self._before(filed.proposal.app, filed.proposal.parent),
            trial=book.trial(filed.number),
            moves=book.moves(filed.number),
            woulds=book.woulds(filed.number, limit=_WOULDS),
        )

    def _before(self, app: str, digest: str) -> "Parameters | None":
        """Parameters by their digest, as far as they were ever in force here."""
        standing = self._standing()
        if standing is not None and app in standing.apps() and (now := standing.parameters(app)).digest == digest:
            return now
        kept: Sequence[Kept] = self._store.revisions.every(app=app, limit=_MOST)
        return next((each.parameters for each in kept if each.revision.parameters == digest), None)

    def _revision(self, kept: "Kept") -> answers.Revision:
        now = self._store.revisions.in_force(kept.revision.app)
        return answers.revision(kept, in_force=now is not None and now.revision.digest == kept.revision.digest)

    def _named(self, name: str) -> "Kept":
        """One revision by the beginning of its digest. Raises `RevisionNotFound`."""
        from storage.errors import RevisionNotFound  # noqa: PLC0415 - beside the book, which is loaded late

        found = [each for each in self._store.revisions.every(limit=-1) if each.revision.digest.startswith(name)]
        if len(found) != 1:
            raise RevisionNotFound(name, "several begin so" if found else "it was never in force")
        return found[0]

    def _diff(self, name: str, against: str | None) -> answers.RevisionDiff:
        kept = self._named(name)
        other = against or kept.revision.parent
        before = None if other is None else self._named(other)
        return answers.revision_diff(kept, before)
