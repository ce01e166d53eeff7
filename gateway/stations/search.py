"""Where in what is held a request belongs: by its prefix, by its tail, or message by message.

Pure look-ups over a `Register`; nothing here changes it. Which evidence is tried in which order, and what
happens to sessions and branches then, stands in `thread.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from gateway.stations.asks import Ask
from gateway.stations.branches import Branch, End, Key, Register, Session, tail_key
from gateway.stations.states import Chains, role_of
from policies.vocabulary.sessions import Relation

RETRY_WINDOW_NS = 3_600 * 10**9
"""Without an id of the caller's, an equal request counts as a retry of a failed one for an hour."""

COMPARED = 16
"""Branches, ends and call ids looked at where a look-up by hash is not enough."""

DISTINCTIVE_CALL = 16
"""Characters from which a call id is taken for unique; `call_1` is not."""

COMPACTED = 3
"""Messages a conversation must hold before a shorter one with the same tail can be its summary."""


@dataclass(slots=True, eq=False)
class Found:
    """A place for a request."""

    relation: Relation
    branch: Branch | None = None
    """The branch to stay on; for `forks` and `spawns` the one to leave."""

    end: End | None = None
    """What the request stands on."""

    known: int = 0
    replaces: tuple[int, ...] = ()
    aligned: bool = False
    """True where `replaces` already says all that differs."""


@dataclass(slots=True, eq=False)
class Look:
    """One request under one guard, with its states."""

    ask: Ask
    guard: bytes
    seed: bytes
    states: list[bytes]
    role: bytes
    session: Session | None = None
    """Only ends of this session fit; None where content alone decides."""

    agent: str | None = None
    """Only branches of this agent fit; None for any."""

    size: int = field(init=False)
    """Messages in the request."""

    whole: bytes = field(init=False)
    """The key of all of them."""

    def __post_init__(self) -> None:
        self.size = len(self.states) - 1
        self.whole = self.guard + self.states[-1]

    def place(self, at: int) -> bytes:
        """The key of the first `at` messages."""
        return self.guard + self.states[at]

    def fits(self, end: End) -> bool:
        """Whether an end may be joined at all."""
        branch = end.branch
        return (self.session is None or branch.session is self.session) and (
            self.agent is None or branch.agent == self.agent
        )

    def fits_free(self, end: End) -> bool:
        """Whether an end may be joined and nothing stands on it yet."""
        return not end.taken and self.fits(end)

    def likest(self, pick: Callable[[Key, Callable[[End], bool]], End | None], key: Key) -> End | None:
        """The end that a table picks under a key: of equal ones one with these instructions and tools."""
        return pick(key, self.fits_alike) or pick(key, self.fits)

    def fits_alike(self, end: End) -> bool:
        """Whether an end may be joined, and was asked for with the same instructions and tools."""
        return end.branch.role == self.role and self.fits(end)

    def run(self, at: int) -> int:
        """How many assistant messages stand in a row from here."""
        voices = self.ask.voices
        stop = at
        while stop < len(voices) and voices[stop] == "assistant":
            stop += 1
        return stop - at

    def answered_before(self, at: int) -> bool:
        """Whether the first `at` messages hold an answer, so that they are not just a common opening."""
        return "assistant" in self.ask.voices[:at]


def look(ask: Ask, guard: bytes, chains: Chains, seed: bytes = b"") -> Look:
    """A request ready to be looked up."""
    states = chains.states(seed, ask.voices, ask.digests)
    return Look(ask, guard, seed, states, role_of(ask.lead, ask.voices, ask.digests))


def by_retry(sought: Look, register: Register) -> Found | None:
    """The failed or unfinished attempt that this same request repeats."""
    ask, place = sought.ask, sought.whole
    if place not in register.places.rows:
        return None

    told = sought.session is not None or ask.retry > 0
    bare = not (told or sought.answered_before(sought.size))

    def is_recent(end: End) -> bool:
        return (told or ask.at_ns - end.at_ns < RETRY_WINDOW_NS) and sought.fits_free(end)

    def is_recent_and_alike(end: End) -> bool:
        return end.branch.role == sought.role and is_recent(end)

    def is_earlier(end: End) -> bool:
        return end.retry < ask.retry and sought.fits_free(end)

    end = register.failed.oldest(place, is_recent_and_alike)
    if end is None and not bare:
        end = register.failed.oldest(place, is_recent)
    if end is None and ask.retry:
        end = register.newest_open(place, is_earlier) or register.answered.newest(place, is_earlier)
    return Found("retries", end.branch, end, sought.size) if end else None


def by_prefix(sought: Look, register: Register) -> Found | None:
    """The longest part of this conversation that was seen before, if what follows it allows a join."""
    found = by_retry(sought, register)
    if found:
        return found
    again = _repeated(sought, register)
    voices, places = sought.ask.voices, register.places.rows
    guard, states = sought.guard, sought.states
    for at in range(sought.size - 1, 0, -1):
        if voices[at] == "system" or guard + states[at] not in places:
            continue
        if voices[at] == "assistant":
            found = _after_reply(sought, register, at)
        else:
            found = _after_silence(sought, register, at)
        if found:
            return again if again and found.relation != "continues" else found
    return again


def _repeated(sought: Look, register: Register) -> Found | None:
    """The same request after success: another answer is wanted. A bare opening is somebody else's."""
    if sought.session is None and not sought.answered_before(sought.size):
        return None
    place = sought.whole
    end = register.answered.newest(place, sought.fits) or register.newest_open(place, sought.fits)
    return Found("forks", end.branch, end, sought.size) if end else None


def _after_reply(sought: Look, register: Register, at: int) -> Found | None:
    """The prefix is known and a reply follows it: the one that was given, or another."""
    last = sought.ask.last_run
    if last is None or last[0] != at:
        return _unverified(sought, register, at)
    key = sought.place(at) + last[1]
    known = at + sought.run(at)
    head = sought.likest(register.heads.oldest, key)
    if head:
        return Found("continues", head.branch, head, known)
    earlier = sought.likest(register.replies.newest, key)
    if earlier:
        return Found("forks", earlier.branch, earlier, known)
    return _other_reply(sought, register, at)


def _other_reply(sought: Look, register: Register, at: int) -> Found | None:
    """The reply that follows is none that was given here: still unread, broken off, or rewritten."""
    place = sought.place(at)
    ends = register.places.all(place, sought.fits)
    named = sought.session is not None
    unread = [end for end in ends if not end.taken and not end.fingerprints]
    if unread and (named or len(unread) == 1):
        return Found("continues", unread[-1].branch, unread[-1], at)
    free = [end for end in ends if not end.taken]
    if free and (named or len(ends) == 1):
        run = sought.run(at)
        return Found("rewrites", free[-1].branch, free[-1], at + run, tuple(range(at, at + run)))
    return _left(sought, ends, at)


def _after_silence(sought: Look, register: Register, at: int) -> Found | None:
    """The prefix is known but no reply follows it: the client went on after a failure, or dropped the reply."""
    place = sought.place(at)
    failed = register.failed.newest(place, sought.fits_free)
    if failed:
        return Found("continues", failed.branch, failed, at)
    return _left(sought, register.places.all(place, sought.fits), at)


def _unverified(sought: Look, register: Register, at: int) -> Found | None:
    """Several replies follow the prefix, so that the first cannot be checked: compare message by message."""
    ends = register.places.all(sought.place(at), sought.fits)
    alike = [end for end in ends if end.branch.role == sought.role] if sought.session is None else []
    branches = dict.fromkeys(end.branch for end in reversed((alike or ends)[-COMPARED:]))
    return by_messages(sought, branches) or _left(sought, ends, at)


def _left(sought: Look, ends: list[End], at: int) -> Found | None:
    """The request leaves a known conversation at a known place, and says there what was never heard."""
    if not ends:
        return None
    end = ends[-1]
    if sought.session is None:
        one_session = len({end.branch.session.session_id for end in ends}) == 1
        return Found("forks", end.branch, end, at) if one_session and sought.answered_before(at) else None
    if is_shorter(sought, end.branch):
        return Found("compacts", end.branch, end.branch.last, at)
    return Found("forks", end.branch, end, at)


def is_shorter(sought: Look, branch: Branch) -> bool:
    """Whether this request could be a summary of what a branch held."""
    return 0 < sought.size * 16 < len(branch.held) and sought.role == branch.role


def by_messages(sought: Look, branches: Iterable[Branch]) -> Found | None:
    """The first of these branches whose last request this is with the fewest messages changed."""
    found = filter(None, (_aligned(sought, branch) for branch in islice(branches, COMPARED)))
    return min(found, key=lambda each: len(each.replaces), default=None)


def _aligned(sought: Look, branch: Branch) -> Found | None:
    """Place by place: what differs, provided that later messages and enough of the whole stayed."""
    held, ask = branch.messages(), sought.ask
    size = len(held)
    if not size or sought.size < size:
        return None
    differing = [at for at in range(size) if ask.digests[at] != held[at]]
    said = {at for at in range(size) if ask.voices[at] != "system"}
    changed = said.intersection(differing)
    kept = said.difference(differing)
    last = branch.last
    known, replaces, reply_kept = size, tuple(differing), False
    if last and last.fingerprints and ask.last_run and ask.last_run[0] == size:
        known += sought.run(size)
        reply_kept = ask.last_run[1] in last.fingerprints
        replaces += () if reply_kept else tuple(range(size, known))
    stayed = reply_kept or (bool(changed) and max(kept, default=-1) > min(changed))
    if not (stayed and 2 * (len(kept) + reply_kept) >= len(changed)):
        return None
    return Found("rewrites" if changed else "continues", branch, last, known, replaces, aligned=True)


def by_tail(sought: Look, register: Register) -> Found | None:
    """The one session whose call this request answers, with whose last exchange it ends, or whose reply it has."""
    end = _by_calls(sought, register) or _by_last_exchange(sought, register)
    if end is None:
        return _by_reply(sought, register)
    branch = end.branch
    found = by_messages(sought, [branch])
    if found:
        return found
    shared = _shared(sought, branch)
    begin, stop = _kept(sought, end)
    replaces = tuple(range(shared, begin))
    dropped = begin < stop and not replaces
    relation = "compacts" if dropped or sought.size * 16 < len(branch.held) else "rewrites"
    return Found(relation, branch, end, max(shared, stop), replaces)


def _kept(sought: Look, end: End) -> tuple[int, int]:
    """Where the messages begin and stop that this request took over from the end of the one it goes on from.

    The reply counts among them where it is the one that was given. (0, 0) for none.
    """
    held, last = end.branch.messages(), sought.ask.last_run
    if last is None or end is not end.branch.last or not held or held[-1] != end.tail:
        return 0, 0
    at, digests = last[0], sought.ask.digests
    same = 0
    while same < min(at, len(held)) and digests[at - 1 - same] == held[-1 - same]:
        same += 1
    if not same:
        return 0, 0
    return at - same, at + sought.run(at) if last[1] in end.fingerprints else at


def _by_calls(sought: Look, register: Register) -> End | None:
    if not sought.ask.results:
        return None
    ends = [
        end
        for call in sought.ask.results[:COMPARED]
        for end in register.calls.all((sought.ask.scope, call), sought.fits)
        if end.place.startswith(sought.guard)
    ]
    if len({end.branch.session.session_id for end in ends}) != 1:
        return None
    end = ends[-1]
    if any(len(call) >= DISTINCTIVE_CALL for call in sought.ask.results[:COMPARED]):
        return end
    if end.branch.role != sought.role:
        return None
    said = {digest for digest, voice in zip(sought.ask.digests, sought.ask.voices, strict=True) if voice != "system"}
    return end if said.intersection(end.branch.messages()) else None


def _by_last_exchange(sought: Look, register: Register) -> End | None:
    """Under other instructions or tools, as those that tell the time, a short reply tells no conversation apart."""
    last = sought.ask.last_run
    if last is None or last[0] == 0:
        return None

    def fits(end: End) -> bool:
        alike = end.branch.role == sought.role or any(table is register.said for table, _ in end.listings)
        return alike and sought.fits(end)

    ends = register.tails.all(tail_key(sought.guard, sought.ask.digests[last[0] - 1], last[1]), fits)
    if len({end.branch.session.session_id for end in ends}) != 1:
        return None
    return ends[-1] if len(ends[-1].branch.held) >= COMPACTED * 16 else None


def _by_reply(sought: Look, register: Register) -> Found | None:
    """The one conversation whose latest reply this request holds, although what was asked reads otherwise now.

    So clients do that send more than they keep: what a search found, the open files, the time.
    """
    last = sought.ask.last_run
    if last is None:
        return None
    at, said = last

    def fits(end: End) -> bool:
        return end is end.branch.last and at <= len(end.branch.held) // 16 and sought.fits_free(end)

    ends = register.said.all(sought.guard + sought.role + said, fits)
    if len({end.branch.session.session_id for end in ends}) != 1:
        return None
    branch, ask = ends[-1].branch, sought.ask
    differing = tuple(here for here, held in enumerate(branch.messages()[:at]) if ask.digests[here] != held)
    changed = [here for here in differing if ask.voices[here] != "system"]
    if len(changed) > 1 + at // 2:
        return None
    return Found("rewrites", branch, ends[-1], at + sought.run(at), differing, aligned=True)


def _shared(sought: Look, branch: Branch) -> int:
    """How many leading messages equal what the branch holds at the same place."""
    pairs = zip(sought.ask.digests, branch.messages(), strict=False)
    return next((at for at, (new, old) in enumerate(pairs) if new != old), min(sought.size, len(branch.held) // 16))


def drifted(sought: Look, branch: Branch, known: int) -> tuple[int, ...]:
    """System messages among the known ones that the branch did not hold: dates, reminders, new orders.

    States leave them out, so a join by state proves nothing about them.
    """
    ask = sought.ask
    at_most = min(known, len(branch.held) // 16)
    if b"".join(ask.digests[:at_most]) == branch.held[: at_most * 16] and "system" not in ask.voices[at_most:known]:
        return ()
    held = set(branch.messages())
    return tuple(at for at in range(known) if ask.voices[at] == "system" and ask.digests[at] not in held)
