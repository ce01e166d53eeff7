"""What recording costs: CPU of the storage writer per exchange, fed with what a gateway really recorded.

    python -m bench.store [--size 60k] [--sessions 64] [--batches 1,8,64,256] [--rounds 3] [--profile] [--keep F]

First a gateway is put under load and everything it hands to its recorder is kept in a file (`--keep` uses or makes a
file of your own, so that two versions are fed the same). Then each batch size gets new stores, and every batch
is linked and appended as the writer thread does it. Microseconds are thread time, the median of the rounds;
calls are Python calls and do not depend on who else uses the machine.
"""

import argparse
import atexit
import cProfile
import gc
import os
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench.pin import pin
from bench.run import Cell, load
from bench.targets import LOAD_CPU, ROOT, TARGET_CPU, NotReady, started, stepwarden, stop, upstream
from gateway.recorder import Recorder
from policies.vocabulary.exchanges import Recording
from storage.store import Store

_OUT = "STEPWARDEN_BENCH_RECORDINGS"
_decode = msgspec.msgpack.Decoder(list[Recording]).decode


def child(out: Path) -> None:
    """The gateway, whose recorder also keeps what it is given."""
    from gateway.cli.main import main  # noqa: PLC0415 - only in the child

    kept: list[Recording] = []
    put = Recorder.put

    def keeping(self: Recorder, recording: Recording) -> bool:
        kept.append(recording)
        return put(self, recording)

    Recorder.put = keeping
    atexit.register(lambda: out.write_bytes(msgspec.msgpack.encode(kept)))
    sys.argv[0] = "stepwarden"
    main()


def capture(given: argparse.Namespace, scratch: Path, out: Path) -> None:
    """Keep the recordings of a gateway under load in a file. Raises `NotReady`."""
    with started(upstream(), scratch, cpu=LOAD_CPU) as provider:
        target = stepwarden(provider.target.port, scratch)
        environ = {"PYTHONPATH": str(ROOT), _OUT: str(out)}
        argv = (sys.executable, "-m", "bench.store", *target.argv[1:])
        keeping = msgspec.structs.replace(target, argv=argv, environ=environ)
        with started(keeping, scratch, cpu=TARGET_CPU) as running:
            load(running, Cell("sessions", given.size, given.sessions), given.dialect, given.seconds)
            stop(running.process)
    if not out.exists():
        raise NotReady(f"the gateway kept nothing:\n{running.log_tail()}")


def batches(recordings: Sequence[Recording], size: int) -> Iterator[Sequence[Recording]]:
    """The recordings in batches of one size."""
    return (recordings[at : at + size] for at in range(0, len(recordings), size))


def feed(recordings: Sequence[Recording], size: int, profile: cProfile.Profile | None = None) -> float:
    """Record all of it in a new store; CPU microseconds an exchange."""
    with tempfile.TemporaryDirectory(prefix="stepwarden-store-") as folder:
        store = Store.open(Path(folder) / "data")
        link = vars(Recorder)["_link"]
        recorder = Recorder(store, queue_exchanges=1, queue_bytes=1)
        if profile:
            profile.enable()
        began = time.thread_time_ns()
        for batch in batches(recordings, size):
            store.append([link(recorder, recording) for recording in batch])
        took = time.thread_time_ns() - began
        if profile:
            profile.disable()
        store.close()
    return took / len(recordings) / 1000


def show(profile: cProfile.Profile, exchanges: int, top: int) -> None:
    """Print the dearest functions of a profile."""
    stats = vars(pstats.Stats(profile))["stats"]
    rows: list[tuple[Any, Any]] = sorted(stats.items(), key=lambda item: -item[1][2])[:top]
    for (file, line, name), row in rows:
        where = file.rpartition("site-packages/")[2].removeprefix(f"{ROOT}/")
        own, whole = row[2] * 1e6 / exchanges, row[3] * 1e6 / exchanges
        print(f"  {row[1] / exchanges:7.2f} calls  own {own:7.1f} us  whole {whole:8.1f} us  {where}:{line} {name}")


def measure(recordings: Sequence[Recording], given: argparse.Namespace) -> None:
    """Print one line a batch size, and its profile where one is asked for."""
    sizes = [int(size) for size in given.batches.split(",")]
    took: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(given.rounds):
        for size in sizes:
            took[size].append(feed(recordings, size))
    for size in sizes:
        profile = cProfile.Profile(time.thread_time)
        feed(recordings, size, profile)
        calls = vars(pstats.Stats(profile))["total_calls"] / len(recordings)
        middle = statistics.median(took[size])
        print(f"batches of {size}: {middle:.0f} us, best {min(took[size]):.0f}, {calls:.0f} calls an exchange")
        if given.profile:
            show(profile, len(recordings), given.top)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("1k", "60k"), default="1k")
    parser.add_argument("--dialect", choices=("openai", "anthropic"), default="openai")
    parser.add_argument("--sessions", type=int, default=64, help="how many grow side by side")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load on the gateway")
    parser.add_argument("--batches", default="1,8,64,256")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--top", type=int, default=30)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    pin(LOAD_CPU)
    with tempfile.TemporaryDirectory(prefix="stepwarden-bench-") as scratch:
        kept = given.keep or Path(scratch) / "recordings"
        try:
            if not kept.exists():
                capture(given, Path(scratch), kept)
        except NotReady as failure:
            sys.exit(str(failure))
        recordings = _decode(kept.read_bytes())
    pin(TARGET_CPU)
    gc.freeze()  # what is fed is no garbage, and a gateway holds none of it
    bytes_each = sum(recording.request.length for recording in recordings) / len(recordings)
    print(f"{len(recordings)} exchanges, {bytes_each:.0f} request bytes in the mean")
    measure(recordings, given)


if __name__ == "__main__":
    if _OUT in os.environ:
        child(Path(os.environ[_OUT]))
    else:
        main()
