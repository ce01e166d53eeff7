"""`external`: a service judges steps over HTTP. Deadline, breaker, a bound on the answer, and no answer taken on trust.

Whatever goes wrong is an answer with a `failure`, so that the clause's `on_error` decides and the coverage says why:
`timed_out overloaded breaker_open key_missing key_unusable answer_error answer_invalid status:NNN`, and the words
of `gateway/endpoint.py`.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from policies.asking import Answer
from policies.guards.external import ExternalSpec
from policies.trail import Scene
from policies.vocabulary.findings import Hit
from supervisors.adapters.breaker import Breaker
from supervisors.adapters.external_wire import MOST_BYTES, Unusable, hits, request
from supervisors.ports import Clock, Post, Unposted

PATIENCE_SECONDS: Final = 10.0
"""How long a step may wait for its turn; who waits longer is not asked."""

_OK: Final = 200


class External:
    """One service, as one worker asks it."""

    def __init__(self, spec: ExternalSpec, *, post: Post, environ: Mapping[str, str], clock: Clock) -> None:
        self._spec = spec
        self._post = post
        self._environ = environ
        self._clock = clock
        self._turns = asyncio.Semaphore(spec.in_flight)
        self._breaker = Breaker(failures=spec.failures, pause_ns=int(spec.pause_seconds * 1e9))

    async def ask(self, scene: Scene) -> Answer:
        """What the service says of a step, or why it says nothing."""
        began_ns = self._clock()
        try:
            found = await self._in_turn(scene)
        except Unposted as failed:
            return Answer(failure=failed.why, micros=self._since(began_ns))
        return Answer(hits=found, micros=self._since(began_ns))

    async def _in_turn(self, scene: Scene) -> tuple[Hit, ...]:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise Unposted("overloaded") from None
        try:
            return await self._guarded(scene)
        finally:
            self._turns.release()

    async def _guarded(self, scene: Scene) -> tuple[Hit, ...]:
        """Ask if the breaker lets us, and tell it how that went."""
        key = self._key()
        leave = self._breaker.enter(self._clock())
        if leave is None:
            raise Unposted("breaker_open")
        try:
            found = await self._asked(scene, key)
        except (Unposted, Unusable) as failed:
            self._breaker.failed(leave, self._clock())
            raise Unposted(str(failed)) from None
        except BaseException:
            self._breaker.abandoned(leave)
            raise
        self._breaker.succeeded(leave)
        return found

    async def _asked(self, scene: Scene, key: str | None) -> tuple[Hit, ...]:
        body, shown = request(scene, self._spec.max_bytes)
        try:
            async with asyncio.timeout(self._spec.deadline_ms / 1000):
                posted = await self._post.post(body, key=key, most=MOST_BYTES)
        except TimeoutError:
            raise Unposted("timed_out") from None
        if posted.status != _OK:
            raise Unusable(f"status:{posted.status}")
        return (*hits(posted.body, shown), *shown.tail())

    def _key(self) -> str | None:
        """The bearer token. Raises `Unposted`: a service that wants one is not asked without."""
        if self._spec.key_env is None:
            return None
        key = self._environ.get(self._spec.key_env, "")
        if not key:
            raise Unposted("key_missing")
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise Unposted("key_unusable")
        return key

    def _since(self, began_ns: int) -> int:
        return max(self._clock() - began_ns, 0) // 1000

    async def close(self) -> None:
        """Close its connections."""
        await self._post.close()
