"""A trial: one proposal on live traffic, session after session, with all that was seen of it so far. Pure."""

from typing import Literal, TypeAlias

import msgspec

from policies.gate.canary import Arm, Canary, seen, standing
from policies.gate.case import ShadowTally
from policies.vocabulary.ladder import GateSettings
from policies.vocabulary.verdicts import VerdictName

Word: TypeAlias = Literal["comparing", "worse", "one_voice", "not_worse"]
"""`one_voice`: the figures say that it is worse, on the word of too few."""

Stage: TypeAlias = Literal["shadow", "canary", "watch"]
"""`shadow`: judged beside what is in force, without acting. `canary`: in force for a share of sessions. `watch`: in
force, and compared with what was before."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is. A session is looked at once, in the order in which sessions were first recorded."""

    stage: Stage
    cursor: int
    """Number of the last session that was looked at."""

    before: str = ""
    """The revision whose sessions it is compared with; empty: the policy files."""

    revision: str = ""
    """The revision whose sessions are the candidate's; empty while it is in shadow."""

    shadow: ShadowTally = ShadowTally()
    canary: Canary = Canary()
    unread: int = 0
    """Sessions that could not be read back whole, of which nothing can be said."""

    skipped: int = 0
    """Sessions that were passed over because more came than may be looked at: in order, whatever became of them."""

    harmed: tuple[str, ...] = ()
    """Keys whose sessions came to harm in the candidate's arm, as many as it takes to speak against it."""

    held_back: bool = False
    """Of a change of what agents read that is watched: whether a share of sessions still begins as before."""


class Would(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate would have done, or alone did, with one step."""

    session_id: str
    step_id: str
    was: VerdictName
    would: VerdictName


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """One session as it stood some time after its beginning."""

    number: int
    session_id: str
    arm: Arm | None = None
    """None: it ran under neither, or under both."""

    key: str = ""
    """Of whom it is; empty: nobody had to show one."""

    requests: int = 0
    extra: int = 0
    """Requests with a step that the candidate alone would change or stop, and that nobody calls a violation."""

    harm: bool = False
    unread: bool = False
    woulds: tuple[Would, ...] = ()


def after(trial: Trial, looked: Looked, settings: GateSettings) -> Trial:
    """The trial with one more session."""
    trial = msgspec.structs.replace(trial, cursor=looked.number)
    if looked.unread:
        return msgspec.structs.replace(trial, unread=trial.unread + 1)
    if trial.stage == "shadow":
        tally = trial.shadow
        more = msgspec.structs.replace(
            tally, requests=tally.requests + looked.requests, extra=tally.extra + looked.extra
        )
        return msgspec.structs.replace(trial, shadow=more)
    if looked.arm is None:
        return trial
    trial = msgspec.structs.replace(trial, canary=seen(trial.canary, looked.arm, settings, harm=looked.harm))
    if looked.arm != "candidate" or not looked.harm:
        return trial
    return msgspec.structs.replace(trial, harmed=_with(trial.harmed, looked.key, settings.principals))


def said(trial: Trial, settings: GateSettings, *, keys: int, agreed: bool) -> Word:
    """What the evidence so far says of the candidate.

    One key could have its own attacks stopped until what stops them is taken back. So it takes harm to as many keys as
    must stand behind a change, or to all there are, whether they called meanwhile or not; and where there is one alone,
    it takes back what began to act by itself, and nothing that a person agreed to. Where nobody has to show a key, the
    traffic is the owner's own.

    `keys`: how many there are that may call; `agreed`: whether a named person agreed to the change.
    """
    found = standing(trial.canary, settings)
    if found != "worse" or not keys:
        return found
    alone = keys == 1 and agreed
    return "one_voice" if alone or len(trial.harmed) < min(settings.principals, keys) else "worse"


def _with(keys: tuple[str, ...], key: str, most: int) -> tuple[str, ...]:
    return keys if key in keys or len(keys) == most else (*keys, key)
