"""Changes of state and their audit entries commit together, in one order without gaps, whatever fails."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from policies.vocabulary.audit import (
    LARGEST,
    ApiKeyRevoked,
    ContentRead,
    EntryTooLong,
    IngestDropped,
    RetentionApplied,
    receipt_of,
)
from policies.vocabulary.holds import HoldAsk, Review
from storage.entry_lines import EntryLines, nanoseconds_of, rfc3339_nanoseconds
from storage.errors import OriginFixed, StorageFailed
from storage.files import WriteFile
from storage.holds import HoldBook
from storage.ledger import Ledger
from storage.schema import Schema
from storage.secret import Secret
from storage.store import Store
from tests.fakes.audit import verified
from tests.fakes.ledger import failing, nth

ENTRY = ApiKeyRevoked(actor="owner", key="key_1")
SECOND = 1_000_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path)
    yield opened
    opened.close()


def lines(ledger: Ledger) -> list[dict[str, object]]:
    return [json.loads(line) for line in ledger.entries(0, 10_000).lines]


def test_a_log_opens_with_its_opening_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    origin = ledger.origin
    receipts = ledger.write([], entries=[ENTRY, ENTRY])
    ledger.close()
    again = Ledger(tmp_path)
    receipts += again.write([], entries=[ENTRY])
    found = again.entries(0, 10).lines
    assert [json.loads(line)["seq"] for line in found] == [0, 1, 2, 3]
    assert json.loads(found[0])["type"] == "log.opened"
    assert receipts == [receipt_of(found[index], index) for index in (1, 2, 3)]
    assert again.origin == origin
    again.close()


@pytest.mark.parametrize("number", range(4))
def test_whichever_call_fails_neither_state_nor_entry_is_there_and_no_number_is_lost(
    ledger: Ledger, number: int
) -> None:
    change = ("INSERT INTO audit_alias (alias, kind, name) VALUES (?, 'person', ?)", ("person_1", "Ada"))
    with failing(ledger, nth(number)), pytest.raises(StorageFailed):
        ledger.write([change], entries=[ENTRY])
    assert ledger.read("SELECT count(*) FROM audit_alias") == [(0,)]
    assert [each["seq"] for each in lines(ledger)] == [0]
    ledger.write([change], entries=[ENTRY])
    assert ledger.read("SELECT count(*) FROM audit_alias") == [(1,)]
    assert [each["seq"] for each in lines(ledger)] == [0, 1]


def test_what_is_released_leaves_and_the_count_goes_on(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write([], entries=[ENTRY] * 9)
    ledger.release(10)
    assert not ledger.entries(0, 100)
    ledger.close()
    again = Ledger(tmp_path)
    assert (again.first_kept, again.next_seq) == (10, 10)
    assert again.write([], entries=[ENTRY])[0].index == 10
    again.close()


def test_an_entry_is_at_most_as_long_as_the_format_can_hold(ledger: Ledger) -> None:
    files = tuple(f"spans-{number:08d}.db" for number in range(10_000))
    with pytest.raises(EntryTooLong, match=str(LARGEST)):
        ledger.write([], entries=[ENTRY, RetentionApplied(actor="gateway", before="20260101", files=files)])
    assert [each["seq"] for each in lines(ledger)] == [0]


def test_lines_are_canonical_json(ledger: Ledger) -> None:
    ledger.write(
        [],
        entries=[
            ENTRY,
            ContentRead(actor='a"\\\x1f\x7f\né\u2028', what="live"),
            IngestDropped(actor="gateway", exchanges=3, rows=(1, 2**53)),
        ],
    )
    for line in ledger.entries(0, 10).lines:
        # Sorted names, no blanks, nothing escaped that need not be: as RFC 8785 has it for ASCII names and integers.
        assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() == line


def clocked(*moments: tuple[int, int], last_ns: int | None = None) -> EntryLines:
    """Lines whose clocks give these (wall, steady) times in seconds, one pair for each reading."""
    walls = iter([wall * SECOND for wall, _ in moments])
    steadies = iter([steady * SECOND for _, steady in moments])
    return EntryLines(0, last_ns, wall_ns=lambda: next(walls), steady_ns=lambda: next(steadies))


def kinds(made: list[bytes]) -> list[tuple[str, int | None]]:
    return [(found["type"], found.get("milliseconds")) for found in map(json.loads, made)]


def test_a_clock_that_jumps_is_said_before_anything_is_logged_under_it() -> None:
    clock = clocked((100, 0), (105, 5), (105, 5), (60, 6), (60, 6), (61, 7))
    assert kinds(clock.lines([ENTRY])) == [("apikey.revoked", None)]
    clock.keep(1)
    back = clock.lines([ENTRY])
    assert kinds(back) == [("clock.skew", -46_000), ("apikey.revoked", None)]
    clock.keep(2)
    assert kinds(clock.lines([ENTRY])) == [("apikey.revoked", None)]


def test_so_is_a_clock_that_stands_before_the_last_run() -> None:
    clock = clocked((100, 0), (101, 1), last_ns=200 * SECOND)
    assert kinds(clock.lines([ENTRY])) == [("clock.skew", -99_000), ("apikey.revoked", None)]


@pytest.mark.parametrize("at_ns", [0, 1, 1_764_422_645_123_456_789, 4_102_444_799_999_999_999])
def test_times_are_written_to_the_nanosecond_and_read_back(at_ns: int) -> None:
    assert nanoseconds_of(rfc3339_nanoseconds(at_ns)) == at_ns


def ask(text: str) -> HoldAsk:
    return HoldAsk(
        binding=text.encode().ljust(32),
        exchange_id="E1",
        session_id="S1",
        app="shop",
        kind="tool_call",
        tool="pay",
        text=text,
        clauses=("house/pay",),
        reason="needs_approval",
        at_ns=1,
    )


def test_a_hold_leaves_its_whole_story_without_names_or_words(ledger: Ledger) -> None:
    book = HoldBook(ledger, Secret(bytes(32)))
    hold = book.join(ask("42 to Eve"), now_ns=1, expires_ns=100)
    review = Review(actor="key_7", by="Ada Lovelace", reason="Eve is my aunt")
    book.decide(hold.hold_id, approve=True, answer=review, now_ns=2, expires_ns=100)
    assert book.use(hold.hold_id, "E2")
    assert not book.use(hold.hold_id, "E3")
    late = book.join(ask("43 to Eve"), now_ns=1, expires_ns=100)
    assert book.expire(late.hold_id).state == "expired"
    story = lines(ledger)[1:]
    assert [(each["type"], each.get("decision"), each["exchange"]) for each in story] == [
        ("action.escalated", None, "E1"),
        ("human.review", "approved", "E1"),
        ("override.used", None, "E2"),
        ("action.escalated", None, "E1"),
        ("human.review", "expired", "E1"),
    ]
    assert story[1]["actor"] == "key_7"
    assert str(story[1]["by"]).startswith("person_")
    whole = b"".join(ledger.entries(0, 100).lines)
    for word in (b"Ada", b"aunt", b"Eve"):
        assert word not in whole


def test_entries_of_an_older_ledger_come_along_one_a_group(tmp_path: Path) -> None:
    folder = files("storage").joinpath("migrations")
    older = {f"ledger_000{at}": folder.joinpath(f"ledger_000{at}.sql").read_text("utf-8") for at in range(1, 5)}
    file = WriteFile(tmp_path / "ledger.db", Schema("ledger", older), durability="FULL")
    line = '{"actor":"owner","key":"k%d","seq":%d,"ts":"2026-01-01T00:00:00.000000000Z","type":"apikey.revoked","v":1}'
    kept = [(line % (at, at)).encode() for at in range(300, 305)]
    file.connection.executemany("INSERT INTO audit_entry VALUES (?, ?)", enumerate(kept, 300))
    file.connection.execute("INSERT INTO audit_state (id, first, origin) VALUES (1, 300, 'o')")
    file.close()
    ledger = Ledger(tmp_path)
    assert (ledger.first_kept, ledger.next_seq) == (300, 305)
    assert ledger.entries(302, 2) == (302, kept[2:4])
    assert ledger.write([], entries=[ENTRY])[0].index == 305
    assert [each["seq"] for each in lines(ledger)] == list(range(300, 306))
    ledger.close()


def test_entries_are_found_from_anywhere_in_a_group_and_never_more_than_asked_for(ledger: Ledger) -> None:
    for count in (3, 1, 6):
        ledger.write([], entries=[ENTRY] * count)
    whole = ledger.entries(0, 100).lines
    assert len(whole) == 11
    for first in range(12):
        for limit in (1, 4, 100):
            found = ledger.entries(first, limit)
            assert (found.first, found.lines) == (first, whole[first : first + limit])
    ledger.release(5)
    assert ledger.entries(0, 2) == (5, whole[5:7])


def test_a_log_has_the_name_it_began_with_and_takes_no_other(tmp_path: Path) -> None:
    Ledger(tmp_path, "logs.example.com/one").close()
    for origin in (None, "logs.example.com/one"):
        again = Ledger(tmp_path, origin)
        assert again.origin == "logs.example.com/one"
        again.close()
    with pytest.raises(OriginFixed, match=r"logs\.example\.com/one.*cannot be called 'two'") as fixed:
        Ledger(tmp_path, "two")
    assert "logs.example.com/one" in fixed.value.remedy()


def test_a_named_log_is_verified_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    store = Store.open(folder, origin="logs.example.com/one")
    store.audit.head()
    store.close()
    verified(folder)
    assert (folder / "audit" / "checkpoint").read_bytes().startswith(b"logs.example.com/one\n")
    assert b"logs.example.com/one+" in (folder / "audit.key").read_bytes()
    with pytest.raises(OriginFixed):
        Store.open(folder, origin="logs.example.com/two")
    Store.open(folder).close()
