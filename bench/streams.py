"""Do many streams at once stay clean? 512 concurrent streams through two workers, counted chunk by chunk.

    python -m bench.streams [--streams 512] [--workers 2] [--seconds 10] [--pace-ms 100] [--json F]

Clean means: status 200, every chunk of the provider arrived once, the terminal event was seen, and the connection
did not break. All of them must also stand in the store as complete.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.conditions import conditions, load_average
from bench.payloads import PATHS
from bench.processes import memory, settle
from bench.recorded import recorded
from bench.run import answer_of
from bench.targets import ROOT, NotReady, started, stepwarden, upstream


def streams(given: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Run it; the gateway may use every core, as two workers would."""
    before = conditions(given.dialect)
    with started(upstream(), scratch, cpu=None) as provider:
        target = stepwarden(provider.target.port, scratch, workers=given.workers)
        assert target.data_dir is not None
        with started(target, scratch, cpu=None) as running:
            argv = [
                sys.executable, "-m", "bench.load", "--port", str(target.port), "--prefix",
                target.prefixes[given.dialect], "--dialect", given.dialect, "--kind", "stream", "--concurrency",
                str(given.streams), "--seconds", str(given.seconds), "--pace-ms", str(given.pace_ms), "--warmup", "0",
                "--exchanges", str(running.exchanges),
            ]  # fmt: skip
            child = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT)
            try:
                child.wait(given.seconds + 90)
                figures = answer_of(child)
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
            settle(running.process.pid)
            counted = recorded(target.data_dir, running.exchanges)
            seen = memory(running.process.pid)
            tail = running.log_tail()
    if figures["clean_streams"] != figures["sent"]:
        print(tail, file=sys.stderr)
    return {
        "conditions": {**before, "pinning": "none", "load_average_after": load_average()},
        "workers": given.workers,
        "concurrent": given.streams,
        "recorded_complete": counted.complete,
        "largest_rss_mb": seen.largest_rss,
        **figures,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--pace-ms", type=float, default=100.0)
    parser.add_argument("--dialect", choices=tuple(PATHS), default="openai")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="stepwarden-streams-") as scratch:
            result = streams(given, Path(scratch))
    except NotReady as failure:
        sys.exit(str(failure))
    print(
        f"{result['clean_streams']} of {result['sent']} streams clean, {given.streams} at once, "
        f"{given.workers} workers; "
        f"recorded complete {result['recorded_complete']}; largest RSS {result['largest_rss_mb']} MB\n"
        f"time to first chunk p50 {result['ttfc_ms']['p50']} ms, p99 {result['ttfc_ms']['p99']} ms; "
        f"chunk lag p50 {result['lag_ms']['p50']} ms, p99 {result['lag_ms']['p99']} ms"
    )
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if result["clean_streams"] == result["sent"] == result["recorded_complete"] else 1)


if __name__ == "__main__":
    main()
