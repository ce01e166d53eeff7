"""A process that begins calls to a supervisor's model while `ledger.db` can take none, and waits to be killed.

Usage: python -m tests.unit.storage.calls_child DIRECTORY COUNT. Prints a line for each call that may be sent.
"""

import sys
import threading
from pathlib import Path

from storage.store import Store
from tests.unit.storage.test_supervisor_calls import call


def main() -> None:
    store = Store.open(Path(sys.argv[1]))
    with store.ledger.lock:
        for number in range(int(sys.argv[2])):
            assert store.supervisor_calls.begin(call(number)) is None
            print(number, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
