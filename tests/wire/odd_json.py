"""JSON as odd writers write it: any spacing, any escapes, keys twice; with a secret planted, or a node replaced."""

import random
from collections.abc import Iterator
from typing import Any

SECRET = 'sk-Ω"\\\n😀-7'
GONE = "[redacted:test]"
STRUCTURE = ("type", "role", "execution")
SHORT = {"\n": "\\n", '"': '\\"', "\\": "\\\\", "\t": "\\t"}


def written(value: Any, rng: random.Random, *, odd: bool = True) -> str:
    space = (lambda: rng.choice(["", "", " ", "\n  ", "\t"])) if odd else (lambda: "")
    if isinstance(value, str):
        return '"' + "".join(letter(one, rng, odd=odd) for one in value) + '"'
    if isinstance(value, dict):
        inside = [
            f"{space()}{written(key, rng, odd=odd)}{space()}:{space()}{written(inner, rng, odd=odd)}{space()}"
            for key, inner in value.items()
        ]
        return "{" + ",".join(inside) + "}"
    if isinstance(value, list):
        return "[" + ",".join(space() + written(inner, rng, odd=odd) + space() for inner in value) + "]"
    return {None: "null", True: "true", False: "false"}.get(value, str(value)) if value in (None, 0, 1) else str(value)


def letter(one: str, rng: random.Random, *, odd: bool) -> str:
    if one in SHORT or ord(one) < 0x20:
        return SHORT.get(one, f"\\u{ord(one):04x}")
    if not odd or rng.random() > 0.2:
        return one
    code = ord(one)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04X}"
    return f"\\u{code:04x}"


def strings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(value, str):
        yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from strings(inner, (*path, key))


def planted(value: Any, path: tuple[Any, ...], at: int) -> Any:
    """`value` with the secret put into the string at `path`."""
    if not path:
        at %= len(value) + 1
        return value[:at] + SECRET + value[at:]
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = planted(value[path[0]], path[1:], at)
    return copy


def ranges_of(text: str, secret: str = SECRET) -> list[tuple[int, int]]:
    raw, wanted = text.encode("utf-8", "surrogatepass"), secret.encode()
    found: list[tuple[int, int]] = []
    at = raw.find(wanted)
    while at >= 0:
        found.append((at, at + len(wanted)))
        at = raw.find(wanted, at + len(wanted))
    return found


def mutated(value: Any, swap: Any, at: list[int]) -> Any:
    """`value` with the node counted by `at` replaced by `swap`."""
    at[0] -= 1
    if at[0] == 0:
        return swap
    if isinstance(value, dict):
        return {key: mutated(inner, swap, at) for key, inner in value.items()}
    return [mutated(inner, swap, at) for inner in value] if isinstance(value, list) else value
