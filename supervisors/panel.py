"""The panel: whoever answers for guards that are asked, each made once in a worker from its spec."""

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from policies.asking import NOT_ASKED, Answer, Question
from supervisors.ports import Adapter

log = logging.getLogger("stepwarden.panel")

Maker = Callable[[Any], Adapter]
"""Makes an adapter from its spec; raises nothing and waits for nothing."""


class Panel:
    """The adapters of one worker. They outlive a change of policies, and so does what they learnt of a service."""

    def __init__(self, makers: Callable[[], Mapping[type[msgspec.Struct], Maker]]) -> None:
        """`makers` is called when the first adapter is made: what they need is loaded no earlier."""
        self._makers = cache(makers)
        self._adapters: dict[bytes, Adapter] = {}

    def expect(self, specs: Iterable[msgspec.Struct]) -> None:
        """Make what will be asked for, so that the first question does not wait for a library to load."""
        for spec in specs:
            self._adapter(spec)

    async def ask(self, question: Question) -> Answer:
        """The answer of the adapter of this spec. Raises nothing but `CancelledError`."""
        adapter = self._adapter(question.spec)
        if adapter is None:
            return Answer(failure=NOT_ASKED)
        try:
            return await adapter.ask(question.scene)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the clause's `on_error` decides
            # The message may hold what was judged.
            log.error("a guard that was asked failed", extra={"error": type(error).__name__})  # noqa: TRY400
            return Answer(failure=f"raised:{type(error).__name__}")

    def _adapter(self, spec: msgspec.Struct) -> Adapter | None:
        key = msgspec.json.encode(spec, order="sorted")
        if key not in self._adapters:
            maker = self._makers().get(type(spec))
            if maker is None:
                return None
            self._adapters[key] = maker(spec)
        return self._adapters[key]

    async def close(self) -> None:
        """Close every adapter."""
        for adapter in self._adapters.values():
            await adapter.close()
