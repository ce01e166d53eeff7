"""Strangers: requests of web pages that are not ours, and of callers who know the gateway by another name."""

from gateway.config import Gateway, is_loopback
from gateway.refusals import Foreign
from gateway.stations.ingress import Headers, header


class Strangers:
    """Tells who comes by an address of ours."""

    def __init__(self, gateway: Gateway) -> None:
        self._hosts = frozenset(name.lower() for name in gateway.allowed_hosts)
        self._host = gateway.host.lower()

    def refuse(self, headers: Headers, *, keyed: bool) -> None:
        """Raise `Foreign` for web pages of others, and for callers without a key under a name we do not have."""
        host = (header(headers, b"host") or b"").decode("latin-1").strip().lower()
        origin = header(headers, b"origin")
        if origin is not None and not self._is_ours(origin.decode("latin-1").strip().lower().partition("://")[2]):
            raise Foreign("Requests from this Origin are not answered.")
        if not keyed and not self._is_ours(host):
            raise Foreign("This Host is not one the gateway answers to.")

    def _is_ours(self, host: str) -> bool:
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return is_loopback(name) or name == self._host or host in self._hosts or name in self._hosts
