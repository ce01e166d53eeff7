"""Joining states: what a conversation hashes to after each of its messages.

A state is 16 bytes over all messages so far, so a resent history costs one hash a message and a look-up
finds the longest part of it that was seen before. System messages are left out: clients put the date
into them, and move or drop them from turn to turn. States themselves know nothing of who asks; a
*guard* (16 bytes over scope and identity) stands before each state wherever states are looked up or
stored, so that equal conversations of two keys, providers or end users never meet.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from gateway.wire.interface import Voice
from gateway.wire.memory import Recent

SIZE = 16
NAME_LIMIT = 128
MARK_DIGITS = 8
REMEMBERED = 1024
"""Hashes of each kind kept at hand; texts longer than `NAME_LIMIT` are hashed each time, so that none is kept."""

CHAINS = 1 << 20
"""Bytes of one generation of remembered chains."""

LONG = 8
"""Messages from which hashing all anew costs more than remembering."""

AHEAD = 12
"""Messages that a request may have beyond an earlier one for that one's states to be looked for."""

_PACK = msgspec.msgpack.Encoder().encode


def _hash(*fields: bytes | str | None) -> bytes:
    """16 bytes over fields; no two lists of fields look alike, and an absent text differs from an empty one."""
    try:
        packed = _PACK(fields)
    except UnicodeEncodeError:  # lone surrogates
        packed = _PACK(
            [field.encode("utf-8", "surrogatepass") if isinstance(field, str) else field for field in fields]
        )
    return blake2b(packed, digest_size=SIZE).digest()


@lru_cache(maxsize=REMEMBERED)
def scope_of(app: str, key_id: str | None) -> bytes:
    """16 bytes for an app and a key: the walls no join passes."""
    return _hash("scope", app, key_id)


def content_guard(scope: bytes, provider: str, user_id: str | None, prompt_cache_key: str | None) -> bytes:
    """The guard of conversations that only their content tells apart."""
    if len(user_id or "") + len(prompt_cache_key or "") <= NAME_LIMIT:
        return _content(scope, provider, user_id, prompt_cache_key)
    return _hash("content", scope, provider, user_id, prompt_cache_key)


@lru_cache(maxsize=REMEMBERED)
def _content(scope: bytes, provider: str, user_id: str | None, prompt_cache_key: str | None) -> bytes:
    return _hash("content", scope, provider, user_id, prompt_cache_key)


def user_of(user_id: str | None) -> bytes:
    """16 bytes for an end user; an absent one is a user too."""
    return _NOBODY if user_id is None else _hash("user", user_id)


_NOBODY = _hash("user", None)


def role_of(lead: bytes, voices: Sequence[Voice], digests: Sequence[bytes]) -> bytes:
    """A digest of what an agent is told before it is asked: tells a sub-agent from its parent."""
    if not voices or voices[0] != "system":
        return lead
    first = 1
    while first < len(voices) and voices[first] == "system":
        first += 1
    return _role(lead, *digests[:first])


@lru_cache(maxsize=REMEMBERED)
def _role(lead: bytes, *digests: bytes) -> bytes:
    return _hash("role", lead, *digests)


def short(text: str) -> str:
    """An id of the caller's, or its hash where it is longer than any real id."""
    return text if len(text) <= NAME_LIMIT else _hash("long", text).hex()


def named_guard(scope: bytes, kind: str, text: str) -> bytes:
    """The guard of a session that carries an id of the caller's; providers and users meet in it."""
    return _hash("named", scope, kind, text)


def named_session_id(scope: bytes, kind: str, text: str) -> tuple[str, str | None]:
    """The id under which a caller's session is stored, and its name if that is fit to be shown.

    The id is the caller's text and 8 hexadecimal digits of its guard: readable, the same after a restart,
    and another one under another key. A text that is too long or holds other characters than letters,
    digits and `._:-` is replaced by its hash.
    """
    mark = named_guard(scope, kind, text).hex()
    if is_safe_name(text):
        return f"{text}.{mark[:MARK_DIGITS]}", text
    return f"x{mark}", None


def is_safe_name(text: str) -> bool:
    """Whether a caller's text can be shown, stored and typed as it is."""
    return 0 < len(text) <= NAME_LIMIT and text.isascii() and text.translate(_NO_PUNCTUATION).isalnum()


_NO_PUNCTUATION = {ord(mark): "a" for mark in "._:-"}


def mark_of(guard: bytes, state: bytes) -> bytes:
    """The form in which a state is stored: 16 bytes that only the same guard finds again."""
    return blake2b(guard + state, digest_size=SIZE).digest()


def prefix_states(seed: bytes, voices: Sequence[Voice], digests: Sequence[bytes]) -> list[bytes]:
    """The states after 0, 1, ... all messages. `seed` is what came before (nothing, or an earlier mark)."""
    running = blake2b(seed, digest_size=SIZE)
    states = [running.digest()]
    _extend(running, states, voices, digests)
    return states


def _extend(running: blake2b, states: list[bytes], voices: Sequence[Voice], digests: Sequence[bytes]) -> None:
    """Hash on over these messages."""
    state = states[-1]
    for voice, message in zip(voices, digests, strict=True):
        if voice != "system":
            running.update(message)
            state = running.digest()
        states.append(state)


class _Chain(NamedTuple):
    """The states of one history, and the hash that goes on from them."""

    seed: bytes
    voices: tuple[Voice, ...]
    digests: tuple[bytes, ...]
    states: list[bytes]
    running: blake2b

    def extended(self, voices: tuple[Voice, ...], digests: tuple[bytes, ...]) -> "_Chain":
        """The chain of these messages, of which the first are its own."""
        running, known = self.running.copy(), len(self.voices)
        states = self.states.copy() or [running.digest()]
        _extend(running, states, voices[known:], digests[known:])
        return _Chain(self.seed, voices, digests, states, running)

    def begins(self, seed: bytes, voices: tuple[Voice, ...], digests: tuple[bytes, ...]) -> bool:
        """Whether these messages begin with its own."""
        size = len(self.voices)
        return self.digests == digests[:size] and self.voices == voices[:size] and self.seed == seed


class Chains:
    """`prefix_states` that remembers chains, so that only what follows a resent history is hashed."""

    def __init__(self) -> None:
        self._known: Recent[tuple[int, bytes], _Chain] = Recent(CHAINS)

    def states(self, seed: bytes, voices: tuple[Voice, ...], digests: tuple[bytes, ...]) -> list[bytes]:
        """The states after 0, 1, ... all messages; not to be changed."""
        size = len(digests)
        if size < LONG:
            return prefix_states(seed, voices, digests)
        for count in range(size, max(size - AHEAD, 0), -1):
            key = (count, digests[count - 1])
            chain = self._known.get(key)
            if chain is not None and chain.begins(seed, voices, digests):
                if count == size:
                    return chain.states
                self._known.drop(key, _size(count))
                break
        else:
            chain = _Chain(seed, (), (), [], blake2b(seed, digest_size=SIZE))
        chain = chain.extended(voices, digests)
        self._known.put((size, digests[-1]), chain, _size(size))
        return chain.states


def _size(count: int) -> int:
    """Bytes that a chain of so many messages holds, about."""
    return 700 + 80 * count
