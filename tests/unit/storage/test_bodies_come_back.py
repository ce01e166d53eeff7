"""Every body comes back byte for byte, or not at all."""

import hashlib
import sqlite3
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.vocabulary.erasures import Order
from policies.vocabulary.exchanges import Body, Cut
from storage.errors import ContentDamaged
from storage.store import Store
from tests.unit.storage.stored import START_NS, agent_session, compact, recording, request_body

messages = st.lists(st.binary(max_size=30), max_size=8)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    pieces = draw(messages)
    raw, cuts = b"[", list[Cut]()
    for piece in pieces:
        raw += draw(st.sampled_from([b"", b",", b", "])) * bool(cuts)
        cuts.append((len(raw), len(raw) + len(piece), draw(st.booleans())))
        raw += piece
    raw += draw(st.sampled_from([b"]", b']},"stream":true}', b"x" * 300]))
    return Body(raw=raw, length=len(raw), cuts=tuple(cuts), content_encoding=draw(st.sampled_from([None, "zstd"])))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["S1", "S2", "S3", None]), bodies(), st.binary(max_size=50)), max_size=12),
    st.integers(1, 4),
    st.sampled_from([1, 2, 16_384]),
)
def test_any_interleaving_of_sessions_comes_back(
    sent: list[tuple[str | None, Body, bytes]], batch: int, remembered: int
) -> None:
    made = [
        recording(number, session=session, request=body, reply=reply)
        for number, (session, body, reply) in enumerate(sent)
    ]
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "data", remembered=remembered)
        for start in range(0, len(made), batch):
            store.append(made[start : start + batch])
        for one in made:
            exchange_id = one.exchange.exchange_id
            assert store.exchange(exchange_id) == one.exchange
            assert tuple(store.exchange_steps(exchange_id)) == one.steps
            request, response = store.body(exchange_id, "request"), store.body(exchange_id, "response")
            assert request is not None
            assert response is not None
            assert (request.raw, response.raw) == (one.request.raw, one.response.raw)
            if one.request.content_encoding is None and one.request.raw is not None:
                for index, (start, end, _) in enumerate(one.request.cuts):
                    assert store.cut(exchange_id, index) == one.request.raw[start:end]
        assert store.stats().kept_whole == 0
        store.close()


def test_a_long_session_comes_back_with_a_memory_of_one(folder: Path) -> None:
    made = agent_session(seed=3, turns=12)
    store = Store.open(folder, remembered=1)
    for one in made:
        store.append([one])
    store.close()
    store = Store.open(folder)
    for one in made:
        body = store.body(one.exchange.exchange_id, "request")
        assert body is not None
        assert body.raw == one.request.raw
    store.close()


def test_a_branch_that_another_session_goes_on_with_stands_on_nothing_of_the_first(store: Store) -> None:
    first, second = agent_session(seed=5, turns=2)
    assert first.exchange.join is not None
    assert second.exchange.join is not None
    moved = msgspec.structs.replace(second.exchange.join, session_id="S9")
    second = msgspec.structs.replace(second, exchange=msgspec.structs.replace(second.exchange, join=moved))
    store.append([first])
    store.append([second])
    gone = f"session:{first.exchange.join.session_id}"
    store.erase(Order(scope=gone, basis="GDPR Art. 17", by="the officer", actor="owner"), START_NS)
    body = store.body(second.exchange.exchange_id, "request")
    assert body is not None
    assert body.raw == second.request.raw


def test_a_resent_history_adds_only_what_is_new(folder: Path, store: Store) -> None:
    made = agent_session(seed=1, turns=20)
    for one in made:
        store.append([one])
    store.close()
    with sqlite3.connect(next(folder.glob("content-*.db"))) as content:
        # 1 opening, 2 messages a turn after the first; two lead pieces, one frame, one reply a turn.
        assert content.execute("SELECT count(*) FROM conv_state").fetchone() == (1 + 2 * 19 + 2,)
        assert content.execute("SELECT count(*) FROM content").fetchone() == (1 + 2 * 19 + 2 + 1 + 20,)
    content.close()


def test_cuts_that_do_not_fit_keep_the_body_whole_and_are_counted(store: Store) -> None:
    body = Body(raw=b"0123456789", length=10, cuts=((5, 3, True),))
    store.append([recording(1, request=body)])
    found = store.body(recording(1).exchange.exchange_id, "request")
    assert found is not None
    assert found.raw == b"0123456789"
    assert store.stats().kept_whole == 1
    assert store.cut(recording(1).exchange.exchange_id, 0) is None


def test_a_body_too_large_to_keep_leaves_its_digest(store: Store) -> None:
    digest = hashlib.sha256(b"a film").digest()
    store.append([recording(1, request=Body(raw=None, length=6, sha256=digest, media_type="video/mp4"))])
    found = store.body(recording(1).exchange.exchange_id, "request")
    assert found is not None
    assert (found.raw, found.sha256, found.length, found.media_type) == (None, digest, 6, "video/mp4")


def test_digest_mode_keeps_no_content(folder: Path) -> None:
    made = recording(1, request=request_body([], [compact({"role": "user", "content": "the-secret-plan"})]))
    store = Store.open(folder, content="digest")
    store.append([made])
    found = store.body(made.exchange.exchange_id, "request")
    assert found is not None
    assert found.raw is None
    assert found.sha256 == hashlib.sha256(made.request.raw or b"").digest()
    assert store.steps("S1") == list(made.steps)
    store.close()
    assert not list(folder.glob("content-*"))
    assert not any(b"the-secret-plan" in path.read_bytes() for path in folder.iterdir())


def test_no_content_is_on_disk_in_the_clear(folder: Path, store: Store) -> None:
    text = "the-secret-plan " * 3
    made = recording(1, request=request_body([("system", text)], [compact({"content": text})]), reply=text.encode())
    store.append([made])
    store.close()
    for path in folder.iterdir():
        assert b"secret-plan" not in path.read_bytes()


@pytest.mark.parametrize("side", ["request", "response"])
def test_a_changed_byte_is_an_error_and_never_another_body(folder: Path, store: Store, side: str) -> None:
    made = agent_session(seed=2, turns=1)
    store.append(made)
    store.close()
    with sqlite3.connect(next(folder.glob("content-*.db"))) as content:
        rows = content.execute("SELECT id, sealed FROM content").fetchall()
        for number, sealed in rows:
            changed = sealed[:20] + bytes([sealed[20] ^ 1]) + sealed[21:]
            content.execute("UPDATE content SET sealed = ? WHERE id = ?", (changed, number))
    content.close()
    store = Store.open(folder)
    with pytest.raises(ContentDamaged):
        store.body(made[0].exchange.exchange_id, "request" if side == "request" else "response")
    store.close()


def test_swapped_contents_are_noticed(folder: Path, store: Store) -> None:
    store.append([recording(1, reply=b"one and one"), recording(2, reply=b"two and two")])
    store.close()
    with sqlite3.connect(next(folder.glob("content-*.db"))) as content:
        first, second = content.execute("SELECT id, sealed FROM content WHERE length = 11").fetchall()
        content.execute("UPDATE content SET sealed = ? WHERE id = ?", (second[1], first[0]))
        content.execute("UPDATE content SET sealed = ? WHERE id = ?", (first[1], second[0]))
    content.close()
    store = Store.open(folder)
    with pytest.raises(ContentDamaged):
        store.body(recording(1).exchange.exchange_id, "response")
    store.close()


def test_a_lost_content_file_is_named(folder: Path, store: Store) -> None:
    store.append([recording(1)])
    store.close()
    for path in folder.glob("content-*"):
        path.unlink()
    store = Store.open(folder)
    with pytest.raises(ContentDamaged, match=r"content-202511\.db is missing"):
        store.body(recording(1).exchange.exchange_id, "request")
    store.close()


def test_a_wrong_digest_from_above_is_noticed_on_reading(store: Store) -> None:
    made = recording(1)
    store.append([msgspec.structs.replace(made, response=msgspec.structs.replace(made.response, sha256=bytes(32)))])
    with pytest.raises(ContentDamaged):
        store.body(made.exchange.exchange_id, "response")
