"""Whose word a signal is: a key is one voice whatever names it gives, the owner's own people count by name."""

from gateway.optimizing.episodes import voice


def test_a_key_is_one_voice_whatever_names_it_gives() -> None:
    assert voice("key_1", "Ann") == voice("key_1", "Bob")
    assert voice("key_1", "Ann") != voice("key_2", "Ann")
    assert voice("owner", "Ann") != voice("owner", "Bob")
    assert voice("owner", "key_1") != voice("key_1", "Ann")
