"""Gateway keys: shown once, found by hash, counted for good."""

import threading
from pathlib import Path

import pytest

from storage.errors import KeyNotFound
from storage.secret import Secret
from storage.store import Store


def test_a_key_is_found_by_its_text_and_by_nothing_else(store: Store) -> None:
    key, secret = store.keys.create(name="ci", role="app", app="shop", now_ns=5)
    other, _ = store.keys.create(name="me", role="admin", app="ops", now_ns=6)
    assert store.keys.find(secret) == key
    assert (len(secret), secret[:4], key.hint) == (4 + 43 + 6, "swk_", secret[:8])
    for wrong in ("", "swk_", secret[:-1], secret + "0", secret[:10] + "A" + secret[11:], secret.upper(), "ü" * 53):
        assert wrong == secret or store.keys.find(wrong) is None
    assert store.keys.list() == [key, other]


def test_the_text_of_a_key_is_nowhere_on_disk(folder: Path, store: Store) -> None:
    _, secret = store.keys.create(name="ci", role="app", app="shop", now_ns=5)
    store.close()
    for path in folder.iterdir():
        data = path.read_bytes()
        assert secret.encode() not in data
        assert secret[12:40].encode() not in data


def test_revoked_and_expired_keys_come_back_as_they_are(folder: Path, store: Store) -> None:
    key, secret = store.keys.create(name="ci", role="app", app="shop", expires_ns=9, now_ns=5)
    assert store.keys.any("app")
    assert not store.keys.any("viewer")
    assert store.keys.revoke(key.key_id, 7).revoked_ns == 7
    assert store.keys.revoke(key.key_id, 8).revoked_ns == 7
    assert not store.keys.any()
    store.close()
    store = Store.open(folder)
    found = store.keys.find(secret)
    assert found is not None
    assert (found.revoked_ns, found.expires_ns) == (7, 9)
    store.close()


def test_spending_from_many_threads_loses_nothing(folder: Path, store: Store) -> None:
    key, secret = store.keys.create(name="ci", role="app", app="shop", budget_micro_usd=10**6, now_ns=5)
    threads = [threading.Thread(target=lambda: [store.keys.spend(key.key_id, 3) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.keys.spend_many({key.key_id: 5})
    store.close()
    store = Store.open(folder)
    found = store.keys.find(secret)
    assert found is not None
    assert found.spent_micro_usd == 125
    store.close()


def test_unknown_keys_are_named(store: Store) -> None:
    with pytest.raises(KeyNotFound):
        store.keys.revoke("key_none", 1)
    with pytest.raises(KeyNotFound):
        store.keys.spend("key_none", 1)


def test_a_secret_never_shows_itself() -> None:
    secret = Secret(b"open sesame")
    assert "sesame" not in f"{secret} {secret!r} {[secret]}"
    assert secret == Secret(b"open sesame")
    assert secret != Secret(b"other")
    with pytest.raises(TypeError):
        hash(secret)
