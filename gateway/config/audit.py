"""The section `[audit]`: what the audit log is called, and who watches over it."""

import re
from collections.abc import Iterator

import msgspec

from gateway.config.addresses import url_fault
from gateway.config.table import Table
from gateway.config.written import Mistake, mistaken
from policies.errors import StepwardenError

_ORIGIN = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*")
"""A log's name (C2SP tlog-checkpoint): an address without scheme; as a key's name (C2SP signed-note) without a plus."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log is called, and who watches over it."""

    origin: str | None = None
    """The log's name in its checkpoints and keys, an address of yours without scheme: `logs.example.com/gateway`. It is
    taken when the log begins and stays for good; without it the name is a random one."""

    witnesses: tuple[str, ...] = ()
    """Witnesses that every head of the log is shown to, each as `URL VKEY`; see docs/AUDIT.md."""


def audit_mistakes(audit: Audit, table: Table) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings."""
    if audit.origin is not None and not _ORIGIN.fullmatch(audit.origin):
        remedy = "Write an address without scheme, spaces or plus signs, like logs.example.com/gateway."
        yield mistaken(table.get("origin"), "`origin` in [audit] is no name for a log", remedy)
    given = table.get("witnesses")
    remedy = 'Write "https://witness.example/w1 witness.example/w1+1a2b3c4d+B..."; `stepwarden witness` prints it.'
    for number, each in enumerate(audit.witnesses, 1):
        label = f"witness {number} in [audit]"
        if fault := url_fault(each.partition(" ")[0]):
            yield mistaken(given, f"the URL of {label} {fault}", remedy)
        elif fault := _address_fault(each):
            yield mistaken(given, f"{label}: {fault}", remedy)


def _address_fault(text: str) -> str | None:
    from gateway.witness_address import read_address  # noqa: PLC0415 - only those pay for signatures who name a witness

    try:
        read_address(text)
    except StepwardenError as error:
        return str(error)
    return None
