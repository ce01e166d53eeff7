"""What was erased is in no file, cannot be guessed, and the log still holds; what was not is untouched."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.ids import new_id
from policies.vocabulary.erasures import Order
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.findings import Finding
from policies.vocabulary.holds import HoldAsk
from policies.vocabulary.judgements import Judged, StepJudgement
from policies.vocabulary.reports import Report, ReportedSpan
from storage import files as storage_files
from storage.eraser import BadScope, ErasureUnfinished, NothingToErase, SessionHeld
from storage.errors import ContentDamaged, StorageFailed
from storage.legal_holds import HoldChange
from storage.sequencer import Sequencer
from storage.sessions import SessionFilter
from storage.store import Store
from tests.fakes.audit import entries_of, verified
from tests.unit.storage.stored import START_NS, agent_session, compact, recording, request_body

ROOT = Path(__file__).parents[3]
DAY_NS = 86_400_000_000_000
MARK = "heliotrope-4711"
USER = "alice@example.org"
CASE = HoldChange(app="shop", by="counsel", reason="case 12", actor="owner")


def said(
    number: int, session: str | None, *, user: str | None = None, at_ns: int | None = None, **facts: Any
) -> Recording:
    """An exchange in which everything that can be somebody's carries the mark or the session's name."""
    mark = f"{MARK} {session}"
    request = request_body([("system", mark * 40)], [compact({"role": "user", "content": f"{mark} {number}"})])
    unique = sha256(f"{session} {number}".encode()).digest()
    made = recording(
        number,
        session=session,
        at_ns=at_ns,
        request=request,
        reply=compact({"id": f"msg_{session}_{number}", "content": mark}),
        state=unique[:16],
        blind=unique[16:],
        parent_span_id=unique[:8],
        response_id=f"msg_{session}_{number}",
        tags=(("for", f"tag-{session}"),),
        note=f"noted {session}",
        **facts,
    )
    if made.exchange.join is None:
        return msgspec.structs.replace(made, end_user=user, reply_fingerprint=unique[8:24])
    join = msgspec.structs.replace(made.exchange.join, name=f"named {session}", agent_name=f"agent {session}")
    exchange = msgspec.structs.replace(made.exchange, join=join)
    return msgspec.structs.replace(made, exchange=exchange, end_user=user, reply_fingerprint=unique[8:24])


def told(number: int, session: str) -> Report:
    """A span that the application reports of the exchange of this number."""
    span = ReportedSpan(
        trace_id=number.to_bytes(16, "big"),
        span_id=number.to_bytes(8, "big"),
        name=f"reported of {session}",
        kind="internal",
        started_ns=START_NS,
        ended_ns=START_NS,
        detail=f"detail {session}".encode(),
    )
    return Report(app="shop", received_ns=START_NS, weight=1, spans=(span,))


def order(scope: str) -> Order:
    return Order(scope=scope, basis="GDPR Art. 17(1)(b)", by="the officer", actor="owner")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def holding(folder: Path, needle: bytes | str) -> list[str]:
    needle = needle.encode() if isinstance(needle, str) else needle
    return [name for name, data in files(folder).items() if needle in data]


def values(folder: Path) -> dict[str, set[bytes]]:
    """Every value of the record that is no word and no number, by the session it is about."""
    found: dict[str, set[bytes]] = {}

    def add(session: str | None, row: Sequence[Any]) -> None:
        texts = [each.encode() if isinstance(each, str) else each for each in row]
        found.setdefault(session or "", set()).update(t for t in texts if isinstance(t, bytes) and len(set(t)) >= 6)

    for path in folder.glob("spans-*.db"):
        with closing(sqlite3.connect(path)) as day:
            query = "SELECT session_id, exchange.*, branch.* FROM exchange LEFT JOIN branch ON branch.id = branch"
            for session, _, _exchange_id, *row in day.execute(query):
                add(session, row)
    with closing(sqlite3.connect(folder / "meta.db")) as meta:
        states = (
            "SELECT session_id, state, response, reply_fingerprint FROM joining_state JOIN branch b ON b.id = branch"
        )
        for session, *row in meta.execute(states):
            add(session, row)
        for session, *row in meta.execute("SELECT session_id, session.* FROM session"):
            add(session, row)
    return found


def scope_keys(folder: Path) -> set[bytes]:
    """The wrapped keys of every scope there is."""
    with closing(sqlite3.connect(folder / "keys.db")) as keys:
        return {row[0] for row in keys.execute("SELECT wrapped FROM scope_key")}


def contents(folder: Path) -> set[bytes]:
    with closing(sqlite3.connect(next(iter(sorted(folder.glob("content-*.db")))))) as month:
        rows = month.execute("SELECT cid, sealed FROM content UNION SELECT check_bytes, check_bytes FROM conv_state")
        return {value for row in rows for value in row}


def test_with_an_app_goes_what_waits_for_a_person_there_of_whatever_session(folder: Path) -> None:
    store = Store.open(folder)
    store.append([said(1, "gone"), said(2, None)])
    for number, (session, app) in enumerate([("gone", "shop"), (None, "shop"), (None, "other")]):
        ask = HoldAsk(
            binding=bytes([number]) * 32, exchange_id=f"x{number}", session_id=session, app=app, kind="tool_call",
            tool="pay", text=MARK, clauses=(), reason="needs_approval", at_ns=1,
        )  # fmt: skip
        store.holds.join(ask, now_ns=1, expires_ns=2)
    store.erase(order("app:shop"), START_NS)
    assert [hold.ask.exchange_id for hold in store.holds.list(limit=-1)] == ["x2"]
    store.close()


def test_no_value_is_left_from_which_a_guess_could_be_confirmed(folder: Path) -> None:
    store = Store.open(folder)
    store.append([said(n, "gone" if n % 2 else "kept", user=USER if n % 2 else None) for n in range(1, 9)])
    store.append([said(n, "gone", at_ns=START_NS + DAY_NS) for n in range(9, 12)])
    store.audit.alias("gone")
    store.holds.join(
        HoldAsk(
            binding=b"B" * 32, exchange_id="x", session_id="gone", app="shop", kind="tool_call", tool="pay", text=MARK,
            clauses=(), reason="needs_approval", at_ns=1,
        ),
        now_ns=1,
        expires_ns=2,
    )  # fmt: skip
    store.close()
    before, sealed_before, keys_before = values(folder), contents(folder), files(folder)["keys.db"]

    store = Store.open(folder)
    erased = store.erase(order("session:gone"), 1_700_000_000_000_000_000)
    assert (erased.sessions, erased.exchanges) == (("gone",), 7)
    left = contents(folder)
    about = before["gone"] - before["kept"] - {b"anthropic"}
    assert len(about) > 40
    assert {value: where for value in about if (where := holding(folder, value))} == {}
    for value in sealed_before - left:
        assert holding(folder, value) == []
    assert len(sealed_before - left) >= 8
    for name in ("gone", MARK, "the officer's"):
        assert [where for where in holding(folder, name) if not where.startswith("audit")] == []
    assert holding(folder, b"B" * 32) == []
    now = scope_keys(folder)
    assert len(now) == 1
    assert sum(keys_before.count(each) for each in now) == 1
    for one in (said(2, "kept"), said(8, "kept")):
        body = store.body(one.exchange.exchange_id, "request")
        assert body is not None
        assert body.raw == one.request.raw
    store.audit.head()
    store.close()
    checked = verified(folder)
    assert checked is not None
    assert (checked.expired, checked.exchanges) == (0, 11)
    entry = next(entry for entry in entries_of(folder) if entry["type"] == "content.erased")
    assert (entry["sessions"], entry["exchanges"], entry["basis"]) == (1, 7, "GDPR Art. 17(1)(b)")
    assert entry["scope"] == erased.scope
    assert entry["by"].startswith("person_")


def test_who_asks_for_what_was_erased_learns_when_and_why(store: Store) -> None:
    one = said(1, "gone")
    store.append([one])
    store.terminate("gone", 5)
    store.erase(order("session:gone"), 77)
    for found in (store.erased_session("gone"), store.erased_exchange(one.exchange.exchange_id)):
        assert found is not None
        assert (found.app, found.basis, found.at_ns) == ("shop", "GDPR Art. 17(1)(b)", 77)
    assert store.session("gone") is None
    assert store.exchange(one.exchange.exchange_id) is None
    assert store.is_terminated("gone")
    assert store.erased_session("kept") is None


def test_a_session_goes_on_after_it_was_erased_and_resends_its_history(store: Store) -> None:
    turns = agent_session(seed=3, turns=6, session="gone")
    store.append(turns[:4])
    store.erase(order("session:gone"), 1)
    store.append(turns[4:])
    for one in turns[4:]:
        body = store.body(one.exchange.exchange_id, "request")
        assert body is not None
        assert body.raw == one.request.raw
    row = store.session("gone")
    assert row is not None
    assert row.exchanges == 2


def test_an_end_user_is_erased_with_every_session_and_with_what_was_outside_of_any(folder: Path, store: Store) -> None:
    store.append([said(1, "one", user=USER), said(2, "one"), said(3, "two", user=USER), said(4, "three", user="bob")])
    store.append([said(5, None, user=USER), said(6, None, user="bob"), said(7, None)])
    store.append([said(8, "elsewhere", user=USER, app="other")])
    assert holding(folder, USER) == []
    keys = scope_keys(folder)
    erased = store.erase(order(f"user:{USER}"), 1)
    left = scope_keys(folder)
    assert (len(keys), len(left)) == (7, 3)  # of `three`, of bob outside of a session, and of the app
    assert [where for key in keys - left for where in holding(folder, key)] == []
    assert (set(erased.sessions), erased.exchanges) == ({"one", "two", "elsewhere"}, 5)
    assert {row.session_id for row in store.sessions()} == {"three"}
    assert {one.exchange_id for one in store.recent()} == {said(n, None).exchange.exchange_id for n in (4, 6, 7)}
    with pytest.raises(NothingToErase):
        store.erase(order(f"user:{USER}"), 1)


def test_an_app_is_erased_whole_and_alone(folder: Path, store: Store) -> None:
    store.append([said(1, "one"), said(2, None, user=USER), said(3, None), said(4, "two", app="other")])
    keys = scope_keys(folder)
    erased = store.erase(order("app:shop"), 1)
    left = scope_keys(folder)
    assert (len(keys), len(left)) == (4, 1)
    assert [where for key in keys - left for where in holding(folder, key)] == []
    assert (erased.sessions, erased.exchanges) == (("one",), 3)
    assert [one.app for one in store.recent()] == ["other"]


def test_what_clauses_found_in_a_session_goes_with_it(store: Store) -> None:
    finding = Finding(clause="p/a", guard="pattern.0", score=90, state="violation")
    judged = Judged(ruleset="r", steps=(StepJudgement(seq=0, findings=(finding,)),))
    store.append(
        [msgspec.structs.replace(said(number, name), judged=judged) for number, name in ((1, "gone"), (2, "kept"))]
    )
    store.erase(order("session:gone"), 1)
    assert [row.session_id for row in store.sessions(SessionFilter(clause="p/a"))] == ["kept"]
    with closing(sqlite3.connect(store.directory / "meta.db")) as meta:
        assert meta.execute("SELECT session_id FROM session_clause").fetchall() == [("kept",)]


@pytest.mark.parametrize("scope", ["gone", "session:", "tenant:x", "", ":"])
def test_a_scope_that_is_none_changes_nothing(store: Store, scope: str) -> None:
    store.append([said(1, "gone")])
    with pytest.raises(BadScope):
        store.erase(order(scope), 1)
    assert store.session("gone") is not None


def test_equal_contents_of_two_sessions_share_neither_row_nor_name(folder: Path, store: Store) -> None:
    request = request_body([("system", "the same")], [compact({"role": "user", "content": "the same"})])
    store.append([recording(n, session=f"S{n}", request=request, reply=b"the same") for n in (1, 2)])
    with closing(sqlite3.connect(folder / "content-202511.db")) as month:
        rows = month.execute("SELECT cid, scope, length FROM content").fetchall()
    assert len({cid for cid, _, _ in rows}) == len(rows)
    first, second = (sorted(length for _, of, length in rows if of == scope) for scope in {row[1] for row in rows})
    assert first == second


def test_a_held_session_is_not_erased_until_it_is_released(store: Store) -> None:
    store.append([said(1, "gone", user=USER)])
    store.legal_holds.set("gone", CASE, 1)
    for scope in ("session:gone", f"user:{USER}", "app:shop"):
        with pytest.raises(SessionHeld):
            store.erase(order(scope), 1)
    assert store.session("gone") is not None
    store.legal_holds.release("gone", CASE, 2)
    store.erase(order("session:gone"), 1)
    assert store.session("gone") is None


def test_nothing_of_an_erasure_is_begun_that_the_log_does_not_tell(store: Store, folder: Path) -> None:
    from tests.fakes.ledger import failing, whatever_writes  # noqa: PLC0415 - only here

    store.append([said(1, "gone")])
    with failing(store.ledger, whatever_writes), pytest.raises(StorageFailed):
        store.erase(order("session:gone"), 1)
    body = store.body(said(1, "gone").exchange.exchange_id, "request")
    assert body is not None
    assert body.raw == said(1, "gone").request.raw


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Somebody looks at the day, for longer than an erasure waits."""
    with closing(sqlite3.connect(folder / "spans-20251123.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM exchange").fetchone()
        yield


def test_while_a_reader_looks_the_keys_are_gone_and_the_rest_goes_after(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_files, "PATIENCE_SECONDS", 0.05)
    store.append([said(1, "gone")])
    with reading(folder):
        with pytest.raises(ErasureUnfinished, match="reader") as raised:
            store.erase(order("session:gone"), START_NS)
        assert raised.value.sessions == ("gone",)
        assert "Do not ask again" in raised.value.remedy()
        with closing(sqlite3.connect(folder / "keys.db")) as keys:
            assert keys.execute("SELECT count(*) FROM scope_key").fetchone() == (0,)
        assert store.erased_session("gone") is not None
    store.sweep(START_NS)
    assert holding(folder, "gone") == []


def test_what_comes_while_an_erasure_waits_goes_too_and_the_log_tells_of_it(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_files, "PATIENCE_SECONDS", 0.05)
    store.append([said(1, "gone")])
    with reading(folder), pytest.raises(StorageFailed, match="reader"):
        store.erase(order("session:gone"), START_NS)
    store.append([said(2, "gone"), said(3, "kept")])
    store.sweep(START_NS)
    assert holding(folder, "gone") == []
    store.audit.head()
    store.close()
    verified(folder)
    told = [entry for entry in entries_of(folder) if entry["type"] == "content.erased"]
    assert [entry["exchanges"] for entry in told] == [1, 1]
    assert len({(entry["scope"], entry["basis"], entry["by"]) for entry in told}) == 1


def nothing(*given: object, **named: object) -> None:
    """Done in the place of something."""
    del given, named


def test_nothing_is_taken_out_before_the_log_seals_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_files, "PATIENCE_SECONDS", 0.05)
    store = Store.open(folder)
    store.append([said(1, "gone")])
    with reading(folder), pytest.raises(StorageFailed, match="reader"):
        store.erase(order("session:gone"), START_NS)
    with monkeypatch.context() as patched:
        patched.setattr(Sequencer, "put", nothing)
        store.append([said(2, "gone")])
        killed = Path(shutil.copytree(folder, tmp_path / "killed"))
        Store.open(killed).close()  # and it is killed again before it could seal anything
    store.close()
    store = Store.open(killed)
    assert holding(killed, "gone") == []
    store.audit.head()
    store.close()
    verified(killed)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "data"
    store = Store.open(folder)
    store.append([said(n, "gone" if n % 2 else "kept", user=USER) for n in range(1, 7)])
    store.reports.add([told(n, "gone" if n % 2 else "kept") for n in range(1, 7)])
    store.close()
    return folder


def killed_at(folder: Path, statement: int) -> bool:
    command = [sys.executable, "-m", "tests.unit.storage.erase_child", str(folder), "session:gone", str(statement)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode in {0, -9}, done.stderr.decode()
    return done.returncode == -9


def check_after(folder: Path) -> bool:
    """After a kill and a start: all of it or nothing; whether it was erased."""
    store = Store.open(folder)
    begun = store.erased_session("gone") is not None
    assert (store.session("gone") is None) == begun
    body = store.body(said(2, "kept").exchange.exchange_id, "request")
    assert body is not None
    assert body.raw == said(2, "kept").request.raw
    if begun:
        assert {where for where in holding(folder, "gone") if not where.startswith("audit")} == set()
        assert store.ledger.read("SELECT count(*) FROM erasure WHERE plan IS NOT NULL") == [(0,)]
    store.audit.head()
    store.close()
    verified(folder)
    assert sum(entry["type"] == "content.erased" for entry in entries_of(folder)) == begun
    return begun


def test_whenever_it_is_killed_an_erasure_is_none_or_is_finished(recorded: Path, tmp_path: Path) -> None:
    outcomes = [
        (killed_at(folder, statement), check_after(folder))
        for statement, folder in copies(recorded, tmp_path, (4, 30, 45, 60, 80, 100, 10_000))
    ]
    assert {begun for killed, begun in outcomes if killed} == {False, True}
    assert outcomes[-1] == (False, True)


@pytest.mark.torture
@pytest.mark.timeout(900)
def test_whichever_statement_it_is_killed_at(recorded: Path, tmp_path: Path) -> None:
    for statement, folder in copies(recorded, tmp_path, range(1, 200)):
        killed = killed_at(folder, statement)
        check_after(folder)
        shutil.rmtree(folder)
        if not killed:
            return
    pytest.fail("erasing never ended")


def copies(recorded: Path, tmp_path: Path, statements: Sequence[int] | range) -> Iterator[tuple[int, Path]]:
    for statement in statements:
        folder = tmp_path / str(statement)
        shutil.copytree(recorded, folder, ignore=shutil.ignore_patterns("lock"))
        yield statement, folder


def test_contents_of_before_there_were_scopes_are_read_and_outlive_an_erasure(folder: Path) -> None:
    """They lie under one key a month, and others may refer to them: only what leads to them goes."""
    store = Store.open(folder)
    store.append([said(1, "gone"), said(2, "gone")])
    store.close()
    under_the_months_key(folder)
    store = Store.open(folder)
    body = store.body(said(2, "gone").exchange.exchange_id, "request")
    assert body is not None
    assert body.raw == said(2, "gone").request.raw
    before = contents(folder)
    store.erase(order("session:gone"), 1)
    assert contents(folder) == before
    assert store.exchange(said(2, "gone").exchange.exchange_id) is None
    store.close()


def under_the_months_key(folder: Path) -> None:
    """Rewrite a directory as the release before would have written it."""
    store = Store.open(folder)
    vault = vars(store)["_vault"]
    old = vault.scope(0, "202511")
    with closing(sqlite3.connect(folder / "content-202511.db")) as month:
        names: dict[bytes, bytes] = {}
        for number, cid, codec, length, sealed, scope in month.execute(
            "SELECT id, cid, codec, length, sealed, scope FROM content"
        ).fetchall():
            packed = vault.scope(scope, "202511").sealer.open(sealed, b"%s%c%d" % (cid, codec, length))
            name = names[cid] = old.cid(vault.codec.grow(codec, packed, length))
            resealed = old.sealer.seal(packed, b"%s%c%d" % (name, codec, length))
            month.execute("UPDATE content SET cid = ?, sealed = ?, scope = 0 WHERE id = ?", (name, resealed, number))
        month.commit()
    with closing(sqlite3.connect(folder / "spans-20251123.db")) as day:
        for cid, name in names.items():
            for column in ("request_content", "response_content"):
                day.execute(f"UPDATE exchange SET {column} = ? WHERE {column} = ?", (name, cid))
        day.commit()
    store.close()


def test_a_key_that_is_gone_is_said_and_never_read_as_garbage(folder: Path, store: Store) -> None:
    store.append([said(1, "gone")])
    vars(store)["_scope_keys"].destroy("session", ["gone"])
    with pytest.raises(ContentDamaged, match=r"keys\.db"):
        store.body(said(1, "gone").exchange.exchange_id, "request")


def test_digest_keeps_no_content_and_makes_no_key(folder: Path) -> None:
    store = Store.open(folder, content="digest")
    store.append([said(1, "kept", user=USER), said(2, None, user=USER)])
    with closing(sqlite3.connect(folder / "keys.db")) as keys:
        assert keys.execute("SELECT count(*) FROM scope_key").fetchone() == (0,)
    assert list(folder.glob("content-*")) == []
    for needle in (MARK, USER):
        assert holding(folder, needle) == []
    store.close()
    for needle in (MARK, USER):
        assert holding(folder, needle) == []


def test_a_hold_outlives_retention_with_what_its_session_needs_and_nothing_else(folder: Path) -> None:
    store = Store.open(folder, retention_days=10)
    places = [("kept", 0), ("other", 0), ("kept", 1), ("other", 2), (None, 0)]
    made = [
        said(number, session, at_ns=(at := START_NS + day * DAY_NS), exchange_id=new_id(at))
        for number, (session, day) in enumerate(places)
    ]
    store.append(made)
    store.legal_holds.set("kept", CASE, 1)
    now = START_NS + 60 * DAY_NS
    assert store.drop_expired(now) == ["spans-20251123.db", "spans-20251125.db", "content-202511.db"]
    assert store.drop_expired(now) == []
    with closing(sqlite3.connect(folder / "content-202511.db")) as month:
        assert month.execute("SELECT count(DISTINCT scope) FROM content").fetchone() == (1,)
    assert {one.exchange_id for one in store.recent()} == {made[0].exchange.exchange_id, made[2].exchange.exchange_id}
    for one in (made[0], made[2]):
        body = store.body(one.exchange.exchange_id, "request")
        assert body is not None
        assert body.raw == one.request.raw
    assert len(store.exchanges("kept")) == 2
    assert {row.session_id for row in store.sessions()} == {"kept"}
    assert [where for where in holding(folder, "other") if where.startswith(("spans", "content"))] == []
    store.audit.head()
    store.close()
    verified(folder)
    store = Store.open(folder, retention_days=10)
    store.legal_holds.release("kept", CASE, 2)
    assert store.drop_expired(now) == ["spans-20251123.db", "spans-20251124.db", "content-202511.db"]
    assert store.sessions() == []
    with closing(sqlite3.connect(folder / "keys.db")) as keys:
        assert keys.execute("SELECT count(*) FROM scope_key").fetchone() == (0,)
    store.audit.head()
    types = [entry["type"] for entry in entries_of(folder)]
    assert (types.count("legal_hold.set"), types.count("legal_hold.released")) == (1, 1)
    store.close()


def test_a_hold_takes_nothing_from_others_that_a_kept_day_needs(folder: Path) -> None:
    store = Store.open(folder, retention_days=3)
    places = [("kept", 0), ("other", 0), (None, 0), ("other", 3), (None, 3)]
    same = request_body([("system", "Be kind.")], [compact({"role": "user", "content": "Hi"})])
    made = [
        recording(number, session=session, at_ns=(at := START_NS + day * DAY_NS), exchange_id=new_id(at), request=same)
        for number, (session, day) in enumerate(places)
    ]
    store.append(made)
    store.legal_holds.set("kept", CASE, 1)
    assert store.drop_expired(START_NS + 4 * DAY_NS) == ["spans-20251123.db"]
    for one in (made[0], *made[3:]):
        body = store.body(one.exchange.exchange_id, "request")
        assert body is not None
        assert body.raw == same.raw
    store.close()
