"""What a long-lived process of the gateway sets once."""

import gc
import sys

from gateway import logs, memory, struct_types

_SWITCH_SECONDS = 0.0005
"""How soon the writer thread yields to the event loop; the default of 5 ms shows in every first byte."""

_COLLECT = (20_000, 20, 50)
"""Collector thresholds: an exchange makes hundreds of short-lived objects and next to no cycles."""


def settle() -> None:
    """Logs, thread switching, allocation."""
    logs.configure()
    struct_types.work_out()
    sys.setswitchinterval(_SWITCH_SECONDS)
    memory.share_one_arena()
    gc.set_threshold(*_COLLECT)


def leave_alone() -> None:
    """Keep the collector off everything that was made to serve, policies included: it stays to the end."""
    struct_types.work_out()  # of what was loaded since
    gc.collect()
    gc.freeze()
    gc.enable()
