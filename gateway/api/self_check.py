"""Self check: the running gateway's log and record, verified as an auditor would, by a process of its own.

So what is read is what is on disk and not what this process believes, the event loop pays nothing, and it may be
killed. What came of it is an entry of the log.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

import msgspec

from gateway.api.answers import Verification
from gateway.api.ports import Audit
from policies.errors import StepwardenError
from policies.vocabulary.audit import VerifyRun

_SECONDS: Final = 600.0
_NICE: Final = 10
"""Verification makes way for whoever is served."""

_HELD_OR_NOT: Final = frozenset({0, 1})
"""Exit codes of `audit verify` that come with a report."""


class AlreadyVerifying(StepwardenError):
    """One verification at a time."""

    status = 409

    def __init__(self) -> None:
        super().__init__("a verification is running")

    def remedy(self) -> str:
        """It ends."""
        return "Wait for its `verify.run` entry, or run `stepwarden audit verify` on a copy of the directory."


class NotVerified(StepwardenError):
    """Verification came to no result."""

    status = 503

    def __init__(self, why: str) -> None:
        super().__init__(f"verification came to no result: {why}")

    def remedy(self) -> str:
        """The same by hand."""
        return "Run `stepwarden audit verify DATA_DIR` where the gateway runs."


@final
class SelfCheck:
    """Belongs to the event loop of the process that keeps."""

    def __init__(
        self, audit: Audit, unverified: Callable[[], None] | None = None, *, seconds: float = _SECONDS
    ) -> None:
        """`unverified` hears of it where something does not hold; `seconds` bounds one verification."""
        self._unverified = unverified
        self._audit = audit
        self._seconds = seconds
        self._running = False

    async def run(self, actor: str) -> Verification:
        """Verify everything logged by now, and log what came of it.

        Raises `AlreadyVerifying`, `NotVerified`, and where the log cannot be written or published.
        """
        if self._running:
            raise AlreadyVerifying
        self._running = True
        try:
            await asyncio.to_thread(self._audit.head)
            report = await self._report()
        finally:
            self._running = False
        said = VerifyRun(
            actor=actor,
            ok=report.ok,
            size=report.size or 0,
            flaws=len(report.flaws),
            first=report.flaws[0].place[:200] if report.flaws else None,
        )
        await asyncio.to_thread(self._audit.note, said)
        if not report.ok and self._unverified is not None:
            self._unverified()
        return report

    async def _report(self) -> Verification:
        words = ["-P", "-m", "gateway.cli.main", "audit", "verify", str(self._audit.directory), "--json"]
        child = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        try:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, child.pid, _NICE)
            async with asyncio.timeout(self._seconds):
                told, _ = await child.communicate()
        except TimeoutError:
            raise NotVerified(f"it took longer than {self._seconds:.0f} seconds") from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode not in _HELD_OR_NOT:
            raise NotVerified("the log cannot be read; the gateway's log says why")
        return msgspec.json.decode(told, type=Verification)
