"""What sessions run under: what they began under, until that is taken back or they are too old."""

from collections.abc import Iterator

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.sticky import REMEMBERED, Arm, Line, Sticky
from policies.gate.canary import arm_of
from policies.vocabulary.sessions import Join
from storage.rows import RecordedRow, SessionRow

HOUR_NS = 3600 * 1_000_000_000
FILES = Line()


def join(session_id: str, *, opens: bool = False) -> Join:
    return Join(
        session_id=session_id, branch_id="b", evidence="none", relation="opens" if opens else "continues", derived=True,
        trace_id=bytes(16), branch_span_id=bytes(8),
    )  # fmt: skip


class Record:
    """What is recorded: under which revision each session ran last, and when it began."""

    def __init__(self) -> None:
        self.ran: dict[str, tuple[str | None, int]] = {}
        self.asked = 0

    def find_named(self, session_id: str) -> SessionRow | None:
        self.asked += 1
        if session_id not in self.ran:
            return None
        return SessionRow(
            session_id=session_id, app="default", key_id=None, name=None, derived=True, agent=None, client=None,
            models=(), started_ns=self.ran[session_id][1], last_ns=0, exchanges=1, steps=1, branches=1,
            input_tokens=None, output_tokens=None, cost_micro_usd=None, unpriced=0, terminated_ns=None, verdict=None,
            shadow=None,
        )  # fmt: skip

    def backwards(self, session_id: str, after: int) -> Iterator[RecordedRow]:
        del after
        revision = self.ran[session_id][0]
        judged = msgspec.convert({"ruleset": "r", "revision": revision}, dict)
        from policies.vocabulary.judgements import Judged  # noqa: PLC0415

        yield RecordedRow(number=1, exchange=None, steps=(), judged=Judged(**judged))  # type: ignore[arg-type]


class House:
    def __init__(self) -> None:
        self.now_ns = 0
        self.record = Record()
        self.sticky = self.restarted()

    def restarted(self) -> Sticky:
        self.sticky = Sticky(self.record, lasts_ns=24 * HOUR_NS, now_ns=lambda: self.now_ns)
        return self.sticky

    def runs(self, session_id: str, line: Line, *, opens: bool = False) -> str:
        return self.sticky.of(join(session_id, opens=opens), line)


def test_a_session_goes_on_under_what_it_began_under_over_restarts_too() -> None:
    house = House()
    assert house.runs("old", FILES, opens=True) == ""
    flipped = Line(now="new", kept=frozenset(["", "new"]))
    assert [house.runs("old", flipped), house.runs("young", flipped, opens=True)] == ["", "new"]
    house.record.ran = {"old": ("", 0), "young": ("new", 0), "older release": (None, 0)}
    house.restarted()
    assert [house.runs("old", flipped), house.runs("young", flipped)] == ["", "new"]
    assert house.runs("older release", flipped) == "new"


def test_what_is_taken_back_ends_at_once_and_nobody_is_drawn_in_mid_course() -> None:
    house = House()
    arm = Arm(proposal="p", share=0.5, revision="candidate")
    canary = Line(now="now", kept=frozenset(["now", "candidate"]), arm=arm)
    mine = next(f"s{at}" for at in range(99) if arm_of(f"s{at}", "p", 0.5) == "candidate")
    assert house.runs(mine, canary, opens=True) == "candidate"
    assert house.runs(mine, Line(now="now", kept=frozenset(["now"]))) == "now"
    gone = House()
    assert gone.runs(mine, Line(now="gone", kept=frozenset(["gone"])), opens=True) == "gone"
    assert gone.runs(mine, canary) == "now"


def test_after_a_day_a_session_follows_what_is_in_force() -> None:
    house = House()
    assert house.runs("long", FILES, opens=True) == ""
    flipped = Line(now="new", kept=frozenset(["", "new"]))
    house.now_ns = 23 * HOUR_NS
    assert house.runs("long", flipped) == ""
    house.now_ns = 25 * HOUR_NS
    assert house.runs("long", flipped) == "new"


def test_where_every_session_runs_under_the_same_the_record_is_not_asked() -> None:
    house = House()
    for at in range(REMEMBERED + 10):
        house.runs(f"s{at}", FILES)
    assert house.record.asked == 0


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=20), st.data())
def test_no_session_ever_changes_while_what_it_runs_under_is_kept(flips: list[str], data: st.DataObject) -> None:
    house = House()
    began: dict[str, str] = {}
    for now in flips:
        line = Line(now=now, kept=frozenset(["a", "b", "c"]))
        session = data.draw(st.sampled_from(["x", "y", "z"]))
        found = house.runs(session, line, opens=session not in began)
        assert found == began.setdefault(session, now)
        house.record.ran[session] = (found, 0)
        if data.draw(st.booleans()):
            house.restarted()
