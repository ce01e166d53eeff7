"""Threads that are the first to decode a type may come together: the process goes on."""

import subprocess
import sys

RACE = """
import sys, threading
import msgspec
from gateway.struct_types import work_out

sys.setswitchinterval(1e-6)
pairs = []
for number in range(100):
    inner = msgspec.defstruct(f"Inner{number}", [(f"f{at}", tuple[int, ...] | None, None) for at in range(20)])
    fields = [("inner", inner | None, None), *((f"g{at}", dict[str, tuple[int, ...]], {}) for at in range(20))]
    pairs.append(msgspec.defstruct(f"Outer{number}", fields))
work_out()
document = {f"g{at}": {"a": (1,)} for at in range(20)}
for outer in pairs:
    together = threading.Barrier(4)

    def first(outer=outer, together=together):
        together.wait()
        msgspec.convert(document, outer)

    threads = [threading.Thread(target=first) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
"""


def test_threads_that_come_first_together_do_not_end_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
