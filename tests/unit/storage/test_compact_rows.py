"""What makes rows small and writing cheap changes nothing that comes back."""

import hashlib
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.absent import Absent
from storage.errors import AmbiguousPrefix
from storage.store import Store
from storage.ulids import pack, span_of, unpack
from tests.unit.storage.stored import compact, prose, recording, request_body

ulids = st.from_regex(r"\A[0-7][0-9A-HJKMNP-TV-Z]{25}\Z")


def packed(text: str) -> bytes:
    stored = pack(text)
    assert isinstance(stored, bytes)
    return stored


@given(st.one_of(ulids, st.text(max_size=30)))
def test_every_id_comes_back_from_its_packed_form(text: str) -> None:
    assert unpack(pack(text)) == text


@given(st.lists(ulids, max_size=8), st.integers(0, 26))
def test_packed_ids_sort_as_their_text_and_lie_between_the_ends_of_their_beginnings(ids: list[str], at: int) -> None:
    assert sorted(ids) == [unpack(one) for one in sorted(map(packed, ids))]
    for text in ids:
        span = span_of(text[: at or 1])
        assert span is not None
        low, high = span
        assert isinstance(low, bytes)
        assert isinstance(high, bytes)
        assert low <= packed(text) <= high


@given(st.sets(st.binary(min_size=16, max_size=16)), st.sets(st.binary(min_size=16, max_size=16)))
def test_what_is_there_is_never_proved_absent(there: set[bytes], later: set[bytes]) -> None:
    absent = Absent(there)
    for name in later:
        absent.claim(name)
    assert not any(map(absent.claim, there | later))
    assert not any(map(Absent(None).claim, later))


def test_ids_of_any_kind_are_found_by_their_beginning(store: Store) -> None:
    store.append([recording(1), recording(2, exchange_id="odd-1"), recording(3, exchange_id="odd-22")])
    for exchange_id in ("odd-1", "odd-22", recording(1).exchange.exchange_id):
        found = store.exchange(exchange_id)
        assert found is not None
        assert found.exchange_id == exchange_id
    found = store.exchange("odd-2")
    assert found is not None
    assert found.exchange_id == "odd-22"
    with pytest.raises(AmbiguousPrefix):
        store.exchange("odd-")


@pytest.mark.parametrize("batch", [1, 5])
def test_a_history_that_grows_shrinks_forks_or_changes_comes_back_with_its_digest(folder: Path, batch: int) -> None:
    rng = random.Random(5)
    lead, late = [("system", prose(rng, 900))], f',"tools":{compact(prose(rng, 700)).decode()}'
    messages = [compact({"role": "user", "content": prose(rng, 600)}) for _ in range(14)]
    changed = [*messages[:6], compact({"role": "user", "content": "edited"}), *messages[7:]]
    histories: list[Any] = [messages[:8], messages[:10], messages[:10], messages[:3], changed[:9], changed, messages]
    made = [
        recording(number, request=request_body(lead, history, tail=late if number % 2 else ""))
        for number, history in enumerate(histories)
    ]
    store = Store.open(folder)
    for start in range(0, len(made), batch):
        store.append(made[start : start + batch])
    for one in made:
        found = store.body(one.exchange.exchange_id, "request")
        assert found is not None
        assert (found.raw, found.sha256) == (one.request.raw, hashlib.sha256(one.request.raw or b"").digest())
        for index, (start, end, _) in enumerate(one.request.cuts):
            assert store.cut(one.exchange.exchange_id, index) == (one.request.raw or b"")[start:end]
    assert store.stats().kept_whole == 0
    store.close()


def test_facts_shared_by_exchanges_outlive_a_failed_batch_and_a_reopening(folder: Path, store: Store) -> None:
    store.append([recording(1)])
    store.append([recording(1), recording(2, app="other", temperature=0.5)])
    store.close()
    store = Store.open(folder)
    store.append([recording(3, app="other", temperature=0.5), recording(4, session="S2")])
    for one in (recording(1), recording(2, app="other", temperature=0.5), recording(4, session="S2")):
        assert store.exchange(one.exchange.exchange_id) == one.exchange
        assert store.exchange_steps(one.exchange.exchange_id) == list(one.steps)
    store.close()
