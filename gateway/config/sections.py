"""Every section there is, by its name in the file."""

from collections.abc import Mapping

import msgspec

from gateway.config.alerts import Alert
from gateway.config.apps import App
from gateway.config.audit import Audit
from gateway.config.capture import Capture
from gateway.config.gateway import Gateway
from gateway.config.limits import Limits
from gateway.config.mcp import McpServer
from gateway.config.optimizer import Optimizer
from gateway.config.prices import Prices
from gateway.config.providers import Provider
from gateway.config.supervisor import Supervisor
from gateway.config.telemetry import Telemetry
from gateway.config.tools import Tool
from gateway.config.witness import Witness

PLAIN: Mapping[str, type[msgspec.Struct]] = {
    "gateway": Gateway,
    "capture": Capture,
    "limits": Limits,
    "telemetry": Telemetry,
    "prices": Prices,
    "audit": Audit,
    "witness": Witness,
    "supervisor": Supervisor,
    "optimizer": Optimizer,
}
"""Sections that stand once."""

NAMED: Mapping[str, type[msgspec.Struct]] = {
    "provider": Provider,
    "app": App,
    "tool": Tool,
    "alert": Alert,
    "mcp": McpServer,
}
"""Sections that stand once a name."""


def settings_of(section: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The settings of a section, without the name a table header gives."""
    return tuple(field for field in msgspec.structs.fields(section) if field.name != "name")


def sections() -> Mapping[str, type[msgspec.Struct]]:
    """Every section by its table header, for documentation: `gateway`, `provider.NAME`, ..."""
    return {**PLAIN, **{f"{name}.NAME": section for name, section in NAMED.items()}}


def elsewhere(key: str) -> str:
    """A hint for a remedy: the sections that do have a setting of this name; empty where none has."""
    homes = [
        f"[{header}]" for header, section in sections().items() if key in {each.name for each in settings_of(section)}
    ]
    return f" `{key}` is a setting of {' and '.join(homes)}." if homes else ""
