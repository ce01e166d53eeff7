"""Admission: one wording for every bad key, and budgets that hold whatever the order of events."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission import Admission
from gateway.refusals import BudgetExhausted, Unauthenticated
from policies.vocabulary.keys import Key, Role
from storage.keys import KeyRing
from storage.store import Store

NOW = 1_800_000_000_000_000_000


class Ring:
    """Keys in a dict: what admission needs of a key ring."""

    def __init__(self, *keys: Key) -> None:
        self.keys = {f"swk_{key.key_id}": key for key in keys}
        self.lookups = 0

    def find(self, secret: str) -> Key | None:
        self.lookups += 1
        return self.keys.get(secret)

    def any(self, role: Role | None = None) -> bool:
        return any(key.revoked_ns is None and role in {None, key.role} for key in self.keys.values())


def key(key_id: str, *, role: Role = "app", budget: int | None = None, spent: int = 0) -> Key:
    return Key(
        key_id=key_id,
        name=key_id,
        role=role,
        app="acme",
        hint="swk_",
        created_ns=1,
        budget_micro_usd=budget,
        spent_micro_usd=spent,
    )


def admission(*keys: Key, loopback: bool = True) -> Admission:
    return Admission(Ring(*keys), loopback=loopback, now_ns=lambda: NOW)


def test_on_loopback_without_keys_everybody_is_the_default_app() -> None:
    found = admission().admit(None)
    assert (found.role, found.app, found.key_id, found.budgeted) == ("app", "default", None, False)


def test_without_keys_nobody_is_let_in_from_elsewhere() -> None:
    with pytest.raises(Unauthenticated):
        admission(loopback=False).admit(None)


def test_one_app_key_closes_the_gateway_to_callers_without_one() -> None:
    with pytest.raises(Unauthenticated):
        admission(key("a")).admit(None)


def test_a_viewers_key_leaves_the_data_plane_open() -> None:
    assert admission(key("v", role="viewer")).admit(None).key_id is None


def test_a_key_names_its_app_and_whether_it_has_a_budget() -> None:
    gate = admission(key("a"), key("b", budget=5))
    assert gate.admit("swk_a").key_id == "a"
    assert gate.admit("swk_a").app == "acme"
    assert [gate.admit(secret).budgeted for secret in ("swk_a", "swk_b")] == [False, True]


def test_every_bad_key_gets_the_same_words() -> None:
    ended = msgspec.structs.replace(key("ended"), revoked_ns=NOW - 1)
    late = msgspec.structs.replace(key("late"), expires_ns=NOW)
    gate = admission(key("good"), ended, late, key("viewer", role="viewer"), key("admin", role="admin"))
    said = set()
    for secret in ("swk_ended", "swk_late", "swk_viewer", "swk_admin", "swk_unheard-of", "", "sk-ant-x", "swk_\udc80"):
        with pytest.raises(Unauthenticated) as refused:
            gate.admit(secret)
        said.add(str(refused.value))
    assert len(said) == 1


def test_a_change_to_the_ring_counts_at_once() -> None:
    ring = Ring(key("a"))
    gate = Admission(ring, loopback=True, now_ns=lambda: NOW)
    gate.admit("swk_a")
    ring.keys["swk_a"] = msgspec.structs.replace(ring.keys["swk_a"], revoked_ns=NOW)
    gate.changed()
    with pytest.raises(Unauthenticated):
        gate.admit("swk_a")
    assert gate.admit(None).app == "default", "the last app key is gone, so loopback is open again"


def test_a_key_expires_while_it_is_remembered() -> None:
    now = [NOW]
    gate = Admission(Ring(msgspec.structs.replace(key("a"), expires_ns=NOW + 1)), loopback=True, now_ns=lambda: now[0])
    gate.admit("swk_a")
    now[0] += 1
    with pytest.raises(Unauthenticated):
        gate.admit("swk_a")


def test_busy_keys_cost_one_lookup_and_unknown_ones_are_not_remembered() -> None:
    ring = Ring(key("a"))
    gate = Admission(ring, loopback=True, now_ns=lambda: NOW)
    for _ in range(10):
        gate.admit("swk_a")
    assert ring.lookups == 1
    for number in range(10):
        with pytest.raises(Unauthenticated):
            gate.admit(f"swk_unknown-{number}")
    assert ring.lookups == 11


def test_an_unknown_price_is_refused_under_a_budget_and_only_there() -> None:
    gate = admission(key("rich"), key("bound", budget=10**12))
    gate.reserve("x1", "swk_rich", None)
    gate.reserve("x2", None, None)
    with pytest.raises(BudgetExhausted):
        gate.reserve("x3", "swk_bound", None)
    assert gate.settle("x1", 5) is None


def test_what_was_spent_before_counts() -> None:
    gate = admission(key("a", budget=100, spent=70))
    with pytest.raises(BudgetExhausted):
        gate.reserve("x1", "swk_a", 31)
    gate.reserve("x2", "swk_a", 30)


def test_an_unknown_cost_keeps_the_whole_reservation() -> None:
    gate = admission(key("a", budget=100))
    gate.reserve("x1", "swk_a", 60)
    assert gate.settle("x1", None) == ("a", 60)
    with pytest.raises(BudgetExhausted):
        gate.reserve("x2", "swk_a", 41)


def test_a_reservation_is_settled_once() -> None:
    gate = admission(key("a", budget=100))
    gate.reserve("x1", "swk_a", 60)
    assert gate.settle("x1", 10) == ("a", 10)
    assert gate.settle("x1", 10) is None
    gate.reserve("x2", "swk_a", 90)


moves = st.lists(st.tuples(st.sampled_from(["open", "close"]), st.integers(0, 60), st.integers(0, 100)), max_size=60)


@given(moves, st.integers(0, 200))
def test_no_order_of_calls_overspends(moves: list[tuple[str, int, int]], budget: int) -> None:
    gate = admission(key("a", budget=budget))
    numbers, open_, spent = itertools.count(), {}, 0
    for move, amount, share in moves:
        if move == "open":
            exchange = f"x{next(numbers)}"
            try:
                gate.reserve(exchange, "swk_a", amount)
            except BudgetExhausted:
                continue
            open_[exchange] = amount
        elif open_:
            exchange, ceiling = open_.popitem()
            settled = gate.settle(exchange, ceiling * share // 100)
            assert settled is not None
            spent += settled[1]
        assert spent + sum(open_.values()) <= budget


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Callable[[], KeyRing]]:
    """Opens the key ring of one directory, closing it first where it is open."""
    opened: list[Store] = []

    def reopen() -> KeyRing:
        if opened:
            opened.pop().close()
        opened.append(Store.open(tmp_path / "data"))
        return opened[0].keys

    yield reopen
    for store in opened:
        store.close()


def test_settled_spend_survives_a_restart(reopened: Callable[[], KeyRing]) -> None:
    ring = reopened()
    _, secret = ring.create(name="a", role="app", app="acme", budget_micro_usd=100, now_ns=NOW)
    gate = Admission(ring, loopback=True, now_ns=lambda: NOW)
    gate.reserve("x1", secret, 80)
    settled = gate.settle("x1", 70)
    assert settled is not None
    ring.spend(*settled)
    again = Admission(reopened(), loopback=True, now_ns=lambda: NOW)
    with pytest.raises(BudgetExhausted):
        again.reserve("x2", secret, 31)
    again.reserve("x3", secret, 30)
