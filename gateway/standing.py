"""Standing: which revision is in force for each app in place of its policy files, and the one way to change that.

What a person wrote into the files wins: once they differ from what revisions began with, they are in force, and the
chain goes on from there. Everything blocks; changes are made one at a time.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from gateway.activation import activated
from gateway.config import Config
from gateway.supervision import bases, compiled
from policies.errors import StepwardenError
from policies.evaluate import Ruleset
from policies.gate.case import Approval
from policies.gate.ladder import case_of, climb
from policies.gate.trials import Ground, ReplayTrials
from policies.parameters import EditRefused, apply, check, expired
from policies.replay import Replay
from policies.vocabulary.audit import GATEWAY, ConfigActivated
from policies.vocabulary.holds import Review
from policies.vocabulary.ladder import GateSettings, RungName
from policies.vocabulary.modes import Modes
from policies.vocabulary.revisions import Edit, Parameters, Revision
from storage.errors import RevisionNotFound
from storage.revisions import Filed, Kept, RevisionBook

_LOG: Final = logging.getLogger("stepwarden.revisions")
_encode = msgspec.msgpack.Encoder().encode

FILES: Final = "human:files"
"""Author of what the policy files put in force."""

EXPIRY: Final = "gateway:expiry"
"""Author of what is left once learned guards have come to their end."""

RUNGS: Final[tuple[RungName, ...]] = (
    "rollback", "lint", "headroom", "minibatch", "holdout", "anchors", "fp_budget", "second_opinion", "approval",
)  # fmt: skip
"""What a proposal climbs in a running gateway: a named person stands where live shadow and canary would."""


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
        return "`stepwarden proposals show` says which rung refused it and why; more labels may change that."


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

    def __init__(self, book: RevisionBook, config: Config, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._book = book
        self._config = config
        self._now_ns = now_ns
        self._lock = threading.RLock()
        self._bases: Mapping[str, Parameters] = {}
        self._stands: Mapping[str, Stand] = {}

    # ------------------------------------------------------------------------------------------------------ reading

    def of(self, app: str) -> str | None:
        """The revision in force for an app; None where its files are. Apps nobody configured follow `default`."""
        stand = self._stands.get(app if app in self._config.apps else "default")
        return None if stand is None else stand.kept.revision.digest

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

    def approve(self, number: int, review: Review) -> Kept:
        """Put a proposal in force on a named person's word.

        Raises `NotPassed`, `Stale`, `NotApplied`, `EditRefused`, and what the book raises.
        """
        with self._lock:
            filed = self._book.get(number)
            before = self._parameters(filed.proposal.app)
            child = self._child(filed, before)
            reviewed = self._book.review(number, approve=True, answer=review, now_ns=self._now_ns())
            case = case_of(
                filed.proposal, before, _untried(before, child), settings=GateSettings(),
                approval=Approval(by=review.by or review.actor, agreed=True, reason=review.reason or ""),
                now_ns=self._now_ns(),
            )  # fmt: skip
            climbed = climb(case, RUNGS, earlier=reviewed.climb.decisions)
            self._book.judge(number, climbed)
            if not climbed.reached:
                raise NotPassed(f"proposal {number} did not pass `{climbed.last.rung}`: {climbed.last.why}")
            scores = tuple([score for decision in climbed.decisions for score in decision.scores])
            return self._put(child, filed.proposal.author, review, filed=filed, scores=scores)

    def reject(self, number: int, review: Review) -> Filed:
        """Refuse a proposal; it is not made again. Raises what the book raises."""
        return self._book.review(number, approve=False, answer=review, now_ns=self._now_ns())

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

    def roll_back(self, app: str, to: str | None, review: Review) -> Kept:
        """Go back to an earlier revision of an app, by default the one before. Raises `NoEarlier`."""
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
            kept = self._book.roll_back(app, target, answer=review, now_ns=self._now_ns(), also=[active])
            self._take(kept, ruleset, active)
            return kept

    # --------------------------------------------------------------------------------------------------------- within

    def _parameters(self, app: str) -> Parameters:
        if app not in self._bases:
            raise Stale(f"app `{app}` names no policy any more")
        return self.parameters(app)

    def _child(self, filed: Filed, before: Parameters) -> Parameters:
        waits = filed.climb.last
        if filed.state == "refused" or (waits.rung != "approval" and not filed.climb.reached):
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

    def _put(
        self,
        parameters: Parameters,
        author: str,
        review: Review,
        *,
        filed: Filed | None = None,
        scores: Sequence[object] = (),
    ) -> Kept:
        now = self._book.in_force(parameters.app)
        if now is None:
            now = self._keep(self._bases[parameters.app], FILES, parent=None)
        ruleset, active = self._compiled(parameters, actor=review.actor)
        proposal = None if filed is None else filed.proposal
        kept = self._kept(parameters, author, now)
        if proposal is not None:
            revision = msgspec.structs.replace(
                kept.revision, proposal=proposal.digest, support=proposal.support, scores=scores
            )
            kept = msgspec.structs.replace(kept, revision=revision)
        number = None if filed is None else filed.number
        self._book.activate(kept, number=number, actor=review.actor, by=review.by, also=[active])
        self._take(kept, ruleset, active)
        return kept

    def _take(self, kept: Kept, ruleset: Ruleset, active: ConfigActivated) -> None:
        """From here on exchanges are judged by it: its entry is durable."""
        app = kept.revision.app
        stands = {name: stand for name, stand in self._stands.items() if name != app}
        if kept.parameters != self._bases[app]:
            stands[app] = Stand(kept, ruleset, active)
        self._stands = stands

    def _keep(self, parameters: Parameters, author: str, *, parent: Kept | None) -> Kept:
        kept = self._kept(parameters, author, parent)
        self._book.activate(kept, number=None, actor=GATEWAY)
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


def _untried(before: Parameters, child: Parameters) -> ReplayTrials:
    """Trials that no rung asks: what has to be tried was tried when it was proposed."""
    nothing = Replay(())
    return ReplayTrials(Ground(nothing, nothing, before), before, child)


def _of(app: str) -> dict[str, str]:
    return {"app": app}
