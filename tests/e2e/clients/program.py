"""What every Python client program shares: play scenes, print what the client got as one JSON document.

Runs in environments that have nothing of Stepwarden. A scene's name stands in its first user message, so that
the scripted provider knows which answers to give.
"""

import contextlib
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

WEATHER_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
    "required": ["city"],
}
PAYLOAD = bytes(range(256)) * 64 + b"\r\n--boundary\r\n\x00\xff"
"""A file that a proxy with a mind for text would spoil."""


def ask(scene: str) -> str:
    """The first user message of a scene; odd characters on purpose."""
    return f"scene:{scene} What's the weather in Zürich — and in 東京? \U0001f326"


def weather(city: str) -> str:
    """What the tool answers."""
    return f"{city}: 21 °C, light rain"


CASES = ("answered", "resampled", "refused", "onward", "insisting", "asked")
"""What a provider and a policy do to a client that is not to run a tool; see `tests/e2e/forbidden.py`."""


def forbidden_scenes(
    client: str,
    run: Callable[..., Any],
    *,
    wires: Sequence[str] = ("anthropic", "chat", "responses"),
    lanes: Sequence[str] = ("json", "stream"),
) -> list[Callable[[], Any]]:
    """The scenes CLIENT_WIRE_LANE_CASE of a client: `run(wire, told, streamed=...)` for each."""

    def scene(wire: str, lane: str, case: str) -> Callable[[], Any]:
        name = f"{client}_{wire}_{lane}_{case}"

        def played() -> Any:
            told = f"scene:{name} Do the deed{', bluebird' if case == 'asked' else ''}."
            return run(wire, told, streamed=lane == "stream")

        played.__name__ = name
        return played

    return [scene(wire, lane, case) for wire in wires for lane in lanes for case in CASES]


def play(scenes: Sequence[Callable[[], Any]]) -> None:
    """Play the scenes named in argv[1:], or all; print {scene: outcome}.

    Where to find the providers stands in ANTHROPIC_BASE_URL and OPENAI_BASE_URL, as for any program.
    """
    wanted = sys.argv[1:]
    with contextlib.redirect_stdout(sys.stderr):  # some clients print
        outcomes = {scene.__name__: _outcome(scene) for scene in scenes if not wanted or scene.__name__ in wanted}
    json.dump(outcomes, sys.stdout, ensure_ascii=True, indent=1)


def _outcome(scene: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"returned": plain(scene())}
    except Exception as error:  # noqa: BLE001 - whatever a client raises is its outcome
        traceback.print_exc()
        status = getattr(error, "status_code", None)
        return {"raised": type(error).__name__, "status": status, "text": str(error)}


def plain(value: Any) -> Any:
    """The value as JSON has it; objects of pydantic dumped whole, bytes in hex."""
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json", warnings=False))
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return repr(value)
