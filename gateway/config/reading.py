"""The sections, built from their tables; every mistake is noted on the way.

Those of values that are of the right type too: an address nobody can reach, a setting that needs another.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from gateway.config.alerts import Alert, alert_mistakes
from gateway.config.apps import App, app_mistakes
from gateway.config.audit import Audit, audit_mistakes
from gateway.config.capture import Capture
from gateway.config.gateway import Gateway, gateway_mistakes
from gateway.config.limits import Limits
from gateway.config.mcp import McpServer, server_mistakes
from gateway.config.optimizer import Optimizer, optimizer_mistakes
from gateway.config.prices import Prices
from gateway.config.providers import Provider, provider_mistakes
from gateway.config.sections import settings_of
from gateway.config.sorting import Tables
from gateway.config.supervisor import Supervisor, supervisor_mistakes
from gateway.config.table import Table
from gateway.config.telemetry import Telemetry, telemetry_mistakes
from gateway.config.tools import Tool
from gateway.config.witness import Witness, witness_mistakes
from gateway.config.written import Given, Mistake, choices, in_words, mistaken, read_value

Section = TypeVar("Section", bound=msgspec.Struct)

RESERVED = ("api", "mcp", "v1", "metrics", "healthz", "readyz", "assets")
"""First path segments of the gateway itself; no provider may be called so."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TOOL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}")


class Reading:
    """One pass over the tables. A section that could not be built is None, and its mistakes are noted."""

    def __init__(self, tables: Tables) -> None:
        self.mistakes: list[Mistake] = []
        self._tables = tables
        self.gateway = self._plain("gateway", Gateway)
        self.capture = self._plain("capture", Capture)
        self.limits = self._plain("limits", Limits)
        self.telemetry = self._plain("telemetry", Telemetry)
        self.prices = self._plain("prices", Prices)
        self.audit = self._plain("audit", Audit)
        self.witness = self._plain("witness", Witness)
        self.supervisor = self._plain("supervisor", Supervisor)
        self.optimizer = self._plain("optimizer", Optimizer)
        named = self._named("provider", Provider)
        self.providers = {name: each for name, each in named.items() if each.enabled}
        self.apps = self._named("app", App)
        self.tools = self._named("tool", Tool)
        self.alerts = self._named("alert", Alert)
        self.mcp = self._named("mcp", McpServer)
        self.mistakes += self._examined()

    def _plain(self, name: str, section: type[Section]) -> Section | None:
        return self._build(section, name, self._tables.plain[name])

    def _named(self, kind: str, section: type[Section]) -> dict[str, Section]:
        built: dict[str, Section] = {}
        for name, table in self._tables.named[kind].items():
            if fault := _name_fault(kind, name):
                self.mistakes.append(mistaken(table.somewhere, *fault))
            elif (each := self._build(section, f"{kind}.{name}", table, name=name)) is not None:
                built[name] = each
        return built

    def _build(self, section: type[Section], header: str, table: Table, **values: Any) -> Section | None:
        """A section from its settings, or None with the mistakes noted."""
        before = len(self.mistakes)
        for field in settings_of(section):
            given = table.get(field.name)
            if given is not None:
                self._read(field, header, given, values)
            elif field.required:
                message, remedy = f"[{header}] needs `{field.name}`", f"Add {field.name} = ... to [{header}]."
                self.mistakes.append(mistaken(table.somewhere, message, remedy))
        return section(**values) if len(self.mistakes) == before else None

    def _read(self, field: msgspec.structs.FieldInfo, header: str, given: Given, values: dict[str, Any]) -> None:
        label = f"`{field.name}` in [{header}]"
        try:
            values[field.name] = read_value(given, field.type)
        except (msgspec.ValidationError, ValueError, RecursionError) as error:
            admitted = () if str(error).startswith("Expected `array`") else choices(field.type)
            remedy = f"Use one of: {', '.join(admitted)}." if admitted else "See docs/CONFIG.md for what it takes."
            reason = "has no such value" if admitted else _misfit(error, field.type)
            self.mistakes.append(mistaken(given, f"{label}: {reason}", remedy))

    def _examined(self) -> Iterator[Mistake]:
        """What values mean beyond their types, in every section that could be built."""
        plain, named, gateway = self._tables.plain, self._tables.named, self.gateway
        for name, alert in self.alerts.items():
            yield from alert_mistakes(alert, named["alert"][name])
        for name, app in self.apps.items():
            yield from app_mistakes(app, named["app"][name])
        if gateway is not None:
            yield from gateway_mistakes(gateway, plain["gateway"])
        if self.telemetry is not None:
            yield from telemetry_mistakes(self.telemetry, plain["telemetry"])
        yield from self._examined_of_the_log()
        if self.optimizer is not None:
            yield from optimizer_mistakes(self.optimizer, plain["optimizer"], self.supervisor)
        if self.supervisor is not None:
            yield from supervisor_mistakes(self.supervisor, plain["supervisor"], gateway)
        for name, provider in self.providers.items():
            yield from provider_mistakes(provider, named["provider"][name], gateway)
        for name, server in self.mcp.items():
            yield from server_mistakes(server, named["mcp"][name], apps=self.apps, gateway=gateway)

    def _examined_of_the_log(self) -> Iterator[Mistake]:
        """The same of the audit log here, and of those elsewhere that are cosigned here."""
        if self.audit is not None:
            yield from audit_mistakes(self.audit, self._tables.plain["audit"])
        if self.witness is not None:
            yield from witness_mistakes(self.witness, self._tables.plain["witness"])


def _misfit(error: Exception, kind: Any) -> str:
    """Why a value is none of this type: in words, unless what the decoder says is about the form of a text."""
    said = str(error).replace("`", "'").rstrip(".")
    if not said.startswith("Expected") or "regex" in said or "length" in said:
        return said
    wanted = in_words(kind)
    return f"is not {wanted}" if wanted.startswith(("text", "true")) else f"is not a {wanted}"


def _name_fault(kind: str, name: str) -> tuple[str, str] | None:
    """Why a table may not be called so, with the remedy; None where it may."""
    if kind == "tool":
        remedy = "Write the name agents call it by: letters, digits, `_`, `.`, `:`, `/` and `-`."
        return None if _TOOL.fullmatch(name) else ("[tool] name is no tool's", remedy)
    if not _NAME.fullmatch(name):
        remedy = "Use lower-case letters, digits, `_` and `-`, starting with a letter or digit."
        return f"[{kind}] name is not usable in a URL or header", remedy
    if kind != "provider":
        return None
    if name in RESERVED:
        return f"provider name `{name}` is reserved", f"Reserved: {', '.join(RESERVED)}."
    if any(reserved.startswith(name) for reserved in RESERVED):
        # Whoever reads `/ap/sessions/ID` should not wonder whether `/api/sessions/ID` was meant.
        remedy = f"Choose a longer one; reserved are {', '.join(RESERVED)}."
        return f"provider name `{name}` is the beginning of a reserved one", remedy
    return None
