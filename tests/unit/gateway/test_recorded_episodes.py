"""Whose word a signal is: a key is one voice whatever names it gives, the owner's own people count by name."""

from gateway.optimizing.episodes import _disagreements, _Session, voice  # pyright: ignore[reportPrivateUsage]
from policies.vocabulary.critiques import Critique, Opinion
from policies.vocabulary.episodes import Episode
from policies.vocabulary.monitoring import Filed
from policies.vocabulary.steps import Part


def test_a_key_is_one_voice_whatever_names_it_gives() -> None:
    assert voice("key_1", "Ann") == voice("key_1", "Bob")
    assert voice("key_1", "Ann") != voice("key_2", "Ann")
    assert voice("owner", "Ann") != voice("owner", "Bob")
    assert voice("owner", "key_1") != voice("key_1", "Ann")


def session(verdict: str) -> _Session:
    part = Part(kind="tool_call", tool="pay", text="{}")
    episode = Episode(episode_id="s", app="a", group="s", principal="key_1", at_ns=1, steps=(part,))
    return _Session(episode, {"x.0": part}, (), {"x.0": verdict}, ())


def critique(label: str, seat: str = "monitor") -> Filed:
    score = 90 if label == "violation" else 5
    opinion = Opinion(clause="p/rule", label=label, score=score, first_bad_step="x.0")  # type: ignore[arg-type]
    made = Critique(
        critique_id="c",
        ruleset="r",
        calls=(),
        app="a",
        session_id="s",
        seat=seat,  # type: ignore[arg-type]
        steps=("x.0",),
        opinions=(opinion,),
        at_ns=7,
    )
    return Filed(critique=made)


def said(verdict: str, *critiques: Filed) -> list[tuple[str, str, str | None]]:
    found = _disagreements(session(verdict), critiques)
    return [(signal.kind, signal.says, signal.clause) for signal in found]


def test_where_guards_and_a_supervisor_differ_the_other_side_is_a_weak_signal() -> None:
    assert said("allow", critique("violation")) == [("disagreement", "violation", "p/rule")]
    assert said("reject", critique("ok")) == [("disagreement", "ok", "p/rule")]
    assert said("allow", critique("ok")) == said("reject", critique("violation")) == said("allow") == []
    assert said("allow", critique("unsure")) == []


def test_where_the_two_seats_differ_it_is_one_signal_against_what_was_in_force() -> None:
    both = (critique("ok", "gate"), critique("violation", "monitor"))
    assert said("allow", *both) == [("disagreement", "violation", "p/rule")]
    assert said("reject", *both) == [("disagreement", "ok", "p/rule")]


def test_what_the_gate_judged_before_it_had_an_id_is_the_one_call_of_its_exchange() -> None:
    held = session("allow")
    assert held.named("x.") == held.named("x.0")
    assert held.named("y.") is None
