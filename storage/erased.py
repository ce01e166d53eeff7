"""Erased: what erasing does to the rows of a day, of a month's contents and of `meta.db`, and what is left of them."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from policies.vocabulary.audit import ContentErased
from policies.vocabulary.reports import Ties
from storage import spans
from storage.contents import unpack_link
from storage.step_seals import leaf_hashes

_CHUNK: Final = 500
"""Exchanges of one transaction."""

EXPIRED: Final = 0
"""Stands for an erasure where it was retention."""

_OF_SESSION = "exchange.branch IN (SELECT id FROM branch WHERE session_id = ?)"
_OF_USER = "exchange.branch IS NULL AND exchange.end_user = ?"
_OF_APP = "exchange.common IN (SELECT id FROM common WHERE app = ?)"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be destroyed. Carried through any number of times, it does the same."""

    sessions: tuple[str, ...] = ()
    users: tuple[bytes, ...] = ()
    """Pseudonyms of end users, for what they asked outside of any session."""

    apps: tuple[str, ...] = ()
    entry: ContentErased | None = None
    """What the log tells of it; None before there was a beginning, or where an older release began it."""

    ties: tuple[Ties, ...] = ()
    """What led to spans that applications reported of the sessions: once these are gone, nothing else would."""


def numbers(day: sqlite3.Connection, plan: Plan) -> list[int]:
    """Which exchanges of a day a plan is about."""
    conditions: Iterable[tuple[str, Sequence[Any]]] = (
        (_OF_SESSION, plan.sessions),
        (_OF_USER, plan.users),
        (_OF_APP, plan.apps),
    )
    found: set[int] = set()
    for where, values in conditions:
        for value in values:
            found.update(row[0] for row in day.execute(f"SELECT id FROM exchange WHERE {where}", (value,)))  # noqa: S608
    return sorted(found)


def loose_users(day: sqlite3.Connection, app: str) -> list[bytes]:
    """Pseudonyms of end users on whose behalf an app asked outside of any session."""
    query = f"SELECT DISTINCT end_user FROM exchange WHERE branch IS NULL AND end_user IS NOT NULL AND {_OF_APP}"  # noqa: S608
    return [user for (user,) in day.execute(query, (app,))]


def others(day: sqlite3.Connection, held: Collection[str]) -> list[int]:
    """Which exchanges of a day belong to none of these sessions."""
    kept = set(numbers(day, Plan(sessions=tuple(held))))
    return [number for (number,) in day.execute("SELECT id FROM exchange ORDER BY id") if number not in kept]


def has_only(day: sqlite3.Connection, held: Collection[str]) -> bool:
    """Whether a day holds exchanges, and only of these sessions."""
    kept = len(numbers(day, Plan(sessions=tuple(held))))
    return 0 < kept == day.execute("SELECT count(*) FROM exchange").fetchone()[0]


def left(day: sqlite3.Connection, erasure: int) -> int:
    """How many exchanges this erasure took out here."""
    return int(day.execute("SELECT count(*) FROM erased WHERE erasure = ?", (erasure,)).fetchone()[0])


def chunks(day: sqlite3.Connection, found: Sequence[int]) -> Iterator[list[sqlite3.Row]]:
    """The rows of these exchanges, some at a time."""
    for at in range(0, len(found), _CHUNK):
        some = found[at : at + _CHUNK]
        query = f"{spans.EXCHANGES} WHERE exchange.id IN ({', '.join('?' * len(some))})"
        yield day.execute(query, some).fetchall()


def bury(day: sqlite3.Connection, rows: Sequence[sqlite3.Row], erasure: int) -> None:
    """Put in the place of exchanges what must be left of them."""
    left = [(row["id"], row["exchange_id"], row["app"], erasure, b"".join(leaf_hashes(row))) for row in rows]
    day.executemany("INSERT INTO erased (id, exchange_id, app, erasure, leaves) VALUES (?, ?, ?, ?, ?)", left)
    day.executemany("DELETE FROM exchange WHERE id = ?", [(row["id"],) for row in rows])


def tidy(day: sqlite3.Connection) -> None:
    """Delete what no exchange of a day refers to any more."""
    day.execute("DELETE FROM branch WHERE id NOT IN (SELECT branch FROM exchange WHERE branch IS NOT NULL)")
    day.execute("DELETE FROM common WHERE id NOT IN (SELECT common FROM exchange)")


class Found(msgspec.Struct):
    """Rows of a month's file that exchanges lead to."""

    contents: set[int]
    links: set[int]

    @classmethod
    def none(cls) -> "Found":
        """Nothing yet."""
        return cls(set(), set())

    def follow(self, month: sqlite3.Connection, rows: Iterable[sqlite3.Row]) -> None:
        """Add what these exchanges are made of."""
        for row in rows:
            for cid in (row["request_content"], row["response_content"]):
                if cid is not None:
                    self.contents.update(n for (n,) in month.execute("SELECT id FROM content WHERE cid = ?", (cid,)))
            for state in (row["request_lead"], row["request_state"]):
                if state is not None:
                    self._walk(month, *unpack_link(state))

    def _walk(self, month: sqlite3.Connection, number: int, check: bytes) -> None:
        query = "SELECT prev, content FROM conv_state WHERE id = ?"
        ends = "SELECT 1 FROM conv_state WHERE id = ? AND check_bytes = ?"
        if month.execute(ends, (number, check)).fetchone() is None:
            return  # gone already, and its number given to another
        while number not in self.links and (row := month.execute(query, (number,)).fetchone()) is not None:
            self.links.add(number)
            number, content = row
            self.contents.add(content)


def remove_contents(month: sqlite3.Connection, found: Found) -> None:
    """Delete contents and links, except those of before there were scopes: others may refer to these too."""
    own = "content IN (SELECT id FROM content WHERE scope > 0)"
    month.executemany(f"DELETE FROM conv_state WHERE id = ? AND {own}", [(n,) for n in found.links])  # noqa: S608 - ours
    month.executemany("DELETE FROM content WHERE id = ? AND scope > 0", [(n,) for n in found.contents])


def has_others(month: sqlite3.Connection, scopes: Collection[int]) -> bool:
    """Whether a month holds contents of other scopes than these, or what led to them."""
    return month.execute(f"SELECT 1 FROM content WHERE {_not_of(scopes)} LIMIT 1").fetchone() is not None  # noqa: S608


def remove_others(month: sqlite3.Connection, scopes: Collection[int]) -> None:
    """Delete contents and links of all other scopes, except those of before there were any."""
    others = f"SELECT id FROM content WHERE {_not_of(scopes)}"  # noqa: S608 - numbers
    month.execute(f"DELETE FROM conv_state WHERE content IN ({others})")  # noqa: S608 - numbers
    month.execute(f"DELETE FROM content WHERE id IN ({others})")  # noqa: S608 - numbers


def _not_of(scopes: Collection[int]) -> str:
    return f"scope > 0 AND scope NOT IN ({', '.join(str(int(number)) for number in scopes)})"


def forget_sessions(meta: sqlite3.Connection, gone: Sequence[str]) -> None:
    """Delete what `meta.db` knows of sessions."""
    keys = [(each,) for each in gone]
    of_branch = "branch IN (SELECT id FROM branch WHERE session_id = ?)"
    meta.executemany(f"DELETE FROM joining_state WHERE {of_branch}", keys)  # noqa: S608 - literals
    for table in ("branch", "participant", "session_clause", "session"):
        meta.executemany(f"DELETE FROM {table} WHERE session_id = ?", keys)  # noqa: S608 - literals
