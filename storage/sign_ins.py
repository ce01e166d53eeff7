"""Sign-ins: which browsers are signed in, in `ledger.db`, found by keyed hash; the audit log tells of each."""

import hmac
import secrets
import time
from collections.abc import Callable
from typing import final

import msgspec

from policies.vocabulary.audit import SignedIn, SignedOut
from policies.vocabulary.keys import Key
from policies.vocabulary.sign_ins import SIGN_IN_NS, SignIn
from storage.entry_lines import rfc3339_nanoseconds
from storage.ledger import Ledger
from storage.seal import derive
from storage.secret import Secret

_LONGEST = 100
"""Characters of a token; ours have 43."""

_EACH = 20
"""Sign-ins of one key at a time; the oldest ends for the next."""


@final
class SignInBook:
    """All sign-ins, held in memory and written through. Safe from any thread."""

    def __init__(self, ledger: Ledger, seal_key: Secret, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        """Read all of them. Raises `StorageFailed`."""
        self._ledger = ledger
        self._now_ns = now_ns
        self._pepper = derive(seal_key, "sign-in pepper")
        self._csrf = derive(seal_key, "sign-in csrf")
        rows = ledger.read("SELECT hash, key_id, created_ns, expires_ns FROM sign_in ORDER BY id")
        self._open = {
            digest: SignIn(key_id=key_id, created_ns=created, expires_ns=expires)
            for digest, key_id, created, expires in rows
        }

    def begin(self, key: Key) -> tuple[str, SignIn]:
        """Sign a browser in with this key; its token is given this once. Raises `StorageFailed`."""
        now_ns = self._now_ns()
        token = secrets.token_urlsafe(32)
        expires_ns = min(now_ns + SIGN_IN_NS, key.expires_ns or now_ns + SIGN_IN_NS)
        begun = SignIn(key_id=key.key_id, created_ns=now_ns, expires_ns=expires_ns)
        entry = SignedIn(actor=key.key_id, tenant=key.app, role=key.role, expires=rfc3339_nanoseconds(expires_ns))
        insert = "INSERT INTO sign_in (hash, key_id, created_ns, expires_ns) VALUES (?, ?, ?, ?)"
        digest = self._digest(token)
        with self._ledger.lock:
            over = self._over(key.key_id, now_ns)
            gone = [("DELETE FROM sign_in WHERE hash = ?", (each,)) for each in over]
            self._ledger.write([*gone, (insert, (digest, *msgspec.structs.astuple(begun)))], entries=[entry])
            self._open = {each: one for each, one in self._open.items() if each not in over} | {digest: begun}
        return token, begun

    def find(self, token: str) -> SignIn | None:
        """The sign-in of this token, if it holds still."""
        if not token.isascii() or len(token) > _LONGEST:
            return None
        # The hash is keyed, so how long a look-up takes tells nothing about any stored hash.
        found = self._open.get(self._digest(token))
        return found if found is not None and found.expires_ns > self._now_ns() else None

    def end(self, token: str) -> None:
        """Sign a browser out; nothing where it is not signed in. Raises `StorageFailed`."""
        with self._ledger.lock:
            found = self.find(token)
            if found is None:
                return
            digest = self._digest(token)
            entry = SignedOut(actor=found.key_id)
            self._ledger.write([("DELETE FROM sign_in WHERE hash = ?", (digest,))], entries=[entry])
            self._open = {each: one for each, one in self._open.items() if each != digest}

    def csrf(self, token: str) -> str:
        """What a request must show beside the cookie to change anything: only who can read our answers knows it."""
        return hmac.digest(self._csrf.reveal(), token.encode(), "sha256").hex()

    def _digest(self, token: str) -> bytes:
        return hmac.digest(self._pepper.reveal(), token.encode(), "sha256")

    def _over(self, key_id: str, now_ns: int) -> set[bytes]:
        """Those whose time is over, and of this key those that are too many."""
        over = {digest for digest, one in self._open.items() if one.expires_ns <= now_ns}
        mine = [digest for digest, one in self._open.items() if one.key_id == key_id and digest not in over]
        return over | set(mine[: max(len(mine) - _EACH + 1, 0)])
