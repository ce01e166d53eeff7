"""Sign-ins: known by hash, over in time, ended for good."""

from pathlib import Path

from policies.vocabulary.keys import Key
from policies.vocabulary.sign_ins import SIGN_IN_NS
from storage.opening import seal_key_of
from storage.sign_ins import SignInBook
from storage.store import Store


def key_of(store: Store, *, expires_ns: int | None = None) -> Key:
    return store.keys.create(name="me", role="viewer", app="shop", now_ns=1, expires_ns=expires_ns)[0]


class Clock:
    def __init__(self) -> None:
        self.now_ns = 1_000

    def __call__(self) -> int:
        return self.now_ns


def book(store: Store, folder: Path, clock: Clock) -> SignInBook:
    return SignInBook(store.ledger, seal_key_of(folder), now_ns=clock)


def test_a_sign_in_is_found_by_its_token_alone_also_after_a_restart(folder: Path, store: Store) -> None:
    clock = Clock()
    signing, key = book(store, folder, clock), key_of(store)
    token, begun = signing.begin(key)
    for each in (signing, book(store, folder, clock)):
        assert each.find(token) == begun
        assert [each.find(wrong) for wrong in ("", token[:-1], token.swapcase(), "ü", "x" * 1000)] == [None] * 5
    assert begun.key_id == key.key_id


def test_it_ends_in_time_and_no_later_than_its_key(folder: Path, store: Store) -> None:
    clock = Clock()
    signing = book(store, folder, clock)
    token, begun = signing.begin(key_of(store))
    short, cut = signing.begin(key_of(store, expires_ns=5_000))
    assert (begun.expires_ns, cut.expires_ns) == (1_000 + SIGN_IN_NS, 5_000)
    clock.now_ns = 5_000
    assert signing.find(short) is None
    assert signing.find(token) == begun
    clock.now_ns = begun.expires_ns
    assert signing.find(token) is None


def test_signing_out_ends_it_once_and_for_all(folder: Path, store: Store) -> None:
    signing = book(store, folder, Clock())
    token, _ = signing.begin(key_of(store))
    other, _ = signing.begin(key_of(store))
    before = store.ledger.next_seq
    signing.end(token)
    signing.end(token)
    assert signing.find(token) is None
    assert signing.find(other) is not None
    assert store.ledger.next_seq == before + 1
    assert book(store, folder, Clock()).find(token) is None


def test_a_key_keeps_its_newest_sign_ins_and_rows_that_are_over_go(folder: Path, store: Store) -> None:
    clock = Clock()
    signing, key, other = book(store, folder, clock), key_of(store), key_of(store)
    first, _ = signing.begin(key)
    spared, _ = signing.begin(other)
    last = [signing.begin(key)[0] for _ in range(20)][-1]
    assert signing.find(first) is None
    assert None not in (signing.find(last), signing.find(spared))
    clock.now_ns += 2 * SIGN_IN_NS
    signing.begin(key)
    assert store.ledger.read("SELECT count(*) FROM sign_in") == [(1,)]


def test_neither_token_nor_csrf_word_stands_on_disk(folder: Path, store: Store) -> None:
    signing = book(store, folder, Clock())
    token, _ = signing.begin(key_of(store))
    word = signing.csrf(token)
    assert len(word) == 64
    assert word != signing.csrf(token + "x")
    store.close()
    for path in folder.iterdir():
        if path.is_file():
            data = path.read_bytes()
            assert token.encode() not in data
            assert word.encode() not in data
            assert bytes.fromhex(word) not in data
