"""Sources: where evidence comes from."""

import msgspec

from gateway.api.ports import HoldReader, InForce, ModeReader, Records
from gateway.api.reading import Reader


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """The reading slices of the house; all of them are safe from any thread."""

    records: Records
    holds: HoldReader
    modes: ModeReader
    in_force: InForce
    reader: Reader
