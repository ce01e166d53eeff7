"""Readings that differ between parsers: a body that a guard and a provider may not read alike.

RFC 8259 leaves open what duplicate names, lone surrogates and numbers beyond JSON mean; parsers disagree, and what
they disagree on passes a guard under one reading and acts under the other.
"""

import json
import re
from typing import Any, Final

from gateway.wire.values import mapping, sequence

_LONE: Final = re.compile(r"[\ud800-\udfff]")
_NAMED: Final = re.compile(rb'"[ \t\r\n]*:')
_MENTIONED: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class _Ambiguous(Exception):
    """Found; the message says what."""


def ambiguity(body: bytes) -> str | None:
    """What in this JSON document other parsers may read otherwise; None where all read it alike, or it is no JSON."""
    try:
        value = json.loads(body, object_pairs_hook=_unique, parse_constant=_constant)
    except _Ambiguous as found:
        return str(found)
    except (ValueError, RecursionError):
        return None
    if _MENTIONED.search(body) and _holds_lone(value):
        return "a lone surrogate"
    return None


def repetition(data: bytes, value: Any) -> str | None:
    """A name that stands twice in one object of an answer; None where none does, or it is no JSON.

    `value` is what was read in it: with as many names as there are colons behind quotes, none was given twice. What
    else parsers disagree on is as clients forgive it: a model that streams a character in halves sends halves.
    """
    if len(_NAMED.findall(data)) == _names(value):
        return None
    try:
        json.loads(data, object_pairs_hook=_unique)
    except _Ambiguous as found:
        return str(found)
    except UnicodeDecodeError:
        return repetition(data.decode("utf-8", "replace").encode(), value)
    except (ValueError, RecursionError):
        return None
    return None


def _names(value: Any) -> int:
    """How many names the objects of a value have."""
    count, rest = 0, [value]
    while rest:
        here = rest.pop()
        fields = mapping(here)
        count += len(fields)
        rest += fields.values()
        rest += sequence(here)
    return count


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Ambiguous("a name that stands twice in one object")
    return found


def _constant(name: str) -> Any:
    raise _Ambiguous(f"the number {name}")


def _holds_lone(value: Any) -> bool:
    rest = [value]
    while rest:
        here = rest.pop()
        if isinstance(here, str):
            if _LONE.search(here):
                return True
        elif isinstance(here, dict):
            rest += [*here, *here.values()]
        elif isinstance(here, list):
            rest += here
    return False
