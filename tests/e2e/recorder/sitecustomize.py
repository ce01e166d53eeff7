"""Imported by an interpreter before all else: notes every attempt to reach beyond this machine, and refuses it.

The standard library tells its audit hooks of names that are looked up and addresses that are connected to. One line an
attempt goes to the file that `RECORD_NETWORK_TO` names.
"""

import os
import sys
from typing import Any

_HERE = ("127.", "::1", "localhost")


def _watch(file: int) -> None:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("socket.getaddrinfo", "socket.gethostbyname"):
            target = arguments[0]
        elif event in ("socket.connect", "socket.sendto"):
            address = arguments[1]
            target = address[0] if isinstance(address, tuple) else "localhost"
        else:
            return
        name = target.decode(errors="replace") if isinstance(target, bytes) else str(target)
        if target is None or name.startswith(_HERE):
            return
        os.write(file, f"{event} {name}\n".encode())
        raise OSError("this interpreter reaches nobody")

    sys.addaudithook(hook)


_watch(os.open(os.environ["RECORD_NETWORK_TO"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
