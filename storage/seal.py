"""Sealing: one key file, and what is derived from it.

Everything is derived with HKDF-SHA-256 under a label of its own, so that the hash that finds a content
says nothing about the key that opens it, and gateway keys are hashed under neither.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import ContentDamaged, KeyFileBroken, KeyFileExposed
from storage.secret import Secret

_KEY_BYTES = 32
NONCE_BYTES = 12


def load_seal_key(directory: Path) -> Secret:
    """Read `seal.key`. Raises `FileNotFoundError`, `KeyFileExposed` or `KeyFileBroken`."""
    path = directory / "seal.key"
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise KeyFileExposed(path, mode)
        value = file.read(_KEY_BYTES + 1)
    if len(value) != _KEY_BYTES:
        raise KeyFileBroken(path, len(value))
    return Secret(value)


def create_seal_key(directory: Path) -> Secret:
    """Make `seal.key` with 32 random bytes; it is there whole and durable, or not at all."""
    path, draft = directory / "seal.key", directory / f"seal.key.{os.getpid()}"
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, os.urandom(_KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        # A link, unlike a rename, never replaces a key that is already there.
        os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return load_seal_key(directory)


def derive(key: Secret, purpose: str) -> Secret:
    """32 bytes for one purpose; different purposes give unrelated bytes."""
    expansion = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"stepwarden 1 " + purpose.encode())
    return Secret(expansion.derive(key.reveal()))


@final
class Sealer:
    """AES-256-GCM under one key. Safe from any thread."""

    def __init__(self, key: Secret) -> None:
        self._cipher = AESGCM(key.reveal())

    def seal(self, plain: bytes, binding: bytes, nonce: bytes | None = None) -> bytes:
        """Nonce (12 bytes, random where none is given), ciphertext, tag (16). Opens only with that binding."""
        nonce = nonce or os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, binding)

    def open(self, sealed: bytes, binding: bytes) -> bytes:
        """The plain bytes. Raises `ContentDamaged` where key, bytes or binding differ."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], binding)
        except (InvalidTag, ValueError):
            raise ContentDamaged("a seal does not open") from None
