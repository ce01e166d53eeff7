"""`own`: the plug-in interface. A class of yours judges the step, here and at once, like every guard of ours.

```python
from policies.vocabulary.findings import Hit

class NoShouting:                                    # what it promises stands in policies/guards/interface.py
    window = None                                    # the whole step is needed

    def __init__(self, *, least: int = 20) -> None:  # `args` of the clause
        self._least = least

    def examine(self, scene):                        # no I/O, no clock, nothing remembered
        text = scene.step.text
        return [Hit(score=60)] if len(text) >= self._least and text.isupper() else []
```

What may block or needs the network belongs to `external` or `validator`.
"""

import importlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta

from policies.guards.interface import BadGuard, Guard
from policies.trail import Scene, utf8
from policies.vocabulary.findings import Hit

_WIDEST: Final = 1 << 16


class OwnSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="own"):
    """A class of your own judges the step; `policies/guards/own.py` shows one."""

    guard: Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]{0,199}:[A-Za-z_]\w{0,99}$")]
    """`MODULE:CLASS`. The module is imported, so it is code you run: name only what you installed yourself."""

    args: dict[str, Any] = {}
    """Keyword arguments of the class."""


class OwnGuard:
    """Holds a class of the operator's to what every guard promises."""

    def __init__(self, spec: OwnSpec) -> None:
        """Raises `BadGuard` for a class that is not there, cannot be made, or is no guard."""
        self._guard = _made(spec)
        window: object = getattr(self._guard, "window", 0)
        if not (window is None or (isinstance(window, int) and 0 < window <= _WIDEST)):
            raise BadGuard(f"`{spec.guard}` has no `window`: None, or bytes from 1 to {_WIDEST}")
        self.window: int | None = window

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """What the class says. Raises whatever it raises, and `ValueError` for evidence that is not in the text."""
        found = msgspec.convert(msgspec.to_builtins(self._guard.examine(scene)), tuple[Hit, ...])
        size = len(utf8(scene.step.text))
        if any(not 0 <= each.start <= each.end <= size for hit in found for each in hit.evidence):
            raise ValueError("evidence is not in the text")
        return found


def _made(spec: OwnSpec) -> Guard:
    module, _, name = spec.guard.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), name, None)
    except Exception as error:
        raise BadGuard(f"`{module}` cannot be imported ({type(error).__name__})") from error
    if not callable(getattr(found, "examine", None)):
        raise BadGuard(f"`{spec.guard}` is no class with `examine`")
    try:
        return cast("Guard", found(**spec.args))
    except Exception as error:
        raise BadGuard(f"`{spec.guard}` cannot be made from `args` ({type(error).__name__})") from error
