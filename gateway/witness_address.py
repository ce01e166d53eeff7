"""Where a witness answers and by which key it is known: `URL VKEY`, as the configuration has it."""

import msgspec

from storage.audit.errors import NoteMalformed
from storage.audit.note import COSIGNATURE, Verifier, read_vkey


class WitnessAddress(msgspec.Struct, frozen=True):
    """One witness."""

    url: str
    """What stands before `/add-checkpoint`."""

    verifier: Verifier


def read_address(text: str) -> WitnessAddress:
    """An address from its text. Raises `NoteMalformed`; the URL is not looked at."""
    url, _, vkey = text.partition(" ")
    verifier = read_vkey(vkey.strip())
    if verifier.algorithm != COSIGNATURE:
        raise NoteMalformed("a vkey that is a log's; a witness's is of type cosignature (0x04)")
    return WitnessAddress(url.rstrip("/"), verifier)
