"""What was remembered of earlier requests changes what reading costs, never what is read."""

import json
import random
from typing import Any

import pytest

from gateway.stations.states import Chains, prefix_states
from gateway.wire.dialects import Dialects
from gateway.wire.interface import Dialect, RequestView

KEYS = {"anthropic": "messages", "chat": "messages", "responses": "input"}


def body_of(name: str, messages: list[Any], rng: random.Random) -> bytes:
    """A body in one of the ways clients write them: key order, spacing, tools or none, the key twice."""
    fields: dict[str, Any] = {"model": "m", KEYS[name]: messages, "temperature": rng.choice([0, 0.25])}
    if rng.random() < 0.7:
        fields["tools"] = [{"name": "read", "type": "function"}]
    items = list(fields.items())
    rng.shuffle(items)
    separators = rng.choice([(",", ":"), (", ", ": "), (" ,\n", ":\t")])
    body = json.dumps(dict(items), separators=separators).encode()
    if rng.random() < 0.2:
        other = json.dumps([*messages[:-1], {"role": "user", "content": "forged"}], separators=(",", ":")).encode()
        body = b'{"%s":%s,%s' % (KEYS[name].encode(), other, body[1:])
    return body


def message(rng: random.Random) -> dict[str, Any]:
    said = "".join(rng.choices("ab \u20ac", k=rng.randrange(1, 4)))
    return {"role": rng.choice(["user", "assistant", "system"]), "content": said}


def everything(dialect: Dialect, body: bytes) -> tuple[RequestView, list[Any]]:
    view = dialect.read_request(body, "chat")
    pieces = range(len(view.messages) + len(view.lead_cuts))
    return view, [dialect.parts(body, view, cut) for cut in pieces]


def facts(view: RequestView) -> tuple[Any, ...]:
    return view.messages, view.lead, view.lead_cuts, view.cuts


@pytest.mark.parametrize("name", KEYS)
def test_a_reader_that_has_seen_much_reads_as_one_that_has_seen_nothing(name: str) -> None:
    rng = random.Random(name)
    warm: Dialect = getattr(Dialects(), name)
    for _ in range(25):
        messages = [message(rng) for _ in range(rng.choice([1, 9]))]
        for _ in range(8):
            body = body_of(name, messages, rng)
            (seen, seen_parts), (fresh, fresh_parts) = (
                everything(warm, body), everything(getattr(Dialects(), name), body)
            )  # fmt: skip
            assert facts(seen) == facts(fresh)
            assert seen_parts == fresh_parts
            change = rng.random()
            if change < 0.7:
                messages = [*messages, *(message(rng) for _ in range(rng.randrange(1, 3)))]
            elif change < 0.85:
                messages = messages[: rng.randrange(1, len(messages) + 1)]
            else:
                at = rng.randrange(len(messages))
                messages = [*messages[:at], message(rng), *messages[at + 1 :]]


def test_a_history_is_not_taken_from_a_second_array_of_the_same_name() -> None:
    warm = Dialects().chat
    known = b",".join([b'{"role":"user","content":"known"},{"role":"assistant","content":"yes"}'] * 6)
    sent = b",".join([b'{"role":"user","content":"other"},{"role":"assistant","content":"yes"}'] * 6)
    warm.read_request(b'{"messages":[%s]}' % known, "chat")
    last = b'{"role":"user","content":"go on"}'
    twice = b'{"messages":[%s,%s],"messages":[%s,%s]}' % (known, last, sent, last)
    once = b'{"messages":[%s,%s]}' % (sent, last)
    digests = [found.digest for found in warm.read_request(twice, "chat").messages]
    assert digests == [found.digest for found in Dialects().chat.read_request(once, "chat").messages]


def test_remembered_states_are_those_hashed_anew() -> None:
    rng, chains = random.Random(5), Chains()
    pool = [rng.randbytes(16) for _ in range(3)]
    for _ in range(400):
        size = rng.randrange(0, 20)
        voices = tuple(rng.choices(("user", "assistant", "system"), k=size))
        digests = tuple(rng.choices(pool, k=size))
        for count in sorted({0, size // 2, size}):
            seed = rng.choice([b"", b"seed"])
            expected = prefix_states(seed, voices[:count], digests[:count])  # type: ignore[arg-type]
            assert chains.states(seed, voices[:count], digests[:count]) == expected  # type: ignore[arg-type]
