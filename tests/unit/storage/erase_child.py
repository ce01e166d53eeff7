"""A process that erases a session and is killed in the middle of it.

Usage: python -m tests.unit.storage.erase_child DIRECTORY SCOPE N. Dies at the Nth statement after erasing began.
"""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from policies.vocabulary.erasures import Order
from storage.store import Store

_STATEMENTS = frozenset({"execute", "executemany"})


def main() -> None:
    folder, scope, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store = Store.open(folder)
    seen = 0

    def count(_frame: FrameType, event: str, called: Any) -> None:
        nonlocal seen
        if event == "c_call" and called.__name__ in _STATEMENTS:
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    store.erase(Order(scope=scope, basis="a test", by="tester", actor="owner"), 1)
    sys.setprofile(None)
    print(seen, flush=True)
    store.close()


if __name__ == "__main__":
    main()
