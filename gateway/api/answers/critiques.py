"""Answers about critiques and labels."""

import msgspec

from gateway.times import rfc3339
from policies.vocabulary.critiques import Blame, Consumed, Opinion
from policies.vocabulary.labels import LabelGiven
from policies.vocabulary.monitoring import Filed


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """Words of a step that an opinion stands on."""

    step_id: str
    start: int
    """First byte, in the UTF-8 of the step's text."""

    end: int
    text: str | None
    """Null where the content was not kept, or for a step that was judged before it was recorded."""


class Opined(msgspec.Struct, frozen=True, kw_only=True):
    """What a critique says of one clause."""

    clause: str
    view: str
    """What it was looked at from: `policy`, `provenance` or `intent`."""

    label: str
    score: int
    first_bad_step: str | None
    feedback: str
    quotes: tuple[Quote, ...]

    @classmethod
    def of(cls, opinion: Opinion, quotes: tuple[Quote, ...]) -> "Opined":
        """The answer for one opinion."""
        return cls(
            clause=opinion.clause,
            view=opinion.view,
            label=opinion.label,
            score=opinion.score,
            first_bad_step=opinion.first_bad_step,
            feedback=opinion.feedback,
            quotes=quotes,
        )


class Critique(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor made of some steps; without opinions where it could not judge them."""

    critique_id: str
    seat: str
    view: str
    app: str
    session_id: str | None
    steps: tuple[str, ...]
    """Ids of the steps it was asked about."""

    at: str
    verdict: str
    """What the bands of its clauses come to: `hold` and `reject` mean that the session is distrusted."""

    shadow: str
    clauses: tuple[str, ...]
    failure: str | None
    """Why nothing was judged; null where something was."""

    opinions: tuple[Opined, ...]
    blamed: tuple[Blame, ...]
    calls: tuple[Consumed, ...]

    @classmethod
    def of(cls, filed: Filed, opinions: tuple[Opined, ...]) -> "Critique":
        """The answer for one critique."""
        critique = filed.critique
        return cls(
            critique_id=critique.critique_id,
            seat=critique.seat,
            view=critique.view,
            app=critique.app,
            session_id=critique.session_id,
            steps=critique.steps,
            at=rfc3339(critique.at_ns),
            verdict=filed.verdict,
            shadow=filed.shadow,
            clauses=filed.clauses,
            failure=filed.failure,
            opinions=opinions,
            blamed=critique.blamed,
            calls=critique.calls,
        )


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says of a step."""

    step_id: str
    session_id: str | None
    app: str
    clause: str | None
    label: str
    by: str
    reason: str | None
    at: str

    @classmethod
    def of(cls, given: LabelGiven) -> "Label":
        """The answer for one label."""
        return cls(
            step_id=given.step_id,
            session_id=given.session_id,
            app=given.app,
            clause=given.clause,
            label=given.label,
            by=given.by,
            reason=given.reason,
            at=rfc3339(given.at_ns),
        )


class LabelList(msgspec.Struct, frozen=True, kw_only=True):
    """Labels, newest first."""

    labels: tuple[Label, ...]


class Critiques(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a session, by supervisors and by persons, in the order in which it was said."""

    session_id: str
    critiques: tuple[Critique, ...]
    labels: tuple[Label, ...]
    waiting: int
    """Steps that the monitor has still to read."""

    distrusted: bool
    """Whether the session's next tool call waits for a person."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was put before the supervisor."""

    session_id: str
    steps: int
    clauses: tuple[str, ...]


class Trusted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a distrust."""

    session_id: str
    ended: bool
    """False where there was none."""
