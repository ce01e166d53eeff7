"""`stepwarden witness`."""

from pathlib import Path

import click

from gateway.cli.options import KEY_NAME, VKEY
from policies.errors import StepwardenError


class NoLogs(StepwardenError):
    """A witness was started that knows no log."""

    def __init__(self) -> None:
        super().__init__("a witness that knows no log has nothing to cosign")

    def remedy(self) -> str:
        """Where a vkey comes from."""
        return "Give --log VKEY, once a log; its operator finds it with `stepwarden audit head`."


@click.command()
@click.option(
    "--name",
    type=KEY_NAME,
    required=True,
    metavar="N",
    help="The witness's name in its key, such as witness.example/w1.",
)
@click.option(
    "--log", "logs", type=VKEY, multiple=True, metavar="VKEY", help="A log to cosign, by its vkey; may be repeated."
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="H", help="Interface to listen on.")
@click.option("--port", default=8788, show_default=True, type=click.IntRange(1, 65_535), metavar="P", help="TCP port.")
@click.option(
    "--dir",
    "directory",
    default="stepwarden-witness",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="D",
    help="Where its key and the last heads are kept.",
)
def witness(name: str, logs: tuple[str, ...], host: str, port: int, directory: Path) -> int:
    """Cosign the audit logs of other gateways, so that none can show two histories (C2SP tlog-witness).

    Each log asks with POST /add-checkpoint; a head is cosigned only if it extends the one cosigned last. Run it on a
    machine that the log's operator cannot write to. The key is made on first start; its vkey, which is printed, goes
    into the trust policy of those who verify.
    """
    from gateway.witness import listen, serve
    from storage.audit.disk import PosixDisk
    from storage.audit.note import read_vkey
    from storage.audit.signing_key import witness_key_of
    from storage.audit.witness import Witness
    from storage.opening import make_directory

    if not logs:
        raise NoLogs
    known = [read_vkey(vkey) for vkey in logs]
    listener = listen(host, port)
    make_directory(directory)
    signer = witness_key_of(directory / "witness.key", name)
    disk = PosixDisk(directory / "heads")
    click.echo(f"witness {signer.verifier.vkey}")
    click.echo(f"cosigns {len(known)} {'log' if len(known) == 1 else 'logs'} at http://{host}:{port}/add-checkpoint")
    serve(Witness(disk, signer, known), listener)
    return 0
