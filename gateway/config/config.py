"""The whole configuration of a process: flags over environment over file over defaults."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from gateway.config.alerts import Alert
from gateway.config.apps import App
from gateway.config.audit import Audit
from gateway.config.capture import Capture
from gateway.config.gateway import Gateway
from gateway.config.limits import Limits
from gateway.config.mcp import McpServer, server_notes
from gateway.config.optimizer import Optimizer
from gateway.config.prices import Prices
from gateway.config.providers import Provider, provider_notes
from gateway.config.reading import Reading
from gateway.config.sections import PLAIN, settings_of
from gateway.config.sorting import Tables
from gateway.config.supervisor import Supervisor
from gateway.config.telemetry import Telemetry
from gateway.config.tools import Tool
from gateway.config.witness import Witness
from gateway.config.written import ENVIRONMENT_PREFIX, ConfigError, Given, Mistake, Origin, read_environment, read_file


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one process was told."""

    gateway: Gateway
    providers: Mapping[str, Provider]
    apps: Mapping[str, App]
    tools: Mapping[str, Tool]
    capture: Capture
    limits: Limits
    telemetry: Telemetry
    prices: Prices
    audit: Audit = Audit()
    witness: Witness = Witness()
    supervisor: Supervisor = Supervisor()
    optimizer: Optimizer = Optimizer()
    alerts: Mapping[str, Alert] = msgspec.field(default_factory=dict[str, Alert])
    mcp: Mapping[str, McpServer] = {}

    file: Path | None = None
    notes: tuple[str, ...] = ()
    """Sentences worth a warning at start-up; never secrets."""

    @classmethod
    def load(
        cls, path: Path | None = None, *, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
    ) -> Self:
        """Read the configuration, or raise `ConfigError` with every mistake found.

        `overrides` are flags by dotted name, `{"gateway.port": 9000}`; None means the flag was not given.
        """
        here = Path.cwd()
        mistakes: list[Mistake] = []
        given: list[Given] = []
        if path is not None:
            given, mistakes = read_file(path)
        given += read_environment(environ, base=here)
        given += [
            Given(path=tuple(name.split(".")), value=value, origin=Origin(place=f"command line {name}", base=here))
            for name, value in (overrides or {}).items()
            if value is not None
        ]
        tables = Tables(given, here)
        reading = Reading(tables)
        mistakes += [*tables.mistakes, *reading.mistakes]
        if mistakes:
            raise ConfigError(mistakes)
        notes = (*provider_notes(reading.providers), *server_notes(reading.mcp), *_unread(environ))
        return cls(**_settled(reading, here), notes=notes, file=path)

    def outdated(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """The sections that are written otherwise by now. Raises `ConfigError`.

        Without `[gateway]`: what flags said of it is not written anywhere.
        """
        written = type(self).load(self.file, environ=environ)
        sections = (each for each in self.__struct_fields__ if each not in ("gateway", "file", "notes"))
        return tuple(each for each in sections if getattr(written, each) != getattr(self, each))

    def followed(self, name: str) -> str:
        """The app whose policies and revisions an app is under: its own, or `default` where nobody configured it."""
        return name if name in self.apps else "default"

    def app(self, name: str) -> App:
        """The settings of an app; apps nobody configured follow `default`."""
        return self.apps.get(name) or msgspec.structs.replace(self.apps["default"], name=name)


def _unread(environ: Mapping[str, str]) -> Iterator[str]:
    """Variables that name a setting with one underscore where two belong.

    No mistake: a cluster gives `STEPWARDEN_GATEWAY_PORT` to all that runs beside a service of this name.
    """
    for header, section in PLAIN.items():
        for field in settings_of(section):
            name = f"{ENVIRONMENT_PREFIX}{header}_{field.name}".upper()
            if name in environ:
                meant = f"{ENVIRONMENT_PREFIX}{header}__{field.name}".upper()
                yield f"the variable {name} sets nothing: if a setting is meant, write {meant}"


def _settled(reading: Reading, here: Path) -> dict[str, Any]:
    """The sections of a reading without mistakes, with addresses as they are joined to and paths made absolute."""
    assert reading.gateway is not None
    assert reading.witness is not None
    return {
        "gateway": msgspec.structs.replace(reading.gateway, data_dir=here / reading.gateway.data_dir),
        "providers": {
            name: msgspec.structs.replace(each, base_url=each.base_url.rstrip("/"))
            for name, each in reading.providers.items()
        },
        "apps": reading.apps,
        "tools": reading.tools,
        "capture": reading.capture,
        "limits": reading.limits,
        "telemetry": reading.telemetry,
        "prices": reading.prices,
        "audit": reading.audit,
        "witness": msgspec.structs.replace(reading.witness, directory=here / reading.witness.directory),
        "supervisor": reading.supervisor,
        "optimizer": reading.optimizer,
        "alerts": reading.alerts,
        "mcp": reading.mcp,
    }
