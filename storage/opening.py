"""Opening: a directory and its key, made once and recognised ever after."""

import os
import stat
from pathlib import Path

from storage.errors import DirectoryExposed, NoDirectory, WrongSealKey
from storage.seal import create_seal_key, load_seal_key
from storage.secret import Secret

_OTHERS = 0o077
"""What a mode lets group and others do."""


def make_directory(path: Path) -> None:
    """Make the data directory with mode 0700, or close one of ours that others can enter.

    Raises `NoDirectory` or `DirectoryExposed`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700)
    except OSError as error:
        if not path.is_dir():
            reason = "it is something else" if path.exists() else error.strerror or type(error).__name__
            raise NoDirectory(path, reason) from error
        _close_to_others(path)
    else:
        # `mkdir` asked the umask first.
        path.chmod(0o700)


def _close_to_others(path: Path) -> None:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not mode & _OTHERS:
        return
    # A sticky directory, /tmp say, is shared on purpose: to close it would break what others do there.
    if found.st_uid != os.geteuid() or mode & stat.S_ISVTX:
        raise DirectoryExposed(path, mode)
    path.chmod(0o700)


def seal_key_of(path: Path) -> Secret:
    """The directory's key; a new one only where nothing was ever sealed. Raises `WrongSealKey` and key file errors."""
    try:
        return load_seal_key(path)
    except FileNotFoundError:
        if any(path.glob("*.db")):
            raise WrongSealKey(path / "seal.key") from None
        return create_seal_key(path)
