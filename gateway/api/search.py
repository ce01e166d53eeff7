"""Content search: words in what was recorded, for apps that allow it. A job beside the traffic, followed as it goes."""

import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, SkipValidation
from litestar.response import Stream
from msgspec import Meta

from gateway.api import answers
from gateway.api.access import actor_of, requires, scope_of
from gateway.api.events import EVENTS, streamed
from gateway.api.long_work import LongWork, Watcher
from gateway.api.looks import look
from gateway.api.ports import Audit, Records
from gateway.searching import Place, Search, Searched, Sought
from gateway.times import moment_ns
from policies.errors import StepwardenError
from policies.vocabulary.audit import ContentSearched
from policies.vocabulary.keys import Principal

_LEAST: Final = 3
"""Characters: shorter words stand everywhere."""


class NotSearchable(StepwardenError):
    """Nothing that this caller may see can be searched."""

    status = 403

    def remedy(self) -> str:
        """What allows it."""
        return "Contents are searched where their app says so: `search = true` in [app.NAME] of stepwarden.toml."


class TooShort(StepwardenError):
    """The words are too few to look for."""

    status = 400

    def remedy(self) -> str:
        """How many."""
        return f"Give at least {_LEAST} characters beside blanks."


class SearchAsk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for. It is asked for in a body, so that it stands in no address and no log."""

    words: Annotated[str, Meta(min_length=1, max_length=200)]
    """Found in any case of letters; a blank stands for any run of white space."""

    app: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    since: Annotated[str, Meta(max_length=64)] | None = None
    """RFC 3339, or `2h` back from now."""

    most: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    """Exchanges that are read, sessions with newest activity first."""

    places: Annotated[int, Meta(ge=1, le=1000)] = 200
    """Steps that are shown."""


class Searches:
    """Runs one search at a time, in the thread that long work has; whoever leaves ends it."""

    def __init__(self, search: Search, *, work: LongWork, rest: Callable[[], None]) -> None:
        """`rest` is called after each exchange: it gives the processor back to live traffic."""
        self._search = search
        self._work = work
        self._rest = rest

    def searchable(self, app: str) -> bool:
        """Whether an app's contents may be searched."""
        return self._search.searchable(app)

    def begin(self, sought: Sought, shown: Callable[[Place], None]) -> AsyncIterator[bytes]:
        """Start one and follow it; `shown` hears of each place before anybody sees it. Raises `WorkRunning`."""

        def work(watcher: Watcher) -> Searched:
            def found(place: Place) -> None:
                shown(place)
                watcher.found(answers.FoundStep.of(place))

            return self._search.run(sought, found=found, progress=watcher.told, gone=watcher.gone, rest=self._rest)

        return self._work.begin(work)


@get("/api/search", opt=requires("overseer"), sync_to_thread=True)
def show_searchable(
    searches: NamedDependency[SkipValidation[Searches]],
    records: NamedDependency[SkipValidation[Records]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> answers.Searchable:
    """The apps of what was recorded whose contents this caller may search."""
    apps = records.facets(scope_of(principal, None)).apps
    return answers.Searchable(apps=tuple([app for app in apps if searches.searchable(app)]))


@post("/api/search", opt=requires("overseer"), media_type=EVENTS, status_code=200, sync_to_thread=True)
def search(
    data: JSONBody[SearchAsk],
    searches: NamedDependency[SkipValidation[Searches]],
    audit: NamedDependency[SkipValidation[Audit]],
    principal: NamedDependency[SkipValidation[Principal]],
) -> Stream:
    """Look for words in recorded steps: `found` and `progress` events, then one `report`, or one `error`.

    The search is an entry of the audit log, which holds a keyed hash of the words, and so is every exchange of which
    something is shown. Leaving ends it.
    """
    if sum(not each.isspace() for each in data.words) < _LEAST:
        raise TooShort("these are too few characters to look for")
    app = scope_of(principal, data.app)
    if app is not None and not searches.searchable(app):
        raise NotSearchable(f"the contents of the app {app!r} may not be searched")
    since_ns = None if data.since is None else moment_ns(data.since, now_ns=time.time_ns())
    seen: set[str] = set()

    def shown(place: Place) -> None:
        exchange = place.exchange
        if exchange.exchange_id not in seen:
            look(audit, principal, "search", app=exchange.app, exchange=exchange.exchange_id)
            seen.add(exchange.exchange_id)

    sought = Sought(words=data.words, app=app, since_ns=since_ns, most=data.most, places=data.places)
    audit.note(ContentSearched(actor=actor_of(principal), tenant=app, words=audit.pseudonym(data.words)))
    return streamed(searches.begin(sought, shown))
