"""The log's signing key: `audit.key`, made on first start, and `audit.key.next` while it is being changed.

The file is one line in the form of Go's `golang.org/x/mod/sumdb/note`: `PRIVATE+KEY+NAME+KEYID+BASE64(type, seed)`.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from storage.audit.encoding import from_base64, to_base64
from storage.audit.errors import LogKeyExposed, LogKeyWrong, NoteMalformed
from storage.audit.note import COSIGNATURE, ED25519, Signature, Verifier, check_name, cosigned_message
from storage.secret import Secret

KEY_FILE: Final = "audit.key"
NEXT_KEY_FILE: Final = "audit.key.next"

_PREFIX = "PRIVATE+KEY+"
_SEED = 32
_LONGEST = 4096


@final
class LogSigner:
    """An Ed25519 key that signs checkpoints as their log (0x01)."""

    def __init__(self, name: str, seed: Secret) -> None:
        """`seed` is 32 bytes."""
        check_name(name)
        self._key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self.verifier = Verifier(name=name, algorithm=ED25519, public=_public(self._key))

    def sign(self, text: bytes) -> Signature:
        """A signature over a note's text."""
        return Signature(self.verifier.name, self.verifier.key_id, self._key.sign(text))


@final
class WitnessSigner:
    """An Ed25519 key that cosigns the checkpoints of others (0x04)."""

    def __init__(self, name: str, seed: Secret) -> None:
        """`seed` is 32 bytes."""
        check_name(name)
        self._key = Ed25519PrivateKey.from_private_bytes(seed.reveal())
        self.verifier = Verifier(name=name, algorithm=COSIGNATURE, public=_public(self._key))

    def cosign(self, text: bytes, at: int) -> Signature:
        """A signature over a checkpoint's text; `at` is Unix epoch, seconds."""
        value = at.to_bytes(8, "big") + self._key.sign(cosigned_message(at, text))
        return Signature(self.verifier.name, self.verifier.key_id, value)


def key_of(path: Path, name: str) -> LogSigner:
    """The key in file `path`; a new one called `name` where there is none.

    Raises `LogKeyExposed`, or `LogKeyWrong` where the file holds no key or that of another log.
    """
    try:
        signer = load_key(path)
    except FileNotFoundError:
        create_key(path, name, ED25519)
        signer = load_key(path)
    if signer.verifier.name != name:
        raise LogKeyWrong(f"{path} is the key of {signer.verifier.name!r}, not of {name!r}")
    return signer


def witness_key_of(path: Path, name: str) -> WitnessSigner:
    """The witness key in file `path`; a new one called `name` where there is none. Raises as `key_of` does."""
    try:
        found, seed = _read(path, COSIGNATURE)
    except FileNotFoundError:
        create_key(path, name, COSIGNATURE)
        found, seed = _read(path, COSIGNATURE)
    if found != name:
        raise LogKeyWrong(f"{path} is the key of {found!r}, not of {name!r}")
    return WitnessSigner(found, seed)


def load_key(path: Path) -> LogSigner:
    """Read a log's key. Raises `FileNotFoundError`, `LogKeyExposed` or `LogKeyWrong`."""
    return LogSigner(*_read(path, ED25519))


def create_key(path: Path, name: str, algorithm: int) -> None:
    """Make a key file with mode 0600; it is there whole and durable, or not at all. Raises `FileExistsError`."""
    check_name(name)
    seed = os.urandom(_SEED)
    public = _public(Ed25519PrivateKey.from_private_bytes(seed))
    key_id = Verifier(name=name, algorithm=algorithm, public=public).key_id
    line = f"{_PREFIX}{name}+{key_id.hex()}+{to_base64(bytes([algorithm]) + seed)}\n"
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(line.encode())
            file.flush()
            os.fsync(descriptor)
        # A link, unlike a rename, never replaces a key that is already there.
        os.link(draft, path)
    finally:
        draft.unlink()
    _sync_folder(path.parent)


def next_key(directory: Path, name: str) -> LogSigner:
    """A new key in `audit.key.next`, durable; what waits there, and no entry names, is thrown away."""
    path = directory / NEXT_KEY_FILE
    for left in directory.glob(f"{NEXT_KEY_FILE}*"):
        left.unlink()
    create_key(path, name, ED25519)
    return load_key(path)


def adopt_next(directory: Path, current: Verifier) -> None:
    """Put `audit.key.next` in the place of `audit.key`, whose key is gone then; only if it is the key in force.

    Raises `OSError`, and as `load_key` does.
    """
    try:
        waiting = load_key(directory / NEXT_KEY_FILE)
    except FileNotFoundError:
        return
    if waiting.verifier == current:
        (directory / NEXT_KEY_FILE).replace(directory / KEY_FILE)
        _sync_folder(directory)


def _read(path: Path, algorithm: int) -> tuple[str, Secret]:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise LogKeyExposed(path, mode)
        data = file.read(_LONGEST)
    try:
        return _parse(data.decode().removesuffix("\n"), algorithm)
    except (NoteMalformed, UnicodeDecodeError):
        raise LogKeyWrong(f"{path} holds no signing key of this kind") from None


def _parse(line: str, algorithm: int) -> tuple[str, Secret]:
    parts = line.removeprefix(_PREFIX).split("+", 2)
    if not line.startswith(_PREFIX) or len(parts) != 3:  # noqa: PLR2004 - name, id, key
        raise NoteMalformed("a signing key")
    name, key_id, encoded = parts
    check_name(name)
    key = from_base64(encoded, "a signing key", 1 + _SEED)
    public = _public(Ed25519PrivateKey.from_private_bytes(key[1:]))
    if key[0] != algorithm or Verifier(name=name, algorithm=algorithm, public=public).key_id.hex() != key_id:
        raise NoteMalformed("a signing key")
    return name, Secret(key[1:])


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
