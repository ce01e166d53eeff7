"""The demo provider as a program: `python -m gateway.demo.provider --port 0`.

Prints one JSON line with its URL on stdout once it listens, and serves until SIGTERM or SIGINT.
"""

import asyncio
import signal
import sys

import click
import msgspec
import uvloop

from gateway.demo.metronome import Metronome
from gateway.demo.playback import Playback, load_runs
from gateway.demo.provider import Provider, Script
from gateway.demo.scenarios import HEADER, SCENARIOS, Scenarios


async def _serve(script: Script, host: str, port: int) -> None:
    provider = Provider(script, keep=0)
    url = await provider.start(host, port)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    sys.stdout.buffer.write(msgspec.json.encode({"url": url}) + b"\n")
    sys.stdout.flush()
    await ended.wait()
    await provider.stop()


@click.command(help=f"Serve canned replies of three wire formats. `{HEADER}: NAME` in a request picks a scenario.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=0, show_default=True, help="0 takes a free one.")
@click.option("--scenario", default="ok", show_default=True, help=f"Without the header: {', '.join(SCENARIOS)}.")
@click.option("--playback", is_flag=True, help="Play the recorded runs of the demo.")
@click.option("--reply-bytes", type=int, help="JSON replies of this size.")
@click.option("--chunks", type=int, help="Streams of this many text deltas.")
@click.option("--pace-ms", type=float, default=0.0, help="Milliseconds between events; with --chunks.")
@click.option("--stamp", is_flag=True, help="Each delta carries the monotonic clock in nanoseconds; with --chunks.")
def run(
    *,
    host: str,
    port: int,
    scenario: str,
    playback: bool,
    reply_bytes: int | None,
    chunks: int | None,
    pace_ms: float,
    stamp: bool,
) -> None:
    """Serve until told to stop."""
    script: Script
    if playback:
        script = Scenarios(Playback(load_runs()))
    elif reply_bytes is not None or chunks is not None:
        metronome = Metronome(reply_bytes=reply_bytes or 1024, chunks=chunks or 50, pace=pace_ms / 1000, stamp=stamp)
        script = metronome
    else:
        script = Scenarios(scenario)
    try:
        uvloop.run(_serve(script, host, port))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error
