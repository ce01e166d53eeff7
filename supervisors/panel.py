"""The panel: whoever answers for guards that are asked, each made once in a worker from its spec."""

import logging
from collections import Counter
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
        self._asking: Counter[bytes] = Counter()
        """How many questions each adapter has before it."""
        self._kept: frozenset[bytes] | None = None
        """Adapters that stay; None where all do."""

    def expect(self, specs: Iterable[msgspec.Struct]) -> None:
        """Make what will be asked for, so that the first question does not wait for a library to load."""
        for spec in specs:
            self._adapter(spec)

    async def keep(self, specs: Iterable[msgspec.Struct]) -> None:
        """Close every adapter but those of these specs, each once it has answered what it was asked before."""
        self._kept = frozenset([_key(spec) for spec in specs])
        for key in list(self._adapters):
            await self._let_go(key)

    async def _let_go(self, key: bytes) -> None:
        if self._kept is not None and key not in self._kept and not self._asking[key]:
            adapter = self._adapters.pop(key, None)
            if adapter is not None:
                await adapter.close()

    async def ask(self, question: Question) -> Answer:
        """The answer of the adapter of this spec. Raises nothing but `CancelledError`."""
        adapter = self._adapter(question.spec)
        if adapter is None:
            return Answer(failure=NOT_ASKED)
        key = _key(question.spec)
        self._asking[key] += 1
        try:
            return await self._answer(adapter, question)
        finally:
            self._asking[key] -= 1
            await self._let_go(key)

    async def _answer(self, adapter: Adapter, question: Question) -> Answer:
        try:
            return await adapter.ask(question.scene)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the clause's `on_error` decides
            # The message may hold what was judged.
            log.error("a guard that was asked failed", extra={"error": type(error).__name__})  # noqa: TRY400
            return Answer(failure=f"raised:{type(error).__name__}")

    def _adapter(self, spec: msgspec.Struct) -> Adapter | None:
        key = _key(spec)
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


def _key(spec: msgspec.Struct) -> bytes:
    return msgspec.json.encode(spec, order="sorted")
