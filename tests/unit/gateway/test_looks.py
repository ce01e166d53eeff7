"""Looks: whose sessions are looked at for what a change of an app does, and when."""

import time
from pathlib import Path

from gateway.config import Config
from gateway.optimizing.episodes import recorded_episodes
from gateway.optimizing.live import keys_of
from gateway.optimizing.looks import Looks
from storage.store import Store
from tests.contract.api_store import recorded

CONFIG = Config.load(None, environ={"STEPWARDEN_APP__SHOP__ENFORCE": "true"}, overrides={})
HOUR_NS = 3600 * 1_000_000_000


def test_apps_that_nobody_configured_are_watched_with_default_and_no_other_is(tmp_path: Path) -> None:
    """They run under whatever `default` has in force: unwatched, what harms them would stay."""
    store = Store.open(tmp_path / "data")
    store.append([recorded(app=app) for app in ("default", "shop", "stray", "other-stray")])
    looks = Looks(store, recorded_episodes(store, CONFIG), settle_ns=0, configured=CONFIG.apps)
    later = time.time_ns() + HOUR_NS
    assert set(CONFIG.apps) == {"default", "shop"}
    assert [row.app for _, row in looks.due("default", 0, now_ns=later, most=9)] == ["default", "stray", "other-stray"]
    assert [row.app for _, row in looks.due("shop", 0, now_ns=later, most=9)] == ["shop"]
    assert (looks.last_due("default", now_ns=later), looks.last_due("shop", now_ns=later)) == (4, 2)
    assert looks.due("default", 4, now_ns=later, most=9) == []
    store.close()


def test_a_session_that_is_too_young_stops_those_behind_it(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "data")
    store.append([recorded() for _ in range(3)])
    looks = Looks(store, recorded_episodes(store, CONFIG), settle_ns=HOUR_NS, configured=CONFIG.apps)
    assert looks.due("default", 0, now_ns=time.time_ns(), most=9) == []
    assert len(looks.due("default", 0, now_ns=time.time_ns() + 2 * HOUR_NS, most=2)) == 2
    store.close()


def test_as_many_voices_are_asked_for_as_there_are_keys_that_may_call(tmp_path: Path) -> None:
    """Whoever cannot call cannot complain: waiting for such a key would keep in force what harms all others."""
    store, now_ns = Store.open(tmp_path / "data"), time.time_ns()
    for app in ("default", "stray", "shop", "default"):
        store.keys.create(name="n", role="app", app=app, now_ns=now_ns)
    store.keys.create(name="n", role="viewer", app="default", now_ns=now_ns)
    store.keys.create(name="n", role="app", app="default", now_ns=now_ns - HOUR_NS, expires_ns=now_ns - 1)
    gone, _ = store.keys.create(name="n", role="app", app="default", now_ns=now_ns)
    store.keys.revoke(gone.key_id, now_ns)
    assert [keys_of(store, CONFIG, app) for app in ("default", "shop")] == [3, 1]
    store.close()
