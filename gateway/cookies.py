"""Cookies: the one that says a browser is signed in. It opens the control plane and goes nowhere else."""

from collections.abc import Iterable
from typing import Final

SECURE: Final = "__Host-stepwarden"
"""Where the page was asked for by any name but loopback's: browsers take it over TLS alone, for this host alone."""

PLAIN: Final = "stepwarden"
"""On loopback, where there is no TLS."""

_OURS: Final = frozenset({SECURE.encode(), PLAIN.encode()})


def token(headers: Iterable[tuple[bytes, bytes]], *, secure: bool) -> str | None:
    """What the browser was given when it signed in; None where there is none, or more than one."""
    wanted = (SECURE if secure else PLAIN).encode()
    found = [value for name, value in _pairs(headers) if name == wanted]
    return found[0].decode("latin-1") if len(found) == 1 else None


def given(value: str, *, secure: bool, seconds: int) -> str:
    """The header `set-cookie` that hands a token out; with 0 seconds, the one that takes it back."""
    name = SECURE if secure else PLAIN
    rest = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{rest}"


def withheld(value: bytes) -> bytes | None:
    """A `cookie` header's value without ours, byte for byte where there is none of them; None where nothing is left."""
    pieces = value.split(b";")
    kept = [piece for piece in pieces if piece.partition(b"=")[0].strip() not in _OURS]
    if len(kept) == len(pieces):
        return value
    return b";".join(kept).strip() or None


def _pairs(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"cookie":
            for piece in value.split(b";"):
                key, _, held = piece.strip().partition(b"=")
                yield key, held
