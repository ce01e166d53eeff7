"""The section `[gateway]`: where the gateway listens and keeps its data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.config.addresses import host_and_port, is_host, is_loopback, is_this_machine
from gateway.config.table import Table
from gateway.config.written import Mistake, mistaken

_LARGEST_PORT = 65535


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Where the gateway listens and keeps its data."""

    host: str = "127.0.0.1"
    """Interface to listen on. Beyond loopback the server refuses to start without gateway keys."""

    port: Annotated[int, Meta(ge=0, le=_LARGEST_PORT)] = 8787
    """TCP port; 0 takes a free one."""

    data_dir: Path = Path("stepwarden-data")
    """Directory of the embedded store; made if missing, readable by its owner alone."""

    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Processes that relay; one of them, or the parent, keeps the store."""

    allowed_hosts: tuple[str, ...] = ()
    """Further `host[:port]` names under which callers may reach the control plane (behind a proxy, say)."""

    def is_at(self, url: str) -> bool:
        """Whether an upstream address, one `url_fault` finds nothing wrong with, is this very listener."""
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        if port != self.port:
            return False
        host = (parts.hostname or "").lower()
        anywhere = self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        here = is_loopback(host) or host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        return (
            host == self.host.lower()
            or (here and (anywhere or is_loopback(self.host)))
            or (anywhere and is_this_machine(host))
        )


def gateway_mistakes(gateway: Gateway, table: Table) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings."""
    if not is_host(gateway.host):
        yield mistaken(table.get("host"), "`host` in [gateway] is no address or host name", "Write 127.0.0.1, say.")
    for allowed in gateway.allowed_hosts:
        if host_and_port(allowed) is None:
            remedy = "Write a name as callers type it: gateway.example.com or gateway.example.com:8443."
            yield mistaken(table.get("allowed_hosts"), "`allowed_hosts` in [gateway] holds no host name", remedy)
