"""The section `[witness]`: what `stepwarden witness` is called, whose logs it cosigns, and where."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.config.addresses import is_host
from gateway.config.table import Table
from gateway.config.written import Mistake, mistaken
from storage.audit.errors import NoteMalformed


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """What `stepwarden witness` is called, whose logs it cosigns, and where. A gateway reads nothing of it."""

    key_name: str | None = None
    """The witness's name in its key, such as `witness.example/w1`; it needs one, here or as `--name`."""

    logs: tuple[str, ...] = ()
    """The logs it cosigns, each by its vkey, which `stepwarden audit head` prints where the log is."""

    host: str = "127.0.0.1"
    """Interface to listen on; it speaks plain HTTP, so a proxy with TLS belongs in front."""

    port: Annotated[int, Meta(ge=1, le=65_535)] = 8788
    """TCP port."""

    directory: Path = Path("stepwarden-witness")
    """Where its key and the last heads are kept."""


def witness_mistakes(witness: Witness, table: Table) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings."""
    if not is_host(witness.host):
        yield mistaken(table.get("host"), "`host` in [witness] is no address or host name", "Write 127.0.0.1, say.")
    if witness.key_name is not None and (fault := _name_fault(witness.key_name)):
        remedy = "Write an address without scheme, spaces or plus signs, like witness.example/w1."
        yield mistaken(table.get("key_name"), f"`key_name` in [witness]: {fault}", remedy)
    for number, vkey in enumerate(witness.logs, 1):
        if fault := _log_fault(vkey):
            remedy = "Copy the vkey that `stepwarden audit head` prints where the log is."
            yield mistaken(table.get("logs"), f"log {number} in [witness]: {fault}", remedy)


def _name_fault(name: str) -> str | None:
    from storage.audit.note import check_name  # noqa: PLC0415 - only those pay for signatures who are a witness

    try:
        check_name(name)
    except NoteMalformed as error:
        return str(error)
    return None


def _log_fault(vkey: str) -> str | None:
    from storage.audit.note import COSIGNATURE, read_vkey  # noqa: PLC0415 - as above

    try:
        key = read_vkey(vkey)
    except NoteMalformed as error:
        return str(error)
    return "a vkey that is a witness's; a log's is of type Ed25519 (0x01)" if key.algorithm == COSIGNATURE else None
