"""One key that floods labels: it decides no more sessions in a day than anybody else, and crowds nobody out."""

import time
from pathlib import Path

from gateway.api.reading import Reader
from gateway.contents import Reach
from gateway.optimizing.episodes import RecordedEpisodes
from gateway.wire.dialects import dialects
from policies.vocabulary.labels import LabelGiven
from storage.store import Store
from tests.contract.api_store import recorded

DAY_NS = 24 * 3600 * 1_000_000_000
NOON_NS = time.time_ns() // DAY_NS * DAY_NS + DAY_NS // 2


def given(store: Store, session: str, step: str, actor: str, at_ns: int) -> None:
    label = LabelGiven(
        app="default", session_id=session, step_id=step, label="violation", by="x", clause=None,
        actor=actor, at_ns=at_ns,
    )  # fmt: skip
    store.labels.record(label)


def test_over_all_sessions_together_a_key_has_so_many_words_a_day(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    recordings = [recorded() for _ in range(8)]
    store.append(recordings)
    for at, each in enumerate(recordings):
        step = next(step for step in each.steps if step.kind == "tool_call")
        join = each.exchange.join
        assert join is not None
        given(store, join.session_id, step.step_id, "key_mallory", NOON_NS + at)
        if at < 2:
            given(store, join.session_id, step.step_id, "key_anna", NOON_NS - at)
    reader = Reader(store, dialects().by_name(), Reach())
    episodes = RecordedEpisodes(store, reader, labels=store.labels, holds=store.holds, critiques=store.critiques)
    found = episodes.of("default", lambda: None, {}, most=3)
    voices = [each.voices for each in found]
    assert len(found) == 5, "three of hers, and two of whoever said little"
    assert voices.count(("key_mallory",)) == 3
    assert voices.count(("key_anna",)) == 2
    assert len(episodes.of("default", lambda: None, {}, most=8)) == 8
    store.close()


def test_whoever_labels_very_much_keeps_nobody_else_from_being_read(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    given(store, "s", "e.1", "key_anna", NOON_NS)
    columns = "step_id, session_id, app, label, by, actor, at_ns"
    query = f"INSERT INTO label ({columns}) VALUES (?, 's', 'default', 'ok', 'x', 'key_mallory', ?)"
    work = [(query, (f"e.{at}", NOON_NS + at)) for at in range(3000)]
    store.ledger.write(work, entries=())
    heard = store.labels.heard("default", limit=2000)
    assert [each.actor for each in heard].count("key_anna") == 1
    assert len(heard) == 1001
    assert heard[0].step_id == "e.2999", "the newest first"
    store.close()
