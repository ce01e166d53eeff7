"""`stepwarden serve`."""

import gc
from pathlib import Path

import click

from gateway.cli.options import config_option, load_config


@click.command()
@config_option
@click.option("--host", metavar="H", help="Interface to listen on [default: 127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), metavar="P", help="TCP port [default: 8787].")
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Processes that relay [default: 1].")
@click.option("--data-dir", metavar="D", help="Where the store lives [default: ./stepwarden-data].")
def serve(
    config_file: Path | None, host: str | None, port: int | None, workers: int | None, data_dir: str | None
) -> int:
    """Run the gateway until SIGTERM or Ctrl-C; open streams may finish, and nothing recorded is lost.

    Needs no configuration file. Logs go to stderr as JSON lines. A second Ctrl-C waits for no stream.
    """
    gc.disable()  # an eighth of a start goes into looking for garbage where next to none is; `serve` puts it on again
    config = load_config(
        config_file, gateway__host=host, gateway__port=port, gateway__workers=workers, gateway__data_dir=data_dir
    )
    from gateway.serving.gateway import run

    return run(config)
