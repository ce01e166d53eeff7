"""The desk for proposals and revisions: what the control plane asks of optimizers, the book and what is in force."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from gateway.api import optimizing_answers as answers
from gateway.api.long_work import LongWork, Watcher
from gateway.config import Config
from gateway.contents import Encoded, Reach
from gateway.keeper import NoPolicies
from gateway.wire.dialects import dialects
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.holds import Review
from policies.vocabulary.judgements import Judged
from storage.store import Store

if TYPE_CHECKING:  # they know every kind of guard: loaded with the first call that needs them
    from gateway.optimizing.episodes import RecordedEpisodes
    from gateway.optimizing.errands import Errand
    from gateway.standing import Standing
    from policies.vocabulary.revisions import Parameters
    from storage.revisions import Filed, Kept
    from supervisors.caller import Caller
    from supervisors.optimizers.model import Model

T = TypeVar("T")

_MOST: Final = 500
"""Proposals and revisions that are listed."""

_RUN_BYTES: Final = 16

_WOULDS: Final = 20
"""Steps that are shown of what a candidate would have done."""

Revise = Callable[["Callable[[Standing], Any]"], Awaitable[Any]]
"""Changes what is in force, in the process that keeps it."""


class NoModel(StepwardenError):
    """Optimizers that ask a model were named, and there is none."""

    status = 409

    def remedy(self) -> str:
        """What to do."""
        return "Name a model in [supervisor]; optimizers ask it by the same budget and ledger."


class CannotBeTried(StepwardenError):
    """Nothing can be made of a proposal that history could be held against."""

    status = 409

    def remedy(self) -> str:
        """What to do."""
        return "Run `stepwarden optimize`: what is proposed then changes what is in force now."


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
        busy: Callable[[], bool],
        caller: "Caller | None" = None,
    ) -> None:
        """`rest` gives the processor back to live traffic, which is `busy` or not; `caller`: the way to a model."""
        self._caller = caller
        self._store = store
        self._config = config
        self._standing = standing
        self._revise = revise
        self._work = work
        self._rest = rest
        self._busy = busy

    def optimize(self, apps: str | None, *, dry: bool, ask: Sequence[str] = ()) -> AsyncIterator[bytes]:
        """Begin a run and follow it. Raises `NoPolicies`, `NoModel` and `WorkRunning`.

        `ask`: optimizers that ask a model, beside those that the configuration names. Call it on the event loop.
        """
        self._in_force()
        names = tuple(dict.fromkeys([*self._config.optimizer.ask, *ask]))
        model = self._model(names)

        def work(watcher: Watcher) -> answers.OptimizeReport:
            from gateway.optimizing.apart import run_apart  # noqa: PLC0415 - see above
            from gateway.optimizing.office import LedgerOffice  # noqa: PLC0415

            errand = self._errand(apps, dry=dry, ask=names)
            store = self._store
            office = LedgerOffice(store.revisions, store.optimizer_runs, store.optimizer_steps, errand.gate, model)
            runs = run_apart(errand, office, watcher, self._busy)
            return answers.OptimizeReport(dry=dry, apps=tuple([answers.app_run(run, self._before) for run in runs]))

        return self._work.begin(work)

    def _errand(self, apps: str | None, *, dry: bool, ask: tuple[str, ...]) -> "Errand":
        from gateway.optimizing.errands import AppErrand, Errand  # noqa: PLC0415 - see above
        from gateway.supervision import instruction_set  # noqa: PLC0415
        from supervisors.optimizers.model import Spending  # noqa: PLC0415

        standing, settings = self._in_force(), self._config.optimizer
        wanted = [
            AppErrand(
                app=app,
                parameters=standing.parameters(app),
                salt=self._store.revisions.salt(app),
                instructs=self._config.apps[app].instructions != "none",
                choices=instruction_set(self._config, app).choices,
                lines=self._lines(app, standing.parameters(app)),
            )
            for app in self._wanted(apps)
        ]
        return Errand(
            run=secrets.token_bytes(_RUN_BYTES),
            directory=str(self._store.directory.absolute()),
            last=self._store.last,
            reach=Reach.within(self._config.limits),
            apps=tuple(wanted),
            dry=dry,
            ask=ask,
            gate=standing.gate,
            share=settings.share,
            spending=Spending(calls=settings.calls_per_run, tokens=settings.tokens_per_run),
            seconds=settings.minutes_per_run * 60,
            words=settings.words_per_day,
        )

    def _lines(self, app: str, now: "Parameters") -> dict[str, tuple[str, ...]]:
        """The items of instructions that were ever in force for an app, by the digests that the record names."""
        found = {now.digest: now}
        for kept in self._store.revisions.every(app=app, limit=-1):
            found |= dict.fromkeys((kept.revision.parameters, kept.parameters.digest), kept.parameters)
        return {name: tuple([line.id for line in each.instructions]) for name, each in found.items()}

    async def wrongs(self, apps: str | None) -> answers.Wrongs:
        """How often guards were wrong, app by app. Raises `NoPolicies`."""
        self._in_force()
        return await asyncio.to_thread(self._wrongs, apps)

    def _wrongs(self, apps: str | None) -> answers.Wrongs:
        from gateway.optimizing.episodes import recorded_episodes  # noqa: PLC0415 - see above

        episodes = recorded_episodes(self._store, self._config)
        return answers.Wrongs(apps=tuple([self._app_wrongs(app, episodes) for app in self._wanted(apps)]))

    def _app_wrongs(self, app: str, episodes: "RecordedEpisodes") -> answers.AppWrongs:
        return answers.app_wrongs(app, episodes.records(app, self._rest), self._store.revisions.counted(app))

    # ---------------------------------------------------------------------------------------------------- proposals

    async def proposals(self, app: str | None, state: Any) -> answers.ProposalList:
        """Proposals, newest first."""
        return await asyncio.to_thread(self._proposals, app, state)

    def _proposals(self, app: str | None, state: Any) -> answers.ProposalList:
        listed = self._store.revisions.list(app=app, state=state, limit=_MOST)
        shown = [self._answer(each.number) for each in listed]
        # What has moved since it was listed may be in another state by now.
        return answers.ProposalList(proposals=tuple([each for each in shown if state in (None, each.state)]))

    async def proposal(self, number: int) -> answers.Proposal:
        """One proposal. Raises `ProposalNotFound`."""
        return await asyncio.to_thread(self._answer, number)

    async def candidate(self, number: int) -> "Parameters":
        """What a proposal would make of its app. Raises `ProposalNotFound` and `CannotBeTried`."""
        return await asyncio.to_thread(self._candidate, number)

    def _candidate(self, number: int) -> "Parameters":
        from policies.parameters import EditRefused, apply  # noqa: PLC0415 - with every kind of guard

        proposal = self._store.revisions.get(number).proposal
        before = self._before(proposal.app, proposal.parent)
        if before is None:
            raise CannotBeTried("what this proposal changes was never in force here")
        try:
            return apply(before, proposal.edits)
        except EditRefused as refused:
            raise CannotBeTried("this proposal cannot be applied to what it was made from") from refused

    async def approve(self, number: int, review: Review, *, at_once: bool) -> answers.Proposal:
        """Let it go on to its canary, or put it in force. Raises as `Standing.approve`."""
        filed: Filed = await self._revise(lambda standing: standing.approve(number, review, at_once=at_once))
        return await asyncio.to_thread(self._answer, filed.number)

    async def reject(self, number: int, review: Review) -> answers.Proposal:
        """Refuse it."""
        filed: Filed = await self._revise(lambda standing: standing.reject(number, review))
        return await asyncio.to_thread(self._answer, filed.number)

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

    # ----------------------------------------------------------------------------------------------------- requests

    def forwarded(self, exchange: Exchange, judged: Judged | None, body: Encoded) -> bytes:
        """The decoded body a provider got. Raises `NotRebuilt`."""
        from gateway.optimizing.forwarded import NotRebuilt, forwarded  # noqa: PLC0415 - see above

        dialect = dialects().by_name().get(exchange.dialect)
        if dialect is None:
            raise NotRebuilt("its wire is not read here")
        named = self._config.followed(exchange.app)
        return forwarded(
            exchange, judged, body, dialect=dialect, config=self._config, find=lambda _, name: self._before(named, name)
        )

    # ------------------------------------------------------------------------------------------------------- within

    def _in_force(self) -> "Standing":
        standing = self._standing()
        if standing is None:
            raise NoPolicies("no app names a policy, so there is nothing to revise")
        return standing

    def _wanted(self, apps: str | None) -> tuple[str, ...]:
        """The apps that are asked about: one, or all that name policies."""
        return tuple(app for app in self._in_force().apps() if apps in (None, app))

    def _model(self, names: tuple[str, ...]) -> "Callable[[str], Model] | None":
        """The model that a run asks, on the account of an app; None where none of its optimizers does."""
        if not names:
            return None
        caller, loop, runs = self._caller, asyncio.get_running_loop(), self._store.optimizer_runs
        if caller is None:
            raise NoModel("no model is named, so these optimizers have nobody to ask")
        from gateway.optimizing.asked_model import AskedModel  # noqa: PLC0415 - see above

        return lambda app: AskedModel(caller, runs, app, loop)

    def _answer(self, number: int) -> answers.Proposal:
        whole = self._store.revisions.whole(number, woulds=_WOULDS)
        proposal = whole.filed.proposal
        return answers.proposal(whole, self._before(proposal.app, proposal.parent))

    def _before(self, app: str, digest: str) -> "Parameters | None":
        """Parameters by their digest, as far as they were ever in force here."""
        standing = self._standing()
        if standing is not None and app in standing.apps() and (now := standing.parameters(app)).digest == digest:
            return now
        kept: Sequence[Kept] = self._store.revisions.every(app=app, limit=_MOST)
        recorded = next((each.parameters for each in kept if each.revision.parameters == digest), None)
        # What an earlier version kept may be called otherwise by now; that costs a hash of each, and is rare.
        return recorded or next((each.parameters for each in kept if each.parameters.digest == digest), None)

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
