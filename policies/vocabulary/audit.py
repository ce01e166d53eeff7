"""Audit entries: one line of the log each, saying what was accepted, decided or changed, when, and on whose word.

An entry holds decisions, identifiers of our own making and keyed commitments: no content, no name, no address. It
becomes a line of the log with `seq`, `ts` and `v` (`storage/entry_lines.py`); `docs/AUDIT-ENTRIES.md` describes every
type.
"""

import hmac
from base64 import b64encode
from binascii import b2a_base64
from hashlib import sha256
from typing import Final, Literal, TypeAlias

import msgspec

from policies.errors import StepwardenError
from policies.vocabulary.canaries import Expected
from policies.vocabulary.critiques import Seat
from policies.vocabulary.exchanges import Outcome
from policies.vocabulary.grants import How
from policies.vocabulary.keys import Role
from policies.vocabulary.labels import StepLabel
from policies.vocabulary.modes import Mode
from policies.vocabulary.verdicts import ReasonCode, VerdictName

VERSION: Final = 1
LARGEST: Final = 65_535
"""Bytes of one entry: the log's files give its length in two bytes."""

CLAUSES: Final = 32
"""Clauses that an entry names at most."""

BLIND_BYTES: Final = 16

OWNER: Final = "owner"
"""The actor behind the control socket, and on loopback while there are no keys: who owns the data directory."""

GATEWAY: Final = "gateway"
"""The actor of what happens by itself."""


class EntryTooLong(StepwardenError):
    """An entry is longer than the log's format can hold."""

    def __init__(self, kind: str, length: int) -> None:
        super().__init__(f"an audit entry `{kind}` has {length} bytes, more than {LARGEST}")

    def remedy(self) -> str:
        """Only long lists make an entry long."""
        return "Please report it: every list in an entry is bounded before it gets there."


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=""):
    """What every entry says."""

    actor: str
    """A key's id, a person's alias (`person_...`), `owner` or `gateway`."""

    tenant: str | None = None
    """The app."""

    trace: str | None = None
    """Trace id, 32 hexadecimal digits."""

    span: str | None = None
    """Span id, 16 hexadecimal digits."""


class LogOpened(Entry, frozen=True, kw_only=True, tag="log.opened"):
    """The first entry of a log."""

    release: str


class KeyRotated(Entry, frozen=True, kw_only=True, tag="log.key_rotated"):
    """Another key signs the log from here on."""

    handover: str
    """A signed note, by the key that leaves and by the one that comes (`docs/AUDIT.md`)."""

    by: str
    """Alias of the person named."""

    reason: str
    """Commitment to what was given as the reason."""


class CheckpointWitnessed(Entry, frozen=True, kw_only=True, tag="checkpoint.witnessed"):
    """A witness cosigned a head of this log; the head is soon replaced, this stays."""

    witness: str
    """The name in its key."""

    size: int
    """Entries under that head."""

    time: int
    """When, as the witness says: Unix epoch, seconds."""

    cosignature: str
    """As in the head's signature line, base64: key id, time, Ed25519 signature."""


class RequestAccepted(Entry, frozen=True, kw_only=True, tag="request.accepted"):
    """A request was admitted; for a strict app this is durable before the provider sees a byte."""

    exchange: str
    provider: str
    operation: str
    request: str | None = None
    """Commitment to the body, where it was read before it was forwarded and the app is strict."""


class _Ended(Entry, frozen=True, kw_only=True):
    exchange: str
    outcome: Outcome
    status: int | None = None
    verdict: VerdictName
    policy: str | None = None
    """Digest of the clauses it was judged by (`config.activated` says what they are); absent without any."""

    request: str
    """Commitment to the body as the caller sent it."""

    response: str
    """Commitment to the body as the provider sent it."""

    forwarded: str | None = None
    """Commitment to the body the provider got, where that is not the caller's own."""

    delivered: str | None = None
    """Commitment to the body the caller got, where that is not the provider's own."""


class RequestCompleted(_Ended, frozen=True, kw_only=True, tag="request.completed"):
    """All bytes of an answer were relayed."""


class RequestFailed(_Ended, frozen=True, kw_only=True, tag="request.failed"):
    """The gateway refused, or the provider gave no whole answer."""


class StreamAborted(_Ended, frozen=True, kw_only=True, tag="stream.aborted"):
    """The caller left before the end."""


class StepsRecorded(Entry, frozen=True, kw_only=True, tag="step.recorded"):
    """A batch of exchanges and their steps is in the record; `root` seals every one of their rows."""

    count: int
    """Records in the batch: one for each exchange and one for each step."""

    root: str
    """RFC 6962 root over the records (`storage/step_seals.py`), base64."""

    rows: tuple[int, int]
    """Numbers of the first and last exchange in the order of recording."""

    first: str
    last: str
    """Their exchange ids."""

    marks: str | None = None
    """The first 4 bytes of each record's hash, base64: they name the one that was changed. Batches of up to 96."""

    late: bool = False
    """True where a crash came between the record and its entry, and this was made up for at the next start."""


class _Decided(Entry, frozen=True, kw_only=True):
    exchange: str
    policy: str
    """Digest of the clauses in force."""

    reason: ReasonCode | None = None
    clauses: tuple[str, ...] = ()
    """`policy/clause`; the first `CLAUSES`."""

    steps: tuple[int, ...] = ()
    """Places in the exchange of the steps it is about; the first 64."""


class GuardDecision(_Decided, frozen=True, kw_only=True, tag="guard.decision"):
    """What clauses said of an exchange, where that was more than nothing."""

    verdict: VerdictName
    shadow: VerdictName = "allow"
    """What clauses out of force would have said."""

    unread: str | None = None
    """Why no guard could read it."""


class ActionBlocked(_Decided, frozen=True, kw_only=True, tag="action.blocked"):
    """Steps were rejected, or their session was ended."""


class ActionModified(_Decided, frozen=True, kw_only=True, tag="action.modified"):
    """Something was put in place of what a clause takes out."""


class ActionEscalated(Entry, frozen=True, kw_only=True, tag="action.escalated"):
    """A step waits for a person."""

    exchange: str
    hold: str
    reason: ReasonCode
    clauses: tuple[str, ...] = ()


class HumanReview(Entry, frozen=True, kw_only=True, tag="human.review"):
    """A person decided on a hold, or nobody did in time."""

    hold: str
    exchange: str
    decision: Literal["approved", "rejected", "expired"]
    by: str | None = None
    """Alias of the person named, where that is not the key itself."""

    reason: str | None = None
    """Commitment to what was given as the reason."""


class OverrideUsed(Entry, frozen=True, kw_only=True, tag="override.used"):
    """A person's approval let a step pass that clauses held."""

    hold: str
    exchange: str


class KillSwitch(Entry, frozen=True, kw_only=True, tag="kill_switch"):
    """Every later request of a session is refused."""

    session: str
    """Alias (`session_...`)."""


class CritiqueRecorded(Entry, frozen=True, kw_only=True, tag="critique.recorded"):
    """A supervisor read recorded steps, or could not: then nothing was judged."""

    critique: str
    seat: Seat
    exchange: str | None = None
    """The exchange of the last step it was asked about."""

    steps: int
    """How many it was asked about."""

    policy: str
    """Digest of the clauses that were in force when they were recorded."""

    verdict: VerdictName
    shadow: VerdictName = "allow"
    """What clauses out of force would have asked for."""

    clauses: tuple[str, ...] = ()
    """`policy/clause` of those it found violated or could not decide; the first `CLAUSES`."""

    failed: str | None = None
    """Why nothing was judged."""

    model: str | None = None
    prompt: str | None = None
    """Revision of the prompt."""

    content: str
    """Commitment to the critique."""


class SessionDistrusted(Entry, frozen=True, kw_only=True, tag="session.distrusted"):
    """After a critique the next tool call of a session waits for a person."""

    session: str
    """Alias (`session_...`)."""

    critique: str
    clauses: tuple[str, ...] = ()


class SessionTrusted(Entry, frozen=True, kw_only=True, tag="session.trusted"):
    """A person ended the distrust of a session."""

    session: str
    by: str
    """Alias of the person named."""

    hold: str | None = None
    """The hold whose approval ended it; absent where it was ended by itself."""


class LabelRecorded(Entry, frozen=True, kw_only=True, tag="label.recorded"):
    """A person said of a step whether it was in order."""

    exchange: str
    step: int
    """Its place in the exchange."""

    label: StepLabel
    clause: str | None = None
    """`policy/clause`; absent where it is about the step as a whole."""

    by: str
    reason: str | None = None
    """Commitment to what was given as the reason."""


class CanaryMissed(Entry, frozen=True, kw_only=True, tag="canary.missed"):
    """The supervisor was shown a step whose label is known, among other work, and judged it otherwise."""

    clause: str
    model: str
    prompt: str
    missed: int
    """How many of the newest canaries of this seat it judged wrongly, this one included."""

    of: int
    """How many these are."""

    seat: Seat
    expected: Expected
    """What the clause's author decided; of `ok` it said a violation."""


class ConfigActivated(Entry, frozen=True, kw_only=True, tag="config.activated"):
    """What is in force for an app from here on; durable before it is used anywhere."""

    config: str
    """Digest of the whole configuration."""

    policy: str | None = None
    """Digest of all clauses of the app, in order; absent where it names no policy."""

    enforce: bool = False
    unseen: Literal["flag", "reject"] = "flag"
    audit: Literal["buffered", "strict"] = "buffered"
    clauses: dict[str, str] = {}
    """Digest of each clause with its guards, by `policy/clause`; the first 500."""


class ClauseModeChanged(Entry, frozen=True, kw_only=True, tag="clause.mode_changed"):
    """A person took a clause out of force for a while, or put it back."""

    clause: str
    """`policy/clause`."""

    mode: Mode
    until: str | None = None
    """RFC 3339: when it ends by itself; absent where the clause is put back."""

    by: str
    """Alias of the person named."""

    reason: str
    """Commitment to what was given as the reason."""


class ToolPinned(Entry, frozen=True, kw_only=True, tag="tool.pinned"):
    """A tool server's tool was seen for the first time: from here on a change of it is noticed."""

    server: str
    fingerprint: str
    """SHA-256 of the server, the tool's name and its definition, base64."""

    exchange: str


class ToolChanged(Entry, frozen=True, kw_only=True, tag="tool.changed"):
    """A tool's definition is not what was accepted; it is neither shown nor called until a person approves."""

    server: str
    fingerprint: str
    exchange: str


class ToolApproved(Entry, frozen=True, kw_only=True, tag="tool.approved"):
    """A person accepted a tool as it is now."""

    server: str
    fingerprint: str
    by: str | None = None
    """Alias of the person named, where that is not the key itself."""


class ToolServerAuthorised(Entry, frozen=True, kw_only=True, tag="tool_server.authorised"):
    """The gateway was given tokens for a tool server, which stay with it."""

    server: str
    how: How
    by: str | None = None
    """Alias of the person named, where that is not the key itself."""


class ToolServerWithdrawn(Entry, frozen=True, kw_only=True, tag="tool_server.withdrawn"):
    """The gateway's tokens for a tool server were destroyed."""

    server: str
    by: str | None = None
    """As above."""


class ApiKeyCreated(Entry, frozen=True, kw_only=True, tag="apikey.created"):
    """A gateway key was made."""

    key: str
    role: Role
    expires: str | None = None
    budget_micro_usd: int | None = None


class ApiKeyRevoked(Entry, frozen=True, kw_only=True, tag="apikey.revoked"):
    """A gateway key was ended."""

    key: str


class SignedIn(Entry, frozen=True, kw_only=True, tag="access.signed_in"):
    """A person showed a gateway key at the dashboard; `actor` is that key."""

    role: Role
    expires: str
    """RFC 3339: when it ends by itself."""


class SignedOut(Entry, frozen=True, kw_only=True, tag="access.signed_out"):
    """A sign-in was ended before its time, by whoever was signed in."""


Shown: TypeAlias = Literal[
    "steps", "request", "response", "explanation", "critiques", "holds", "proposals", "live", "search", "export"
]
"""`export`: from now on the texts of an app's steps go to the collector of [telemetry]."""


class ContentRead(Entry, frozen=True, kw_only=True, tag="content.read"):
    """Somebody was shown content; durable before it is."""

    what: Shown
    exchange: str | None = None
    session: str | None = None
    """Alias (`session_...`)."""


class ContentSearched(Entry, frozen=True, kw_only=True, tag="content.searched"):
    """Somebody looks for words in contents; durable before any is opened. What is then shown is `content.read`."""

    words: str
    """A keyed hash of them: whoever has `seal.key` can tell whether given words are meant."""


ExportFormat: TypeAlias = Literal["bundle", "ocsf", "jsonl"]
"""`bundle`: the log with a report; `ocsf`, `jsonl`: lines for other systems."""


class ContentExported(Entry, frozen=True, kw_only=True, tag="content.exported"):
    """Evidence for a period was handed out; durable before its first byte is. `tenant`: only that app's record."""

    format: ExportFormat
    since: str
    """RFC 3339: the first moment of the period."""

    until: str
    """RFC 3339: the moment after it."""

    content: bool = False
    """Whether bodies and texts went with it."""


class RetentionApplied(Entry, frozen=True, kw_only=True, tag="retention.applied"):
    """Files are dropped because their time is over."""

    before: str
    """First day that is kept, `YYYYMMDD`."""

    files: tuple[str, ...]
    stripped: tuple[str, ...] = ()
    """Those of them that stay, with the sessions under legal hold that they hold."""


class ContentErased(Entry, frozen=True, kw_only=True, tag="content.erased"):
    """Contents and their record are destroyed, with the keys they lay under; from here on it is carried through."""

    scope: str
    """`session`, `user` or `app`, and a keyed hash of its name: whoever has `seal.key` can tell whose it was."""

    sessions: int
    exchanges: int
    basis: str
    """The ground in law or contract, as it was given: no names stand in it."""

    by: str
    """Alias of the person who decided."""


class LegalHoldSet(Entry, frozen=True, kw_only=True, tag="legal_hold.set"):
    """A session is kept beyond its time."""

    session: str
    """Alias (`session_...`)."""

    by: str
    reason: str
    """Commitment to what was given as the reason."""


class LegalHoldReleased(Entry, frozen=True, kw_only=True, tag="legal_hold.released"):
    """It is kept no longer than others."""

    session: str
    by: str
    reason: str


class OptimizerHeard(Entry, frozen=True, kw_only=True, tag="optimizer.heard"):
    """A run heard one optimizer, whatever came of it."""

    optimizer: str
    proposals: int
    """That it filed; each has its own entry."""

    known: int
    """That were made before, and not again."""

    failures: int
    calls: int
    """To a model."""

    tokens: int


class ProposalFiled(Entry, frozen=True, kw_only=True, tag="proposal.filed"):
    """A change was proposed."""

    proposal: str
    """Digest of its edits."""

    parent: str
    """Digest of the parameters it would change."""

    author: str
    """`optimizer:NAME`, or `human:` and an alias."""

    direction: Literal["tightens", "neutral", "loosens"]
    sessions: int
    """How many stand behind it."""

    principals: int


class ProposalJudged(Entry, frozen=True, kw_only=True, tag="proposal.judged"):
    """How far a proposal came, and why no further."""

    proposal: str
    rung: str
    """The last that was asked (`docs/OPTIMIZING.md`)."""

    outcome: Literal["passed", "refused", "abstained", "waiting"]
    why: str
    passed: tuple[str, ...] = ()
    """The rungs that let it pass."""


class ProposalReviewed(Entry, frozen=True, kw_only=True, tag="proposal.reviewed"):
    """A person answered a proposal."""

    proposal: str
    decision: Literal["approved", "rejected"]
    by: str | None = None
    """Alias of the person named, where that is not the key itself."""

    reason: str | None = None
    """Commitment to what was given as the reason."""


class CanaryBegun(Entry, frozen=True, kw_only=True, tag="canary.begun"):
    """A candidate is in force for a share of the sessions that begin from then on, until `proposal.judged` ends it."""

    proposal: str
    revision: str
    """The candidate's."""

    parent: str
    """The revision it is compared with."""

    parameters: str
    """Digest of all it puts in force."""

    policy: str
    """Digest of its clauses, as `config.activated` has that of what is in force."""

    share_millionths: int
    """Of a million sessions, how many; drawn by a hash of session and proposal. The log holds no fractions."""


class RevisionActivated(Entry, frozen=True, kw_only=True, tag="revision.activated"):
    """Another version of an app's parameters is in force."""

    revision: str
    parent: str | None = None
    """The revision before; absent for the first."""

    parameters: str
    """Digest of all it puts in force."""

    author: str
    proposal: str | None = None
    by: str | None = None
    """Alias of the person who put it in force; absent where it went by itself."""


class RevisionRolledBack(Entry, frozen=True, kw_only=True, tag="revision.rolled_back"):
    """An earlier version is in force again."""

    revision: str
    """The one that was."""

    to: str
    """The one that is."""

    by: str | None = None
    reason: str | None = None
    """Commitment to what was given as the reason."""


class VerifyRun(Entry, frozen=True, kw_only=True, tag="verify.run"):
    """The running gateway had its log and record verified from their files."""

    ok: bool
    """Whether all of it holds."""

    size: int
    """Entries under the head that was verified."""

    flaws: int
    """How many were found, up to 100 in the log and 100 in the record."""

    first: str | None = None
    """The place of the first: a file of the log, an entry, or `spans`."""


class IngestDropped(Entry, frozen=True, kw_only=True, tag="ingest.dropped"):
    """Something was relayed or happened and is not in the record, or not in this log."""

    entries: int = 0
    """Entries of this log that no longer fitted its queue."""

    exchanges: int = 0
    """Exchanges that are not in the record."""

    rows: tuple[int, int] | None = None
    """First and last number of exchanges in the record of which some are not sealed, or that a power loss took."""


class ClockSkew(Entry, frozen=True, kw_only=True, tag="clock.skew"):
    """The wall clock jumped against the monotonic one, or stands before the last entry."""

    milliseconds: int
    """How far it went; negative is back."""


class Receipt(msgspec.Struct, frozen=True):
    """The promise that an entry is durable and will stand in the log at this place."""

    index: int
    leaf_hash: bytes
    """32 bytes: RFC 6962 hash of the entry's bytes."""

    def header(self) -> str:
        """As the response header `stepwarden-receipt` has it."""
        return f"index={self.index}; hash={b64encode(self.leaf_hash).decode()}"


def receipt_of(entry: bytes, index: int) -> Receipt:
    """The receipt of an entry's exact bytes."""
    return Receipt(index, sha256(b"\0" + entry).digest())


def commitment(blind: bytes, digest: bytes) -> str:
    """HMAC-SHA-256 of a SHA-256 digest under a random blind, base64.

    The blind is kept beside what it hides and goes with it: then nobody can tell any more what the commitment says.
    """
    return b2a_base64(hmac.digest(blind, digest, "sha256"), newline=False).decode()
