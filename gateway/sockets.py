"""Unix sockets inside the data directory, reachable however long its path is."""

import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

CONTROL = "control.sock"
"""The control plane for whoever owns the data directory."""

RELAYED = "relayed.sock"
"""The control plane as workers relay it for their own callers, who still have to show a key."""

WORKERS = "keeper.sock"
"""Where data-plane workers speak to the keeper."""

_LONGEST = 100
"""`sun_path` holds 104 bytes on macOS and 108 on Linux, with the closing zero."""


@contextmanager
def reachable(path: Path) -> Generator[str]:
    """A path short enough for bind and connect while the context is open.

    On Linux a long directory is reached through an open descriptor of it. Raises `OSError` elsewhere.
    """
    plain = str(path.absolute())
    if len(os.fsencode(plain)) <= _LONGEST:
        yield plain
        return
    if not sys.platform.startswith("linux"):
        raise OSError(f"{plain} is too long for a Unix socket; choose a shorter data_dir")
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/{os.getpid()}/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def bound(path: Path) -> socket.socket:
    """A socket bound here, in the place of an older one, that only the owner could ever connect to.

    It is made under a umask: between `bind` and a `chmod` anybody could slip in. Raises `OSError`.
    """
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with reachable(path) as short:
            made.bind(short)
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(before)
    return made
