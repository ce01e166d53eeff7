"""Grants: what an authorization server gave the gateway for one tool server. Nothing here is ever shown or logged."""

from typing import Literal, TypeAlias

import msgspec

How: TypeAlias = Literal["login", "refresh", "client_credentials"]
"""By what a grant was made: a person's login, the token that renews, or the gateway's own credentials."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to ask a tool server, and to renew that; documents of the RFCs are JSON as they were given."""

    tokens: bytes
    """RFC 6749 section 5.1."""

    client: bytes
    """The gateway as that authorization server knows it, with its secret: RFC 7591 section 3.2.1."""

    metadata: bytes | None = None
    """Of the authorization server: RFC 8414; None where it publishes none."""

    resource: bytes | None = None
    """Of the tool server: RFC 9728; None where it publishes none."""

    expires_ns: int | None = None
    """Unix epoch, nanoseconds; None where nobody said."""

    def __repr__(self) -> str:
        return "Grant(...)"


class ToolToken(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool server is shown."""

    value: str
    expires_ns: int | None = None
    made: bool = False
    """Whether it was made for whoever asks, so that there is no newer one."""

    def __repr__(self) -> str:
        return "ToolToken(...)"


class LoginAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser brought back from an authorization server: RFC 6749 section 4.1.2, RFC 9207."""

    code: str
    state: str
    iss: str | None = None

    def __repr__(self) -> str:
        return "LoginAnswer(...)"
