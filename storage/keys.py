"""Keys: the gateway keys of `ledger.db`, found by keyed hash and counted durably."""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import final

import msgspec

from policies.vocabulary.audit import OWNER, ApiKeyCreated, ApiKeyRevoked
from policies.vocabulary.keys import Key, Role
from storage.entry_lines import rfc3339_nanoseconds
from storage.errors import KeyNotFound
from storage.ledger import Ledger
from storage.seal import derive
from storage.secret import Secret

PREFIX = "swk_"
_RANDOM_CHARACTERS = 43
_CHECK_CHARACTERS = 6
_HINT_CHARACTERS = 8


class _Held(msgspec.Struct, frozen=True):
    """A key with the hash it is found by."""

    digest: bytes
    key: Key


def _checksum(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_CHECK_CHARACTERS]


def well_formed(secret: str) -> bool:
    """Whether a text can be a gateway key at all: tells typos and providers' keys without a look-up."""
    body, check = secret[:-_CHECK_CHARACTERS], secret[-_CHECK_CHARACTERS:]
    if not secret.startswith(PREFIX) or len(body) != len(PREFIX) + _RANDOM_CHARACTERS or not secret.isascii():
        return False
    return hmac.compare_digest(check, _checksum(body))


@final
class KeyRing:
    """All gateway keys, held in memory and written through. Safe from any thread."""

    def __init__(self, ledger: Ledger, seal_key: Secret) -> None:
        """Read all keys. Raises `StorageFailed`."""
        self._ledger = ledger
        self._pepper = derive(seal_key, "gateway key pepper")
        self._keys: dict[bytes, _Held] = dict(self._load())

    def create(
        self,
        *,
        name: str,
        role: Role,
        app: str,
        expires_ns: int | None = None,
        budget_micro_usd: int | None = None,
        now_ns: int,
        actor: str = OWNER,
    ) -> tuple[Key, str]:
        """A new key and its text, which is shown this once and kept nowhere. Times: Unix epoch, nanoseconds."""
        body = PREFIX + urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
        secret = body + _checksum(body)
        key = Key(
            key_id=f"key_{secrets.token_hex(6)}",
            name=name,
            role=role,
            app=app,
            hint=secret[:_HINT_CHARACTERS],
            created_ns=now_ns,
            expires_ns=expires_ns,
            budget_micro_usd=budget_micro_usd,
        )
        digest = self._digest(secret)
        values = msgspec.structs.asdict(key)

        columns = ", ".join(values)
        query = f"INSERT INTO gateway_key (hash, {columns}) VALUES (?{', ?' * len(values)})"  # noqa: S608 - our names
        entry = ApiKeyCreated(
            actor=actor,
            tenant=app,
            key=key.key_id,
            role=role,
            expires=None if expires_ns is None else rfc3339_nanoseconds(expires_ns),
            budget_micro_usd=budget_micro_usd,
        )
        with self._ledger.lock:
            self._ledger.write([(query, (digest, *values.values()))], entries=[entry])
            self._keys[digest] = _Held(digest, key)
        return key, secret

    def find(self, secret: str) -> Key | None:
        """The key of this text, also where it is revoked or expired; None where there is none."""
        if not well_formed(secret):
            return None
        # The hash is keyed, so how long a look-up takes tells nothing about any stored hash.
        digest = self._digest(secret)
        held = self._keys.get(digest)
        return held.key if held is not None and hmac.compare_digest(held.digest, digest) else None

    def named(self, key_id: str) -> Key | None:
        """The key with this id, also where it is revoked or expired; None where there is none."""
        return next((held.key for held in tuple(self._keys.values()) if held.key.key_id == key_id), None)

    def list(self) -> list[Key]:
        """Every key ever made, oldest first."""
        return sorted((held.key for held in self._keys.values()), key=lambda key: (key.created_ns, key.key_id))

    def any(self, role: Role | None = None) -> bool:
        """Whether a key that is not revoked exists, of this role where one is given.

        An expired key counts: a gateway does not fall open because its last key ran out.
        """
        keys = [held.key for held in tuple(self._keys.values())]
        return any(key.revoked_ns is None and role in {None, key.role} for key in keys)

    def revoke(self, key_id: str, now_ns: int, *, actor: str = OWNER) -> Key:
        """Revoke a key now; one already revoked keeps its time. Raises `KeyNotFound` or `StorageFailed`."""
        with self._ledger.lock:
            held = self._held(key_id)
            if held.key.revoked_ns is None:
                query = "UPDATE gateway_key SET revoked_ns = ? WHERE key_id = ?"
                entry = ApiKeyRevoked(actor=actor, tenant=held.key.app, key=key_id)
                self._ledger.write([(query, (now_ns, key_id))], entries=[entry])
                held = self._replace(held, msgspec.structs.replace(held.key, revoked_ns=now_ns))
            return held.key

    def spend(self, key_id: str, micro_usd: int) -> None:
        """Count what a key spent, in millionths of a US dollar; durable on return."""
        self.spend_many({key_id: micro_usd})

    def spend_many(self, spent: Mapping[str, int]) -> None:
        """The same for several keys in one transaction, so that one wait for the disk serves them all."""
        query = "UPDATE gateway_key SET spent_micro_usd = spent_micro_usd + ? WHERE key_id = ?"
        with self._ledger.lock:
            held = [(self._held(key_id), amount) for key_id, amount in spent.items()]
            self._ledger.write([(query, (amount, one.key.key_id)) for one, amount in held], entries=())
            for one, amount in held:
                total = one.key.spent_micro_usd + amount
                self._replace(one, msgspec.structs.replace(one.key, spent_micro_usd=total))

    def _digest(self, secret: str) -> bytes:
        return hmac.digest(self._pepper.reveal(), secret.encode(), "sha256")

    def _held(self, key_id: str) -> "_Held":
        found = next((held for held in self._keys.values() if held.key.key_id == key_id), None)
        if found is None:
            raise KeyNotFound(key_id)
        return found

    def _replace(self, held: "_Held", key: Key) -> "_Held":
        self._keys[held.digest] = new = _Held(held.digest, key)
        return new

    def _load(self) -> Iterator[tuple[bytes, "_Held"]]:
        query = f"SELECT hash, {', '.join(Key.__struct_fields__)} FROM gateway_key ORDER BY id"  # noqa: S608 - our names
        for digest, *values in self._ledger.read(query):
            key = msgspec.convert(dict(zip(Key.__struct_fields__, values, strict=True)), Key)
            yield digest, _Held(digest, key)
