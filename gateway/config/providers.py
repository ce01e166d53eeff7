"""The sections `[provider.NAME]`: LLM providers behind the gateway."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from gateway.config.addresses import is_plain, url_fault
from gateway.config.gateway import Gateway
from gateway.config.table import Table
from gateway.config.variables import secret, variable_mistakes
from gateway.config.written import Mistake, mistaken

DialectName: TypeAlias = Literal["anthropic", "openai", "raw"]

SHIPPED: Mapping[str, Mapping[str, Any]] = {
    "anthropic": {
        "dialect": "anthropic",
        "base_url": "https://api.anthropic.com",
        "key_env": "ANTHROPIC_API_KEY",
    },
    "openai": {"dialect": "openai", "base_url": "https://api.openai.com", "key_env": "OPENAI_API_KEY"},
}
"""Providers that are there before anybody writes anything."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One LLM provider: `/{name}/REST` is relayed to `{base_url}/REST`."""

    name: str
    """The table's own name."""

    dialect: DialectName
    """Wire format; `raw` is relayed and recorded without being understood."""

    base_url: str
    """http or https URL without user, query, fragment or trailing slash."""

    key_env: str | None = None
    """Name of the environment variable with the provider's key; used only for callers who showed a gateway key."""

    enabled: bool = True
    """False takes a shipped provider away."""

    def key(self, environ: Mapping[str, str]) -> str | None:
        """The provider's key, read now, without the newline a secret file ends in; None where there is none.

        Never keep or print it.
        """
        return secret(environ, self.key_env)


def provider_mistakes(provider: Provider, table: Table, gateway: Gateway | None) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings; `gateway` is None where it could not be read."""
    label, given = f"`base_url` of provider `{provider.name}`", table.get("base_url")
    if fault := url_fault(provider.base_url):
        yield mistaken(given, f"{label} {fault}", "Write it like https://api.example.com/path.")
    elif gateway is not None and gateway.is_at(provider.base_url):
        remedy = "Give the provider's own address; requests would go round in circles."
        yield mistaken(given, f"{label} is this gateway itself", remedy)
    yield from variable_mistakes(table.get("key_env"), provider.key_env, f"`key_env` of provider `{provider.name}`")


def provider_notes(providers: Mapping[str, Provider]) -> Iterator[str]:
    """What is worth a warning of providers with which nothing is wrong."""
    if not providers:
        yield "every provider is disabled: nothing can be relayed"
    for name, provider in providers.items():
        if is_plain(provider.base_url):
            yield f"provider `{name}` is reached without TLS: keys and content travel readable"
