"""The sections `[mcp.NAME]`: MCP servers that agents reach through the gateway."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Literal

import msgspec

from gateway.config.addresses import is_plain, url_fault
from gateway.config.gateway import Gateway
from gateway.config.table import Table
from gateway.config.units import Bytes, Seconds
from gateway.config.variables import secret, variable_mistakes
from gateway.config.written import Mistake, mistaken, nearest

_HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NOT_FOR_TOKENS = frozenset({"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"})


class McpServer(msgspec.Struct, frozen=True, kw_only=True):
    """One MCP server that agents reach through this gateway: `/mcp/{name}`, or `stepwarden mcp --server {name}`."""

    name: str
    """The table's own name."""

    url: str | None = None
    """Address of a server over streamable HTTP: http or https URL without user, query or fragment."""

    command: tuple[str, ...] = ()
    """Program and arguments of a server over stdio, run by `stepwarden mcp` where the agent runs."""

    apps: tuple[str, ...] = ()
    """Apps whose callers may use it; none named: every app."""

    tools: tuple[str, ...] = ("*",)
    """Tools that may be listed and called; `*` stands for any run of characters."""

    key_env: str | None = None
    """Name of the environment variable with the server's token; used only for callers who showed a gateway key."""

    key_header: str = "authorization"
    """Header that carries the token; in `authorization` it is a bearer token."""

    oauth: Literal["login", "client_credentials"] | None = None
    """How the gateway itself gets tokens for this server: by a person's `stepwarden mcp login`, or as itself."""

    client_id: str | None = None
    """Who the gateway is at the authorization server; without one it registers itself at each login."""

    client_secret_env: str | None = None
    """Name of the environment variable with the secret that goes with `client_id`; sent to `issuer` alone."""

    scopes: tuple[str, ...] = ()
    """What is asked for; none named: what the server itself asks for."""

    issuer: str | None = None
    """The only authorization server that is believed; without one, whichever the tool server names."""

    pins: Literal["hold", "flag"] = "hold"
    """`hold`: a tool whose definition changed is neither shown nor called until a person approves it."""

    idle_seconds: Seconds = 300.0
    """Longest silence of the server while somebody waits for its answer."""

    message_bytes: Bytes = 16 << 20
    """Largest message read from it or for it."""

    def key(self, environ: Mapping[str, str]) -> str | None:
        """The server's token, read now; None where there is none. Never keep or print it."""
        return secret(environ, self.key_env)

    def client_secret(self, environ: Mapping[str, str]) -> str | None:
        """The secret of `client_id`, read now; None where there is none. Never keep or print it."""
        return secret(environ, self.client_secret_env)


def server_mistakes(
    server: McpServer, table: Table, *, apps: Collection[str], gateway: Gateway | None
) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings; `gateway` is None where it could not be read."""
    if (server.url is None) == (not server.command):
        remedy = 'Write url = "https://..." for streamable HTTP, or command = ["program", "argument"] for stdio.'
        yield mistaken(table.somewhere, f"[mcp.{server.name}] needs a `url` or a `command`, and not both", remedy)
    if any(not piece or "\0" in piece for piece in server.command):
        message = f"`command` of MCP server `{server.name}` holds an empty text"
        yield mistaken(table.somewhere, message, "Leave it out.")
    yield from _url_mistakes(server, table, gateway)
    yield from _access_mistakes(server, table, apps)
    yield from _oauth_mistakes(server, table)


def server_notes(servers: Mapping[str, McpServer]) -> Iterator[str]:
    """What is worth a warning of servers with which nothing is wrong."""
    for name, server in servers.items():
        if server.url is not None and is_plain(server.url):
            yield f"MCP server `{name}` is reached without TLS: tokens and content travel readable"


def _url_mistakes(server: McpServer, table: Table, gateway: Gateway | None) -> Iterator[Mistake]:
    label, given = f"`url` of MCP server `{server.name}`", table.get("url")
    if server.url is None:
        return
    if fault := url_fault(server.url):
        yield mistaken(given, f"{label} {fault}", "Write it like https://tools.example.com/mcp.")
    elif gateway is not None and gateway.is_at(server.url):
        yield mistaken(given, f"{label} is this gateway itself", "Give the server's own address.")


def _access_mistakes(server: McpServer, table: Table, apps: Collection[str]) -> Iterator[Mistake]:
    owner = f"MCP server `{server.name}`"
    yield from variable_mistakes(table.get("key_env"), server.key_env, f"`key_env` of {owner}")
    if not _HEADER_NAME.fullmatch(server.key_header) or server.key_header in _NOT_FOR_TOKENS:
        remedy = "Write a header name in lower case, x-api-key say."
        yield mistaken(table.get("key_header"), f"`key_header` of {owner} cannot carry a token", remedy)
    if server.key_env is not None and server.url is None:
        remedy = "A server over stdio gets its secrets from the environment it is started in."
        yield mistaken(table.get("key_env"), f"`key_env` of {owner} has no `url` to go to", remedy)
    for app in server.apps:
        if app not in apps:
            yield mistaken(table.get("apps"), f"`apps` of {owner} names an unknown app", nearest(app, apps))


def _oauth_mistakes(server: McpServer, table: Table) -> Iterator[Mistake]:
    """What is wrong with the way to tokens."""
    owner = f"MCP server `{server.name}`"
    label, given = f"`oauth` of {owner}", table.get("oauth")
    yield from variable_mistakes(
        table.get("client_secret_env"), server.client_secret_env, f"`client_secret_env` of {owner}"
    )
    if server.oauth is None:
        for setting in ("client_id", "client_secret_env", "scopes", "issuer"):
            if setting in table.settings:
                remedy = 'Add oauth = "login" or oauth = "client_credentials".'
                yield mistaken(table.get(setting), f"`{setting}` of {owner} belongs to `oauth`", remedy)
        return
    if server.url is None:
        yield mistaken(given, f"{label} has no `url` to go to", "Leave it out: stdio has no OAuth.")
    if server.key_env is not None:
        yield mistaken(given, f"{label} and `key_env` both give a token", "Keep one of the two.")
    if missing := _missing(server):
        remedy = "A secret goes only to an issuer that is named."
        yield mistaken(given, f"{label} needs {' and '.join(missing)}", remedy)
    if is_plain(server.url or ""):
        yield mistaken(given, f"{label}: tokens would travel in the clear", "Use https.")
    if server.issuer is not None and (fault := url_fault(server.issuer)):
        yield mistaken(table.get("issuer"), f"`issuer` of {owner} {fault}", "Write its https:// address.")
    if any(not scope or not scope.isprintable() or " " in scope for scope in server.scopes):
        yield mistaken(table.get("scopes"), f"`scopes` of {owner} holds no scope", "Write one a text.")


def _missing(server: McpServer) -> list[str]:
    """What a client with a secret has to give, too."""
    secretive = server.client_secret_env is not None or server.oauth == "client_credentials"
    missing = [each for each in ("client_id", "issuer") if secretive and getattr(server, each) is None]
    if server.oauth == "client_credentials" and server.client_secret_env is None:
        missing.append("client_secret_env")
    return missing
