"""Reported spans: kept once and durably, found by what ties them to a session, gone with it, kept with it."""

import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest

from policies.vocabulary.erasures import Order
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.reports import Report, ReportedSpan
from storage.eraser import NothingToErase
from storage.legal_holds import HoldChange
from storage.store import Store
from tests.unit.storage.stored import START_NS, recording

DAY_NS = 86_400_000_000_000
CASE = HoldChange(app="shop", by="counsel", reason="case 12", actor="owner")


def in_session(number: int, session: str, at_ns: int = START_NS, **join: Any) -> Recording:
    made = recording(number, session=session, at_ns=at_ns)
    assert made.exchange.join is not None
    changed = msgspec.structs.replace(made.exchange.join, trace_id=secrets.token_bytes(16), **join)
    return msgspec.structs.replace(made, exchange=msgspec.structs.replace(made.exchange, join=changed))


def trace_of(made: Recording) -> bytes:
    assert made.exchange.join is not None
    return made.exchange.join.trace_id


def told(name: str, trace: bytes | None = None, at_ns: int = START_NS, **facts: Any) -> ReportedSpan:
    return ReportedSpan(
        trace_id=trace or secrets.token_bytes(16),
        span_id=facts.pop("span_id", None) or secrets.token_bytes(8),
        name=name,
        kind="internal",
        started_ns=at_ns,
        ended_ns=at_ns + 1,
        detail=msgspec.json.encode({"attributes": {"said": f"{name} in detail " * 20}}),
        **facts,
    )


def report(made: Recording, *spans: ReportedSpan, app: str | None = None) -> Report:
    return Report(app=app or made.exchange.app, received_ns=START_NS, weight=1, spans=spans)


def names(store: Store, session: str) -> list[str]:
    return [span.name for span in store.reported(session, 100)]


def holding(folder: Path, needle: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and needle.encode() in path.read_bytes()]


def order(scope: str) -> Order:
    return Order(scope=scope, basis="GDPR Art. 17", by="the officer", actor="owner")


def test_a_span_is_found_by_trace_or_conversation_within_its_app(store: Store) -> None:
    made = in_session(1, "one", name="the-name")
    store.append([made])
    elsewhere = secrets.token_bytes(16)
    store.reports.add(
        [
            report(made, told("by trace", trace_of(made)), told("alien")),
            report(made, told("by its name", elsewhere, conversation="the-name"), told("below it", elsewhere)),
            report(made, told("another's", elsewhere, conversation="another")),
            report(made, told("of another app", trace_of(made), conversation="the-name"), app="another app"),
        ]
    )
    assert sorted(names(store, "one")) == ["below it", "by its name", "by trace"]
    assert names(store, "unknown") == []
    assert len(store.reported("one", 2)) == 2


def test_what_comes_again_changes_nothing_and_a_detail_is_sealed(store: Store, folder: Path) -> None:
    made, span_id = in_session(1, "one"), secrets.token_bytes(8)
    store.append([made])
    first = told("first", trace_of(made), span_id=span_id)
    store.reports.add([report(made, first)])
    store.reports.add([report(made, told("second", trace_of(made), span_id=span_id))])
    assert store.reported("one", 10) == [first]
    assert store.reported("one", 10, in_full=False) == [msgspec.structs.replace(first, detail=None)]
    assert holding(folder, "in detail") == []


def test_digests_keep_no_detail(folder: Path) -> None:
    store = Store.open(folder, content="digest")
    made = in_session(1, "one")
    store.append([made])
    store.reports.add([report(made, told("kept", trace_of(made), model="m"))])
    (found,) = store.reported("one", 10)
    assert (found.name, found.model, found.detail) == ("kept", "m", None)
    store.close()


@pytest.mark.parametrize("scope", ["session:gone", "app"])
def test_erasing_takes_reported_spans_along(store: Store, folder: Path, scope: str) -> None:
    gone, stays = in_session(1, "gone"), in_session(2, "stays")
    app = gone.exchange.app
    if scope == "app":
        exchange = msgspec.structs.replace(stays.exchange, app="another")
        stays, scope = msgspec.structs.replace(stays, exchange=exchange), f"app:{app}"
    store.append([gone, stays])
    early = told("heliotrope", trace_of(gone), START_NS - DAY_NS // 2)
    store.reports.add(
        [report(gone, told("heliotrope", trace_of(gone)), early), report(stays, told("s", trace_of(stays)))]
    )
    assert holding(folder, "heliotrope") != []
    store.erase(order(scope), 1)
    assert holding(folder, "heliotrope") == []
    assert names(store, "stays") == ["s"]


def test_an_app_that_only_reported_can_be_erased(store: Store, folder: Path) -> None:
    store.reports.add([report(recording(1), told("heliotrope"), app="only reports")])
    store.erase(order("app:only reports"), 1)
    assert holding(folder, "heliotrope") == []
    with pytest.raises(NothingToErase):
        store.erase(order("app:only reports"), 2)


def test_retention_drops_whole_days_and_a_hold_keeps_its_own_spans(folder: Path) -> None:
    store = Store.open(folder, retention_days=10)
    kept = in_session(1, "kept")
    store.append([kept])
    store.reports.add([report(kept, told("kept", trace_of(kept)), told("heliotrope"))])
    store.reports.add([report(kept, told("alone", at_ns=START_NS + DAY_NS))])
    store.legal_holds.set("kept", CASE, 1)
    now = START_NS + 60 * DAY_NS
    assert store.drop_expired(now) == ["reported-20251123.db", "reported-20251124.db"]
    assert store.drop_expired(now) == []
    assert holding(folder, "heliotrope") == []
    (found,) = store.reported("kept", 10)
    assert (found.name, found.detail is not None) == ("kept", True)
    store.legal_holds.release("kept", CASE, 2)
    assert store.drop_expired(now) == ["spans-20251123.db", "content-202511.db", "reported-20251123.db"]
    assert list(folder.glob("reported-*")) == []
    store.close()


def test_sessions_of_very_many_traces_are_asked_about_in_pieces(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.reports._TRACES", 2)
    made = [in_session(number, "one", at_ns=START_NS + number) for number in range(5)]
    store.append(made)
    store.reports.add([report(each, told("of it", trace_of(each))) for each in made])
    assert names(store, "one") == ["of it"] * 5
