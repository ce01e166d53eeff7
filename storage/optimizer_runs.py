"""Optimizer runs: what a model told a run that is not over, in `ledger.db`: after a kill nothing is asked twice.

Answers may speak of sessions: they lie sealed, and go with their run, or with the first session that is erased.
"""

import secrets
from typing import Final, final

import msgspec
from blake3 import blake3

from storage.ledger import Ledger, Statement
from storage.seal import Sealer, derive
from storage.secret import Secret

_BYTES: Final = 32


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a model."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is under way."""

    secret: bytes
    """32 bytes, from which its fences and lots are drawn."""

    since: int
    """Number of the newest proposal there was when it began."""

    resumed: bool = False
    """Whether it goes on from where it was cut short."""


_encode = msgspec.msgpack.Encoder().encode
_told = msgspec.msgpack.Decoder(Told).decode

FORGETTING: Final[tuple[Statement, ...]] = (("DELETE FROM optimizer_answer", ()), ("DELETE FROM optimizer_run", ()))
"""What makes the ledger hold nothing of runs that are under way: they begin anew."""


@final
class RunBook:
    """The runs that are under way, one an app. Safe from any thread."""

    def __init__(self, ledger: Ledger, seal_key: Secret) -> None:
        self._ledger = ledger
        self._sealer = Sealer(derive(seal_key, "optimizer"))
        self._names = derive(seal_key, "optimizer-questions")

    def begin(self, app: str, subject: str, *, since: int) -> Run:
        """The run about a subject: a new one, or the one that was cut short. One about something else is over by this.

        `since`: the newest proposal there is now.
        """
        with self._ledger.lock:
            rows = self._ledger.read("SELECT subject, secret, since FROM optimizer_run WHERE app = ?", (app,))
            if rows and rows[0][0] == subject:
                return Run(secret=self._sealer.open(rows[0][1], app.encode()), since=rows[0][2], resumed=True)
            self.end(app)
            run = Run(secret=secrets.token_bytes(_BYTES), since=since)
            values = (app, subject, self._sealer.seal(run.secret, app.encode()), since)
            insert = "INSERT INTO optimizer_run (app, subject, secret, since) VALUES (?, ?, ?, ?)"
            self._ledger.write([(insert, values)], entries=())
            return run

    def told(self, app: str, question: str) -> Told | None:
        """What was answered to a question of the run; None where it was not asked yet."""
        name = self._name(question)
        query = "SELECT answer FROM optimizer_answer WHERE app = ? AND question = ?"
        rows = self._ledger.read(query, (app, name))
        return _told(self._sealer.open(rows[0][0], name)) if rows else None

    def tell(self, app: str, question: str, told: Told) -> None:
        """Keep an answer; durable on return. Where the run is gone, since a session of it was erased, none is kept."""
        name = self._name(question)
        insert = (
            "INSERT OR REPLACE INTO optimizer_answer (app, question, answer) "
            "SELECT ?, ?, ? WHERE EXISTS (SELECT 1 FROM optimizer_run WHERE app = ?)"
        )
        self._ledger.write([(insert, (app, name, self._sealer.seal(_encode(told), name), app))], entries=())

    def end(self, app: str) -> None:
        """The run of an app is over: nothing of it is kept."""
        work: list[Statement] = [
            ("DELETE FROM optimizer_answer WHERE app = ?", (app,)),
            ("DELETE FROM optimizer_run WHERE app = ?", (app,)),
        ]
        self._ledger.write(work, entries=())

    def _name(self, question: str) -> bytes:
        return blake3(question.encode("utf-8", "surrogatepass"), key=self._names.reveal()).digest(length=16)
