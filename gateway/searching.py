"""Searching: which recorded steps hold given words.

Contents lie sealed, so each is opened, read and forgotten again. There is no index: nothing lies in the clear for the
sake of being found, and what is erased is found no more. Blocks; give it a thread of its own.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import msgspec

from gateway.contents import Placed
from policies.vocabulary.exchanges import Exchange
from policies.vocabulary.steps import Step
from storage.rows import RecordedRow, SessionRow
from storage.sessions import SessionFilter

AROUND: Final = 80
"""Characters that are shown on either side of what was found."""

_SESSIONS: Final = 200
_TURNS: Final = 50


class Records(Protocol):
    """The slice of the store that is searched; `storage.store.Store` fits."""

    def sessions(self, wanted: SessionFilter, *, limit: int, before: str | None) -> list[SessionRow]:
        """Sessions, newest activity first."""
        ...

    def turns(self, session_id: str, *, after: int, limit: int) -> list[RecordedRow]:
        """Exchanges of a session in order, from the one after a number on."""
        ...


class Texts(Protocol):
    """Reads steps back; `gateway.api.reading.Reader` fits."""

    def texts(self, exchange: Exchange, steps: Sequence[Placed]) -> Sequence[str | None]:
        """The text of each step as guards saw it; None where it cannot be read."""
        ...


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for, and how far."""

    words: str
    """Found in any case of letters; a blank stands for any run of white space."""

    app: str | None = None
    """None: every app that may be searched."""

    since_ns: int | None = None
    """Only exchanges that began from then on: Unix epoch, nanoseconds."""

    most: int = 10_000
    """Exchanges that are read, sessions with newest activity first."""

    places: int = 200
    """Steps that are shown."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One step that holds the words."""

    exchange: Exchange
    step: Step
    before: str
    words: str
    """As they stand there."""

    after: str
    times: int
    """How often the step holds them."""


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """What a search came to."""

    exchanges: int
    """How many were read."""

    steps: int
    unread: int
    """Of these steps, those whose content was not kept or cannot be read."""

    places: int
    whole: bool
    """False where there is more to read, or to show, than was asked for."""


class Search:
    """Looks through one gateway's record."""

    def __init__(self, records: Records, texts: Texts, *, searchable: Callable[[str], bool]) -> None:
        """`searchable` says of an app whether its contents may be searched."""
        self._records = records
        self._texts = texts
        self.searchable = searchable

    def run(
        self,
        sought: Sought,
        *,
        found: Callable[[Place], None],
        progress: Callable[[int, int], None],
        gone: Callable[[], bool],
        rest: Callable[[], None],
    ) -> Searched:
        """Look, and hand over each place as it is found. Ends early once `gone`; `rest` is called often."""
        pattern = _pattern(sought.words)
        exchanges = steps = unread = places = 0
        for exchange, own, of in self._exchanges(sought):
            if gone() or exchanges >= sought.most or places >= sought.places:
                return Searched(exchanges=exchanges, steps=steps, unread=unread, places=places, whole=False)
            read = self._texts.texts(exchange, own)
            for step, text in zip(own, read, strict=True):
                unread += text is None
                place = None if text is None else _placed(pattern, exchange, step, text)
                if place is not None and places < sought.places:
                    found(place)
                    places += 1
            exchanges += 1
            steps += len(own)
            progress(exchanges, max(of, exchanges))
            rest()
        return Searched(exchanges=exchanges, steps=steps, unread=unread, places=places, whole=places < sought.places)

    def _exchanges(self, sought: Sought) -> Iterator[tuple[Exchange, Sequence[Step], int]]:
        """Exchanges with their steps, and how many there are to read as far as is known."""
        rows = self._sessions(sought)
        of = min(sum(row.exchanges for row in rows), sought.most)
        for row in rows:
            after = 0
            while page := self._records.turns(row.session_id, after=after, limit=_TURNS):
                after = page[-1].number
                for turn in page:
                    if sought.since_ns is None or turn.exchange.started_ns >= sought.since_ns:
                        yield turn.exchange, turn.steps, of

    def _sessions(self, sought: Sought) -> list[SessionRow]:
        """Sessions that may be searched, one more than is read at the most."""
        wanted = SessionFilter(app=sought.app, since_ns=sought.since_ns)
        rows: list[SessionRow] = []
        before, many = None, 0
        while many <= sought.most and (page := self._records.sessions(wanted, limit=_SESSIONS, before=before)):
            before = page[-1].session_id
            rows += [row for row in page if self.searchable(row.app)]
            many = sum(row.exchanges for row in rows)
        return rows


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(re.escape(word) for word in words.split()), re.IGNORECASE)


def _placed(pattern: re.Pattern[str], exchange: Exchange, step: Step, text: str) -> Place | None:
    matches = pattern.finditer(text)
    first = next(matches, None)
    if first is None:
        return None
    start, end = first.span()
    return Place(
        exchange=exchange,
        step=step,
        before=text[max(0, start - AROUND) : start],
        words=text[start:end],
        after=text[end : end + AROUND],
        times=1 + sum(1 for _ in matches),
    )
