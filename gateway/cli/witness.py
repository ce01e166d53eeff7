"""`stepwarden witness`."""

from pathlib import Path

import click

from gateway.cli.options import KEY_NAME, VKEY, config_option, load_config
from policies.errors import StepwardenError


class NoLogs(StepwardenError):
    """A witness was started that knows no log."""

    def __init__(self) -> None:
        super().__init__("a witness that knows no log has nothing to cosign")

    def remedy(self) -> str:
        """Where a vkey comes from."""
        return (
            "Give --log VKEY, once a log, or `logs` in [witness]; its operator finds it with `stepwarden audit head`."
        )


class NoName(StepwardenError):
    """A witness was started that has no name."""

    def __init__(self) -> None:
        super().__init__("a witness without a name has no key to cosign with")

    def remedy(self) -> str:
        """Where a name comes from."""
        return "Give --name, or `key_name` in [witness]: an address of yours such as witness.example/w1."


@click.command()
@config_option
@click.option("--name", type=KEY_NAME, metavar="N", help="Its name in its key, such as witness.example/w1.")
@click.option(
    "--log", "logs", type=VKEY, multiple=True, metavar="VKEY", help="A log to cosign, by its vkey; may be repeated."
)
@click.option("--host", metavar="H", help="Interface to listen on [default: 127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65_535), metavar="P", help="TCP port [default: 8788].")
@click.option(
    "--dir", "directory", metavar="D", help="Where its key and heads are kept [default: ./stepwarden-witness]."
)
def witness(
    config_file: Path | None,
    name: str | None,
    logs: tuple[str, ...],
    host: str | None,
    port: int | None,
    directory: str | None,
) -> int:
    """Cosign the audit logs of other gateways, so that none can show two histories (C2SP tlog-witness).

    Each log asks with POST /add-checkpoint; a head is cosigned only if it extends the one cosigned last. Run it on a
    machine that the log's operator cannot write to. The key is made on first start; its vkey, which is printed, goes
    into the trust policy of those who verify. What no option says is read from [witness] of the configuration.
    """
    settings = load_config(
        config_file,
        witness__key_name=name,
        witness__logs=logs or None,
        witness__host=host,
        witness__port=port,
        witness__directory=directory,
    ).witness
    if settings.key_name is None:
        raise NoName
    if not settings.logs:
        raise NoLogs
    from gateway.witness import listen, serve
    from storage.audit.disk import PosixDisk
    from storage.audit.note import read_vkey
    from storage.audit.signing_key import witness_key_of
    from storage.audit.witness import Witness
    from storage.opening import make_directory

    known = [read_vkey(vkey) for vkey in settings.logs]
    listener = listen(settings.host, settings.port)
    make_directory(settings.directory)
    signer = witness_key_of(settings.directory / "witness.key", settings.key_name)
    disk = PosixDisk(settings.directory / "heads")
    click.echo(f"witness {signer.verifier.vkey}")
    address = f"http://{settings.host}:{settings.port}/add-checkpoint"
    click.echo(f"cosigns {len(known)} {'log' if len(known) == 1 else 'logs'} at {address}")
    serve(Witness(disk, signer, known), listener)
    return 0
