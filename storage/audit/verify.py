"""Offline verification: a log's files, and the keys to trust. Changes nothing."""

from typing import Final

from storage.audit import merkle, tiles
from storage.audit.archive import Archive, Unreadable
from storage.audit.checkpoint import Checkpoint, read_checkpoint
from storage.audit.derive import Derivation, Progress
from storage.audit.directory import CHECKPOINT, CHECKPOINT_DRAFT, VKEYS, VKEYS_DRAFT
from storage.audit.errors import (
    LogDamaged,
    LogKeyWrong,
    NotALog,
    NoteMalformed,
    NotSigned,
    QuorumMissed,
    SignatureInvalid,
)
from storage.audit.findings import Flaws, Report
from storage.audit.keychain import Keychain
from storage.audit.note import LARGEST, Note, Verified, Verifier, read_note, read_vkey
from storage.audit.stored import StoredTree
from storage.audit.tiles import WIDTH, Place
from storage.audit.trust import Trust

SELF_SIGNED: Final = (
    "the key was taken from the log itself (vkeys.txt): this shows that the log is whole, not whose it is; "
    "give --vkey or --trust with a key you got elsewhere"
)
"""Said where no key was given."""

_SIGNATURE_FLAWS = (NoteMalformed, SignatureInvalid, NotSigned, LogKeyWrong, QuorumMissed)


def verify(files: Archive, trust: Trust | None, *, since: bytes | None = None, progress: Progress) -> Report:
    """Check signatures, tiles, sequence and keys of a log; and that it extends `since`, an earlier signed checkpoint.

    Without `trust` the key is the one the log names itself. Raises `NotALog`, `LogTooNew`, and `NoteMalformed` where
    `since` is no checkpoint.
    """
    flaws, remarks = Flaws(), list[str]()
    note, head = _head(files, flaws)
    if note is None or head is None:
        return Report(head=None, entries=0, flaws=tuple(flaws.found), remarks=())
    if trust is None:
        trust = _own(files, flaws)
        remarks.append(SELF_SIGNED)
    keys = Keychain(head.origin, trust.logs_of(head.origin))
    derivation = Derivation(files, head, keys, flaws)
    derivation.run(progress)
    signed = _signatures(note, keys, trust, flaws)
    _check_vkeys(files, keys, flaws)
    _check_names(files, head, flaws, remarks)
    claims = [*derivation.claims, *_earlier(since, head, keys, flaws)]
    _check_claims(files, head, claims, flaws, remarks)
    return Report(
        head=head,
        entries=derivation.size,
        flaws=tuple(flaws.found),
        remarks=tuple(remarks),
        signed=tuple(signed),
        successors=keys.successors,
    )


def _head(files: Archive, flaws: Flaws) -> tuple[Note | None, Checkpoint | None]:
    try:
        note = read_note(files.read(CHECKPOINT, LARGEST))
        return note, read_checkpoint(note.text)
    except FileNotFoundError:
        raise NotALog("what was given", "holds no `checkpoint`") from None
    except (NoteMalformed, Unreadable) as error:
        flaws.add(CHECKPOINT, f"it cannot be read: {error}", 0)
        return None, None


def _own(files: Archive, flaws: Flaws) -> Trust:
    """Trust in the first key that the log names itself."""
    try:
        return Trust.of_log(*_vkeys(files)[:1])
    except FileNotFoundError:
        raise NotALog(
            "what was given", "names no key in `vkeys.txt`, and none was given with --vkey or --trust"
        ) from None
    except (NoteMalformed, Unreadable) as error:
        flaws.add(VKEYS, f"it cannot be read: {error}")
        return Trust.of_log()


def _vkeys(files: Archive) -> list[Verifier]:
    try:
        lines = files.read(VKEYS, LARGEST).decode().split("\n")
    except UnicodeDecodeError:
        raise NoteMalformed("it is not UTF-8") from None
    if lines.pop() or not lines:
        raise NoteMalformed("it does not name a key a line")
    return [read_vkey(line) for line in lines]


def _signatures(note: Note, keys: Keychain, trust: Trust, flaws: Flaws) -> list[Verified]:
    found: list[Verified] = []
    for check in (keys.signed, trust.cosigned):
        try:
            found += check(note)
        except _SIGNATURE_FLAWS as error:
            flaws.add(CHECKPOINT, str(error))
    return found


def _check_vkeys(files: Archive, keys: Keychain, flaws: Flaws) -> None:
    """Whether `vkeys.txt`, where there is one, names the keys that the entries lead to, and at most the next."""
    try:
        named = _vkeys(files)
    except FileNotFoundError:
        return
    except (NoteMalformed, Unreadable) as error:
        flaws.add(VKEYS, f"it cannot be read: {error}")
        return
    count = len(keys.successors)
    if tuple(named[1 : 1 + count]) != keys.successors or not 1 + count <= len(named) <= 2 + count:
        flaws.add(VKEYS, "it does not name the keys that the entries of the log lead to")
    elif named[0] not in keys.all and not count:
        flaws.add(VKEYS, "its first key is not the one you trust")


def _check_names(files: Archive, head: Checkpoint, flaws: Flaws, remarks: list[str]) -> None:
    """Whether nothing lies among the tiles that does not belong there."""
    beyond = 0
    for name in files.names():
        place = tiles.place_of(name)
        if place is None:
            if name.startswith("tile/"):
                flaws.add(name, "it does not belong among the tiles")
            elif name in {CHECKPOINT_DRAFT, VKEYS_DRAFT}:
                beyond += 1
        elif not _within(place, head.size):
            beyond += 1
        elif place.width < WIDTH and place.width != tiles.rest(head.size, place.level):
            _check_older(files, place, head.size, flaws)
    if beyond:
        remarks.append(
            f"{beyond} files lie beyond the signed head: the gateway was writing, or was stopped then and heals on its "
            "next start; or an older checkpoint was put back, which only a later checkpoint or a witness shows"
        )


def _within(place: Place, size: int) -> bool:
    """Whether a file belongs to a log of `size` entries, or to one that it was before."""
    if place.index < tiles.full(size, place.level):
        return True
    return place.index == tiles.full(size, place.level) and place.width <= tiles.rest(size, place.level)


def _check_older(files: Archive, place: Place, size: int, flaws: Flaws) -> None:
    """A partial file of a shorter log is the beginning of what is there now."""
    full = place.index < tiles.full(size, place.level)
    width = WIDTH if full else tiles.rest(size, place.level)
    now = Place(level=place.level, index=place.index, width=width, entries=place.entries)
    try:
        older, newer = (files.read(each.path, tiles.LARGEST) for each in (place, now))
    except FileNotFoundError:
        return  # removed meanwhile; what is missing was found before
    except Unreadable as error:
        flaws.add(place.path, str(error))
        return
    expected = place.width if place.entries else place.width * merkle.HASH
    if _length(older, entries=place.entries) != expected or not newer.startswith(older):
        flaws.add(place.path, f"it is not the beginning of {now.path}", place.index * WIDTH << 8 * place.level)


def _length(data: bytes, *, entries: bool) -> int:
    """Entries in a bundle, bytes of a tile; -1 where a bundle is damaged."""
    try:
        return len(tiles.unbundled(data)) if entries else len(data)
    except LogDamaged:
        return -1


def _earlier(since: bytes | None, head: Checkpoint, keys: Keychain, flaws: Flaws) -> list[tuple[str, Checkpoint]]:
    """The earlier checkpoint, where one was given and this log signed it."""
    if since is None:
        return []
    place = "the earlier checkpoint"
    note = read_note(since)
    earlier = read_checkpoint(note.text)
    if earlier.origin != head.origin:
        flaws.add(place, f"it is of the log {earlier.origin!r}, this one is {head.origin!r}")
        return []
    try:
        note.verified(keys.all)
    except (SignatureInvalid, NotSigned) as error:
        flaws.add(place, str(error))
        return []
    if earlier.size > head.size:
        flaws.add(
            place, f"it covers {earlier.size} entries and the log has {head.size}: entries were removed", head.size
        )
        return []
    return [(place, earlier)]


def _check_claims(
    files: Archive, head: Checkpoint, claims: list[tuple[str, Checkpoint]], flaws: Flaws, remarks: list[str]
) -> None:
    """Whether the log was, at each earlier size, what was said of it."""
    if claims and flaws.found:
        remarks.append(
            "whether it extends what was said of it earlier was not checked, because of what was found before"
        )
        return
    tree = StoredTree(lambda path: files.read(path, WIDTH * merkle.HASH), head.size)
    for place, claim in claims:
        if merkle.root(tree, claim.size) != claim.root:
            flaws.add(place, f"the first {claim.size} entries are not those it was signed over: history was rewritten")
