"""Adding up what two replies were billed, in the wire's own words."""

from typing import Any

from gateway.wire.values import mapping


def added(first: Any, second: Any) -> Any:
    """Counts of the same shape added up; whatever is no count is taken from the second, else from the first."""
    if type(first) is dict or type(second) is dict:
        one, other = mapping(first), mapping(second)
        return {key: added(one.get(key), other.get(key)) for key in (*one, *(key for key in other if key not in one))}
    if _is_count(first) and _is_count(second):
        return first + second
    return first if second is None else second


def _is_count(value: Any) -> bool:
    return type(value) is int or type(value) is float
