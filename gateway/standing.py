"""Standing: which revision is in force for each app in place of its policy files, and the one way to change that.

What a person wrote into the files wins: once they differ from what revisions began with, they are in force, and the
chain goes on from there. Sessions go on under what they began under, but where that is taken back, where the files
change, and where a person puts an old revision in force by name. Everything blocks; changes are made one at a time.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gateway.activation import activated
from gateway.config import Config
from gateway.optimizing.gate import gate_of
from gateway.sticky import Arm, Line
from gateway.supervision import bases, compiled
from policies.errors import StepwardenError
from policies.evaluate import Ruleset
from policies.gate.canary import Canary
from policies.gate.case import Approval, Case
from policies.gate.ladder import LADDER, OFFLINE, case_of, climb
from policies.gate.trial import Trial, Would
from policies.gate.trials import Ground, ReplayTrials
from policies.parameters import EditRefused, apply, check, expired
from policies.replay import Replay
from policies.vocabulary.audit import GATEWAY, CanaryBegun, ConfigActivated
from policies.vocabulary.holds import Review
from policies.vocabulary.ladder import Climb, RungName
from policies.vocabulary.modes import Modes
from policies.vocabulary.revisions import Edit, Parameters, Revision
from storage.errors import RevisionNotFound
from storage.revisions import Arrival, Filed, Kept, RevisionBook

_LOG: Final = logging.getLogger("stepwarden.revisions")
_encode = msgspec.msgpack.Encoder().encode

FILES: Final = "human:files"
"""Author of what the policy files put in force."""

EXPIRY: Final = "gateway:expiry"
"""Author of what is left once learned guards have come to their end."""

RUNGS: Final[tuple[RungName, ...]] = LADDER[:-1]
"""What is asked before any session runs under a change."""

AT_ONCE: Final[tuple[RungName, ...]] = (*OFFLINE, "approval")
"""What is asked where a person wants a change in force for every session that begins: no shadow, no canary."""

DAY_NS: Final = 24 * 3600 * 1_000_000_000


class Stale(StepwardenError):
    """A proposal was made from something else than what is in force now."""

    status = 409

    def remedy(self) -> str:
        """How it can be made anew."""
        return "Run `stepwarden optimize` again: it proposes from what is in force now."


class NotPassed(StepwardenError):
    """A rung did not let a proposal pass; a person's word does not stand in for evidence."""

    status = 409

    def remedy(self) -> str:
        """Where the reasons are."""
        return "`stepwarden proposals show` says which rung, and why; `--at-once` passes over those that only wait."


class NotApplied(StepwardenError):
    """A change of what agents read, which the configuration of their app does not let revisions make."""

    status = 409

    def remedy(self) -> str:
        """What can be done."""
        return (
            'Let the app\'s configuration allow it: [app.NAME] instructions = "FILE.toml" (which may be empty), or '
            'tool_descriptions = "revised".'
        )


class NoEarlier(StepwardenError):
    """There is nothing to go back to."""

    status = 409

    def remedy(self) -> str:
        """Where to look."""
        return "`stepwarden revisions list` shows what was in force; `revisions activate` puts any of it back."


class Stand(msgspec.Struct, frozen=True):
    """What is in force for one app in place of its files."""

    kept: Kept
    ruleset: Ruleset
    active: ConfigActivated
    """What the audit log says of it."""


class Standing:
    """All apps that name policies. Safe from any thread; every change blocks until it is durable."""

    def __init__(
        self,
        book: RevisionBook,
        config: Config,
        *,
        newest: Callable[[], int],
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`newest`: the number of the session that was recorded last; what live traffic says begins behind it."""
        self._book = book
        self._config = config
        self._newest = newest
        self.gate: Final = gate_of(config.optimizer)
        """What is asked of a proposal."""
        self._now_ns = now_ns
        self._lock = threading.RLock()
        self._bases: Mapping[str, Parameters] = {}
        self._stands: Mapping[str, Stand] = {}
        self._lines: Mapping[str, Line] = {}

    # ------------------------------------------------------------------------------------------------------ reading

    def of(self, app: str) -> str | None:
        """The revision in force for an app; None where its files are. Apps nobody configured follow `default`."""
        stand = self._stands.get(self._config.followed(app))
        return None if stand is None else stand.kept.revision.digest

    def line(self, app: str) -> Line:
        """What sessions of an app may run under. Apps nobody configured follow `default`, and are watched with it."""
        return self._lines.get(self._config.followed(app), Line())

    def apps(self) -> tuple[str, ...]:
        """The apps that name policies."""
        return tuple(self._bases)

    def parameters(self, app: str) -> Parameters:
        """What is in force for an app that names policies."""
        stand = self._stands.get(app)
        return self._bases[app] if stand is None else stand.kept.parameters

    def encoded(self, revision: str) -> bytes:
        """What a revision puts in force. Raises `RevisionNotFound`."""
        return _encode(self._book.revision(revision).parameters)

    def rulesets(self, modes: Modes, at_ns: int) -> dict[str, Ruleset]:
        """The clauses of every app under a revision, as they stand at a moment."""
        return {
            app: stand.ruleset.shadowing(frozenset(modes.shadowed(app, at_ns))) for app, stand in self._stands.items()
        }

    def corrected(self, active: Iterable[ConfigActivated]) -> tuple[ConfigActivated, ...]:
        """What is in force, given what the files say: revisions in their places."""
        stands = self._stands
        found = [(each, stands.get(each.tenant or "")) for each in active]
        return tuple([each if stand is None else stand.active for each, stand in found])

    # ------------------------------------------------------------------------------------------------------- changing

    def settle(self) -> None:
        """Read the policy files, hold what is in force against them, and let learned guards go whose time is over.

        Raises `BadPolicy` where they do not check, and the store's errors.
        """
        with self._lock:
            self._bases = bases(self._config)
            self._stands = {app: stand for app in self._bases if (stand := self._settled(app)) is not None}
            self._lines = {app: self._line(app) for app in self._bases}

    def _settled(self, app: str) -> Stand | None:
        base = self._bases[app]
        try:
            now = self._book.in_force(app)
            if now is None and base.instructions:
                self._keep(base, FILES, parent=None)  # what is added to requests is kept, so that they can be explained
            if now is None or now.parameters == base:
                return None
            if self._of_files(app).parameters != base:
                self._keep(base, FILES, parent=now)
                _LOG.warning("the policy files changed: they are in force, and what was learned is not", extra=_of(app))
                return None
            now = self._without_expired(now)
            return None if now.parameters == base else self._stand(now)
        except (msgspec.MsgspecError, StepwardenError) as error:
            _LOG.error(
                "the revision in force cannot be read: the policy files are in force",
                extra={**_of(app), "error": type(error).__name__},
            )
            return None

    def approve(self, number: int, review: Review, *, at_once: bool = False) -> Filed:
        """A named person's word for a proposal: it goes on to its canary.

        `at_once`: it is in force for every session that begins from then on, without shadow and canary. Raises
        `NotPassed`, `Stale`, `NotApplied`, `EditRefused`, and what the book raises.
        """
        with self._lock:
            filed = self._book.get(number)
            before = self._parameters(filed.proposal.app)
            child = self._child(filed, before, at_once=at_once)
            said = Approval(by=review.by or review.actor, agreed=True, reason=review.reason or "")
            climbed = climb(self._case(filed, approval=said), AT_ONCE if at_once else RUNGS, filed.climb.decisions)
            if not climbed.reached:
                self._book.judge(number, climbed, now_ns=self._now_ns(), answer=review)
                raise NotPassed(f"proposal {number} did not pass `{climbed.last.rung}`: {climbed.last.why}")
            if at_once:
                self._put(child, filed.proposal.author, review, filed=filed, climbed=climbed)
                return self._book.get(number)
            filed = self._book.judge(number, climbed, now_ns=self._now_ns(), answer=review)
            return self.begin(number) if self.is_free(filed.proposal.app) else filed

    def reject(self, number: int, review: Review) -> Filed:
        """Refuse a proposal; it is not made again, and its canary ends at once. Raises what the book raises."""
        with self._lock:
            filed = self._book.reject(number, review, now_ns=self._now_ns())
            self._redraw(filed.proposal.app)
            return filed

    def activate(self, name: str, review: Review) -> Kept:
        """Put what was in force once in force again, as a revision of its own, on a named person's word.

        Raises `RevisionNotFound`, and `EditRefused` where a protected clause of the files would change by it.
        """
        with self._lock:
            wanted = self._book.revision(name).parameters
            if wanted.app not in self._bases:
                raise RevisionNotFound(name, "its app names no policy any more")
            if wanted == self.parameters(wanted.app):
                raise EditRefused("changes_nothing", "this is in force")
            check(self._bases[wanted.app], wanted)
            self._allowed(self.parameters(wanted.app), wanted)
            return self._put(wanted, f"human:{review.by or review.actor}", review)

    def roll_back(self, app: str, to: str | None, review: Review, climbed: Climb | None = None) -> Kept:
        """Go back to an earlier revision of an app, by default the one before, at once. Raises `NoEarlier`.

        `climbed`: of the proposal that live traffic speaks against, where nobody gives the word.
        """
        with self._lock:
            now = self._book.in_force(app)
            target = to or (None if now is None else now.revision.parent)
            if app not in self._bases or now is None or target is None:
                raise NoEarlier(f"app `{app[:128]}` has no earlier revision")
            names = [each.revision.digest for each in self._since_files(app)]
            if target not in names:
                raise NoEarlier("the policy files have changed since that revision, and they win")
            parameters = self._book.revision(target).parameters
            ruleset, active = self._compiled(parameters, actor=review.actor)
            kept = self._book.roll_back(app, target, answer=review, now_ns=self._now_ns(), also=[active], climb=climbed)
            self._take(kept, ruleset, active)
            return kept

    # --------------------------------------------------------------------------------------- what live traffic decides

    def is_free(self, app: str) -> bool:
        """Whether nothing is compared for an app, in a canary or since it is in force: one change at a time is."""
        others = (each for each in self._book.live() if each.proposal.app == app and each.state != "waiting")
        return next(others, None) is None

    def may_begin(self, filed: Filed) -> bool:
        """Whether what passed everything may begin to act now: on a person's word, or within the day's room."""
        word = any(each.why == "person_approved" for each in filed.climb.decisions)
        since_ns = self._now_ns() - DAY_NS
        return word or self._book.by_itself(filed.proposal.app, since_ns) < self.gate.by_itself_per_day

    def asked(self, filed: Filed, trial: Trial | None = None) -> Climb:
        """What the rungs say of a proposal now, as far as each was asked before; of one in canary, up to that."""
        shadow = {} if trial is None else {"shadow": trial.shadow, "canary": trial.canary}
        return climb(self._case(filed, **shadow), LADDER if filed.state == "canary" else RUNGS, filed.climb.decisions)

    def begin(self, number: int) -> Filed:
        """Let a proposal that passed everything before be in force for a share of sessions. Raises as `approve`."""
        with self._lock:
            filed = self._book.get(number)
            app = filed.proposal.app
            before = self._parameters(app)
            child = self._child(filed, before, at_once=True)
            now = self._now(app)
            ruleset, active = self._compiled(child, actor=GATEWAY)
            kept = self._proposed(child, filed, now)
            start = Canary(paired=filed.proposal.exact)
            climbed = climb(self._case(filed, canary=start), LADDER, filed.climb.decisions)
            begun = CanaryBegun(
                actor=GATEWAY,
                tenant=app,
                proposal=filed.proposal.digest,
                revision=kept.revision.digest,
                parent=now.revision.digest,
                parameters=child.digest,
                policy=active.policy or ruleset.revision,
                share_millionths=round(self.gate.canary_share * 1_000_000),
            )
            trial = Trial(
                stage="canary",
                cursor=self._newest(),
                before=self._name(now),
                revision=self._name(kept),
                canary=start,
            )
            filed = self._book.begin_canary(number, climbed, kept, trial, begun=begun, now_ns=self._now_ns())
            self._redraw(app)
            return filed

    def promote(self, number: int, climbed: Climb) -> Filed:
        """Put what its canary let through in force for every session that begins. Raises as `approve`."""
        with self._lock:
            filed = self._book.get(number)
            trial = self._book.trial(number)
            child = apply(self._parameters(filed.proposal.app), filed.proposal.edits)
            known = None if trial is None or not trial.revision else self._book.revision(trial.revision)
            self._put(child, filed.proposal.author, None, filed=filed, climbed=climbed, known=known)
            return self._book.get(number)

    def close(self, number: int, climbed: Climb) -> Filed:
        """Note how far a proposal came; sessions that ran under it go back to what is in force, at once."""
        with self._lock:
            filed = self._book.judge(number, climbed, now_ns=self._now_ns())
            self._redraw(filed.proposal.app)
            return filed

    def advance(self, number: int, trial: Trial, woulds: Sequence[Would]) -> None:
        """Note how far a trial is."""
        self._book.advance(number, trial, woulds, now_ns=self._now_ns())

    def note(self, number: int, climbed: Climb, trial: Trial) -> None:
        """Note what live traffic says of a proposal that is compared on."""
        self._book.note(number, climbed, trial, now_ns=self._now_ns())

    def rest(self, number: int, climbed: Climb) -> None:
        """End the watch over what is in force, or was."""
        with self._lock:
            filed = self._book.get(number)
            self._book.rest(number, climbed, now_ns=self._now_ns())
            self._redraw(filed.proposal.app)

    # --------------------------------------------------------------------------------------------------------- within

    def _parameters(self, app: str) -> Parameters:
        if app not in self._bases:
            raise Stale(f"app `{app}` names no policy any more")
        return self.parameters(app)

    def _child(self, filed: Filed, before: Parameters, *, at_once: bool) -> Parameters:
        """What a proposal leads to, where a person's word is all that is missing; `at_once`: or time is."""
        waits = filed.climb.last
        missing = ("shadow", "approval", "canary") if at_once else ("approval",)
        if filed.state == "refused" or (waits.rung not in missing and not filed.climb.reached):
            raise NotPassed(f"proposal {filed.number} did not pass `{waits.rung}`: {waits.why}")
        if filed.proposal.parent != before.digest:
            raise Stale(f"something else is in force since proposal {filed.number} was made")
        child = apply(before, filed.proposal.edits)
        self._allowed(before, child)
        return child

    def _allowed(self, before: Parameters, after: Parameters) -> None:
        """Raise `NotApplied` where a change would be in no request."""
        settings = self._config.apps[after.app]
        if after.instructions != before.instructions and settings.instructions == "none":
            raise NotApplied(f"app `{after.app}` names no instruction set")
        if after.tools != before.tools and settings.tool_descriptions == "as_sent":
            raise NotApplied(f"app `{after.app}` has its tools described as it sends them")

    def _case(self, filed: Filed, **known: Any) -> Case:
        """A proposal before the rungs that ask no replay any more: what has to be tried was tried when it was made."""
        app, now_ns = filed.proposal.app, self._now_ns()
        before = self.parameters(app)
        nothing = Replay(())
        return case_of(
            filed.proposal, before, ReplayTrials(Ground(nothing, nothing, before), before, before), settings=self.gate,
            first=not self._book.ever(app), by_itself_today=self._book.by_itself(app, now_ns - DAY_NS), now_ns=now_ns,
            **known,
        )  # fmt: skip

    def _now(self, app: str) -> Kept:
        """What is in force, which is kept from here on."""
        now = self._book.in_force(app)
        return self._keep(self._bases[app], FILES, parent=None) if now is None else now

    def _proposed(self, child: Parameters, filed: Filed, now: Kept) -> Kept:
        """The revision that a proposal leads to."""
        kept = self._kept(child, filed.proposal.author, now)
        scores = tuple([score for decision in filed.climb.decisions for score in decision.scores])
        revision = msgspec.structs.replace(
            kept.revision, proposal=filed.proposal.digest, support=filed.proposal.support, scores=scores
        )
        return msgspec.structs.replace(kept, revision=revision)

    def _put(
        self,
        parameters: Parameters,
        author: str,
        review: Review | None,
        *,
        filed: Filed | None = None,
        climbed: Climb | None = None,
        known: Kept | None = None,
    ) -> Kept:
        """Put parameters in force; `known`: the revision that holds them, where its canary ran.

        `review`: the word of the person behind it.
        """
        now = self._now(parameters.app)
        actor, by = (GATEWAY, None) if review is None else (review.actor, review.by)
        ruleset, active = self._compiled(parameters, actor=actor)
        if filed is None:
            kept = self._kept(parameters, author, now)
            self._book.activate(kept, actor=actor, by=by, also=[active])
        else:
            kept = known or self._proposed(parameters, filed, now)
            watched = filed.proposal.exact or known is not None
            trial = Trial(
                stage="watch", cursor=self._newest(), before=self._name(now), revision=self._name(kept),
                canary=Canary(paired=filed.proposal.exact), held_back=not filed.proposal.exact,
            )  # fmt: skip
            arrival = Arrival(
                number=filed.number, climb=climbed, trial=trial if watched else None, answer=review,
                at_ns=self._now_ns(),
            )  # fmt: skip
            self._book.activate(kept, actor=actor, by=by, also=[active], arrival=arrival)
        self._take(kept, ruleset, active)
        return kept

    def _take(self, kept: Kept, ruleset: Ruleset, active: ConfigActivated) -> None:
        """From here on exchanges are judged by it: its entry is durable."""
        app = kept.revision.app
        stands = {name: stand for name, stand in self._stands.items() if name != app}
        if kept.parameters != self._bases[app]:
            stands[app] = Stand(kept, ruleset, active)
        self._stands = stands
        self._redraw(app)

    def _redraw(self, app: str) -> None:
        self._lines = {**self._lines, app: self._line(app)}

    def _line(self, app: str) -> Line:
        """What sessions of an app may run under: what was put in force since a person last said that it is for all."""
        now = self.of(app) or ""
        kept = {now}
        try:
            for each in self._book.chain(app):
                kept.add(self._name(each))
                if each.revision.proposal is None and each.revision.author.startswith("human:"):
                    break
            arm = self._arm(app)
        except (msgspec.MsgspecError, StepwardenError):
            return Line(now=now, kept=frozenset(kept))
        return Line(now=now, kept=frozenset(kept if arm is None else kept | {arm.revision}), arm=arm)

    def _arm(self, app: str) -> Arm | None:
        """Which sessions begin under something else than what is in force."""
        now = self._book.in_force(app)
        for filed in self._book.live():
            trial = self._book.trial(filed.number) if filed.proposal.app == app else None
            if trial is None or now is None:
                continue
            if trial.stage == "canary" and trial.before == self._name(now):
                drawn = trial.revision
            elif trial.stage == "watch" and trial.held_back and trial.revision == self._name(now):
                drawn = trial.before
            else:
                continue
            return Arm(proposal=filed.proposal.digest, share=self.gate.canary_share, revision=drawn)
        return None

    def _name(self, kept: Kept) -> str:
        """How sessions are told to run under a revision; empty where it says what the policy files say."""
        return "" if kept.parameters == self._bases[kept.revision.app] else kept.revision.digest

    def _keep(self, parameters: Parameters, author: str, *, parent: Kept | None) -> Kept:
        kept = self._kept(parameters, author, parent)
        self._book.activate(kept, actor=GATEWAY)
        return kept

    def _kept(self, parameters: Parameters, author: str, parent: Kept | None) -> Kept:
        revision = Revision(
            app=parameters.app,
            parent=None if parent is None else parent.revision.digest,
            parameters=parameters.digest,
            author=author,
            at_ns=self._now_ns(),
        )
        return Kept(revision=revision, parameters=parameters)

    def _stand(self, kept: Kept) -> Stand:
        ruleset, active = self._compiled(kept.parameters, actor=GATEWAY)
        return Stand(kept, ruleset, active)

    def _compiled(self, parameters: Parameters, *, actor: str) -> tuple[Ruleset, ConfigActivated]:
        ruleset = compiled(self._config, parameters)
        return ruleset, activated(self._config, parameters.app, ruleset, actor=actor)

    def _since_files(self, app: str) -> tuple[Kept, ...]:
        """What is in force, back to what the files said last."""
        found: list[Kept] = []
        for kept in self._book.chain(app):
            found.append(kept)
            if kept.revision.author == FILES:
                break
        return tuple(found)

    def _of_files(self, app: str) -> Kept:
        return self._since_files(app)[-1]

    def _without_expired(self, now: Kept) -> Kept:
        edits: tuple[Edit, ...] = expired(now.parameters, self._now_ns())
        return now if not edits else self._keep(apply(now.parameters, edits), EXPIRY, parent=now)


def _of(app: str) -> dict[str, str]:
    return {"app": app}
