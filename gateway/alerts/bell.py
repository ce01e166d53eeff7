"""The bell: hears what happens in the keeper's process, asks each alert's rule, and hands its courier what to tell."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, final

from gateway.alerts.occurrences import Occurrence, State, of_hold, of_moves, of_recordings, of_states
from gateway.alerts.watch import Watch
from gateway.config import Alert
from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Recording
from policies.vocabulary.holds import Hold
from storage.trials import Move

if TYPE_CHECKING:
    from gateway.alerts.courier import Courier

_LOG: Final = logging.getLogger("stepwarden.alerts")

_LOOK_SECONDS: Final = 1.0
_MOVES: Final = 500
"""Moves of proposals that are read at a time; what is more comes with the next look."""


class Moves(Protocol):
    """The slice of the book of proposals this follows; `storage.revisions.RevisionBook` fits."""

    def newest_move(self) -> int:
        """The number of the last move there was."""
        ...

    def moves_after(self, number: int, limit: int) -> list[Move]:
        """Moves beyond one, in order."""
        ...


@final
class Bell:
    """Belongs to one event loop once it is started; `recorded` may be called from any thread. Free without alerts."""

    def __init__(self, alerts: Sequence[Alert], environ: Mapping[str, str], dashboard: Callable[[], str]) -> None:
        """`dashboard` gives the address people open."""
        self._pairs = _pairs(alerts, environ, dashboard) if alerts else []
        self._wanted = {occasion for alert in alerts for occasion in alert.on}
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last = State()

    @property
    def counts(self) -> Mapping[str, int]:
        """For `/api/status`; nothing where there are no alerts."""
        if not self._pairs:
            return {}
        return {
            "alerts_delivered": sum(courier.delivered for _, courier in self._pairs),
            "alerts_lost": sum(courier.lost for _, courier in self._pairs),
        }

    def start(self, state: Callable[[], State], moves: Moves | None) -> None:
        """Begin to deliver; what nobody reports is seen in `state`, and in `moves` where proposals are made."""
        if not self._pairs:
            return
        self._loop = asyncio.get_running_loop()
        self._tasks = [asyncio.create_task(courier.run()) for _, courier in self._pairs]
        self._tasks.append(asyncio.create_task(self._look(state)))
        if moves is not None and self._wanted & {"proposal", "rolled_back"}:
            self._tasks.append(asyncio.create_task(self._follow(moves, moves.newest_move())))

    async def stop(self) -> None:
        """End; what was not delivered is not any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, courier in self._pairs:
            await courier.close()

    def held(self, hold: Hold) -> None:
        """A hold began or ended."""
        occurrence = of_hold(hold)
        if occurrence is not None:
            self.hear(occurrence)

    def recorded(self, batch: Sequence[Recording]) -> None:
        """A batch is in the record."""
        if not self._wanted or self._loop is None:
            return
        found = [each for each in of_recordings(batch) if each.occasion in self._wanted]
        if found and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.hear, *found)

    def hear(self, *occurrences: Occurrence) -> None:
        """Something happened."""
        now = time.monotonic()
        for occurrence in occurrences:
            for watch, courier in self._pairs:
                notice = watch.hear(occurrence, now)
                if notice is not None:
                    courier.put(notice)

    async def _look(self, state: Callable[[], State]) -> None:
        """What nobody reports is looked at again and again, and what was kept quiet about is told when it may be."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now_is = state()
            self.hear(*of_states(self._last, now_is))
            self._last = now_is
            now = time.monotonic()
            for watch, courier in self._pairs:
                for notice in watch.due(now):
                    courier.put(notice)

    async def _follow(self, moves: Moves, number: int) -> None:
        """What becomes of proposals from here on."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                came = await asyncio.to_thread(moves.moves_after, number, _MOVES)
            except StepwardenError as error:
                _LOG.warning("alerts cannot follow proposals, and try again", extra={"reason": str(error)})
                continue
            number = came[-1].number if came else number
            self.hear(*of_moves(came))


def _pairs(
    alerts: Sequence[Alert], environ: Mapping[str, str], dashboard: Callable[[], str]
) -> "list[tuple[Watch, Courier]]":
    from gateway.alerts.courier import Courier  # noqa: PLC0415 - only those pay for it who name an alert

    return [(Watch(alert), Courier(alert, environ, dashboard)) for alert in alerts]
