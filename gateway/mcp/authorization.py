"""Authorization: how the gateway gets tokens for a tool server, by the rules of the protocol's authorization part.

The official SDK knows the rules: discovery (RFC 9728, RFC 8414), registration (RFC 7591), PKCE, resource indicators
(RFC 8707), issuers (RFC 9207). Its flow is a generator of requests, which are sent here by the gateway's own client:
bounded, never redirected, over TLS or within this machine alone. This is the one door to the SDK; it is loaded with
the first token that is wanted.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from gateway.config import McpServer, is_loopback
from gateway.http import Answer, Headers, Interrupted, ProviderClient
from gateway.refusals import AuthorizationFailed, LoginNeeded, Refused
from policies.errors import StepwardenError
from policies.vocabulary.grants import Grant, LoginAnswer

try:
    import httpx2
    from mcp.client.auth import OAuthClientProvider
    from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
    from mcp.shared.auth import (
        AuthorizationCodeResult,
        OAuthClientInformationFull,
        OAuthClientMetadata,
        OAuthMetadata,
        OAuthToken,
        ProtectedResourceMetadata,
    )
    from pydantic import AnyUrl
except ImportError as missing:
    raise ImportError("OAuth for MCP servers needs the extra `stepwarden[oauth]`") from missing

_SDK_LOG: Final = "mcp.client.auth"
_CONNECT_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 30.0
_LARGEST: Final = 1 << 20
"""Bytes of a document of an authorization server."""

_REVISION: Final = "2025-11-25"
_PROBE: Final = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
_UNAUTHORIZED: Final = 401
_SERVER_ERRORS: Final = 500
_WORD: Final = 40
_PAST: Final = 1.0
_NOT_SENT: Final = frozenset({b"host", b"content-length", b"connection", b"accept-encoding", b"transfer-encoding"})
_HEARD: Final = frozenset({b"content-type", b"www-authenticate"})

Show = Callable[[str], Awaitable[None]]
"""Takes the address at which a person logs in."""


class _OAuthError(msgspec.Struct):
    error: str = ""


class _Kept:
    """The SDK's storage: what is known before, and what it is given."""

    def __init__(self, tokens: OAuthToken | None, client: OAuthClientInformationFull | None) -> None:
        self._tokens = tokens
        self.client = client
        self.fresh: OAuthToken | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """What there was before."""
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """What is new."""
        self.fresh = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Who the gateway is there."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Who it is from now on."""
        self.client = client_info


class Authorization:
    """One tool server's way to tokens."""

    def __init__(self, server: McpServer, secret: str | None) -> None:
        """`secret` goes with the server's `client_id`."""
        assert server.url is not None
        self._server = server
        self._url = server.url
        self._secret = secret
        self._last = ""
        """How the last answer read: for errors, without a word of its own but an OAuth error's name."""
        self._last_status = 0
        # The SDK logs what servers answer, and an answer may hold anything.
        logging.getLogger(_SDK_LOG).setLevel(logging.CRITICAL + 1)

    async def login(self, redirect_uri: str, show: Show, answer: Awaitable[LoginAnswer]) -> Grant:
        """A grant on a person's word (authorization code with PKCE). Raises `AuthorizationFailed`.

        `show` is told where the person goes, `answer` is what comes back from there to `redirect_uri`.
        """

        async def shown(url: str) -> None:
            self._refuse_elsewhere(url)
            self._refuse_issuer(provider)
            await show(url)

        async def answered() -> AuthorizationCodeResult:
            got = await answer
            return AuthorizationCodeResult(code=got.code, state=got.state, iss=got.iss)

        kept = _Kept(None, self._client(redirect_uri))
        wanted = OAuthClientMetadata(client_name="Stepwarden", redirect_uris=[AnyUrl(redirect_uri)], scope=self._scope)
        provider = OAuthClientProvider(self._url, wanted, kept, shown, answered)
        return await self._granted(provider, kept)

    async def as_itself(self) -> Grant:
        """A grant on the gateway's own credentials. Raises `AuthorizationFailed`."""
        server = self._server
        if self._secret is None:
            raise AuthorizationFailed(f"The secret of MCP server `{server.name}` is not in the gateway's environment.")
        assert server.client_id is not None
        kept = _Kept(None, None)
        provider = ClientCredentialsOAuthProvider(
            self._url, kept, server.client_id, self._secret, scope=self._scope, issuer=server.issuer
        )
        return await self._granted(provider, kept)

    async def renewed(self, grant: Grant) -> Grant:
        """Another grant by the token that renews. Raises `LoginNeeded` where none renews any more, or as `login`."""
        client = self._client(None) or OAuthClientInformationFull.model_validate_json(grant.client)
        kept = _Kept(OAuthToken.model_validate_json(grant.tokens), client)
        provider = OAuthClientProvider(self._url, OAuthClientMetadata(redirect_uris=None), kept)
        context = provider.context
        context.token_expiry_time = _PAST
        if grant.metadata is not None:
            context.oauth_metadata = OAuthMetadata.model_validate_json(grant.metadata)
        if grant.resource is not None:
            context.protected_resource_metadata = ProtectedResourceMetadata.model_validate_json(grant.resource)
        return await self._granted(provider, kept, renews=True)

    @property
    def _scope(self) -> str | None:
        return " ".join(self._server.scopes) or None

    def _client(self, redirect_uri: str | None) -> OAuthClientInformationFull | None:
        """The gateway as the configuration names it; None where it is to register itself."""
        if self._server.client_id is None:
            return None
        return OAuthClientInformationFull(
            client_id=self._server.client_id,
            client_secret=self._secret,
            redirect_uris=None if redirect_uri is None else [AnyUrl(redirect_uri)],
            token_endpoint_auth_method="none" if self._secret is None else "client_secret_basic",
        )

    async def _granted(self, provider: OAuthClientProvider, kept: _Kept, *, renews: bool = False) -> Grant:
        try:
            await self._driven(provider, kept, renews=renews)
        except StepwardenError:
            raise
        except Exception as error:  # noqa: BLE001 - the SDK raises of its own and of its libraries' kinds
            # Its own words repeat what servers answered; that may hold anything.
            raise AuthorizationFailed(self._what(f"failed ({type(error).__name__})")) from None
        fresh = kept.fresh
        if fresh is None:
            raise AuthorizationFailed(self._what("gave no token"))
        context = provider.context
        client = context.client_info
        return Grant(
            tokens=fresh.model_dump_json(exclude_none=True).encode(),
            client=b"{}" if client is None else client.model_dump_json(exclude_none=True).encode(),
            metadata=_document(context.oauth_metadata),
            resource=_document(context.protected_resource_metadata),
            expires_ns=None if fresh.expires_in is None else time.time_ns() + fresh.expires_in * 10**9,
        )

    async def _driven(self, provider: OAuthClientProvider, kept: _Kept, *, renews: bool) -> None:
        """Send what the flow wants sent, until it has a token. The request it is for never goes out with one."""
        probe = httpx2.Request(
            "POST",
            self._url,
            headers={
                "content-type": "application/json",
                "accept": "application/json, text/event-stream",
                "mcp-protocol-version": _REVISION,
            },
            content=_PROBE,
        )
        flow = provider.async_auth_flow(probe)
        try:
            request = await anext(flow)
            while kept.fresh is None:
                if request is probe and renews:
                    raise self._not_renewed()
                request = await flow.asend(await self._answer(provider, request, is_probe=request is probe))
        except StopAsyncIteration:
            return
        finally:
            await flow.aclose()

    def _not_renewed(self) -> Refused:
        """Why nothing came of renewing: because it was refused, or because nobody could be asked."""
        if self._last_status >= _SERVER_ERRORS:
            return AuthorizationFailed(self._what("did not renew a token"))
        return LoginNeeded.at(self._server.name)

    async def _answer(
        self, provider: OAuthClientProvider, request: httpx2.Request, *, is_probe: bool
    ) -> httpx2.Response:
        """The answer to one request of the flow. Raises `AuthorizationFailed`."""
        if not is_probe:
            self._refuse_elsewhere(str(request.url))
            if request.method != "GET":
                self._refuse_issuer(provider)
        status, headers, content = await self._sent(request, reads=not is_probe)
        self._last_status = status
        self._last = f"{urlsplit(str(request.url)).netloc} answered {status}{_error_in(content)}"
        if is_probe and status != _UNAUTHORIZED:
            # A server may ask for a token only once a tool is called: what it publishes says where that comes from.
            status, headers, content = _UNAUTHORIZED, [], b""
        return httpx2.Response(status, headers=headers, content=content, request=request)

    async def _sent(self, request: httpx2.Request, *, reads: bool) -> tuple[int, Headers, bytes]:
        """Status, headers and body of one answer; nothing is made of the body of a probe, which may never end."""
        url = request.url
        client = ProviderClient(
            f"{url.scheme}://{url.netloc.decode('ascii')}",
            connect_seconds=_CONNECT_SECONDS,
            idle_seconds=_ANSWER_SECONDS,
        )
        sent = [(name.lower(), value) for name, value in request.headers.raw if name.lower() not in _NOT_SENT]
        sent.append((b"accept-encoding", b"identity"))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await client.send(
                    request.method, url.raw_path.decode("ascii"), sent, bytes(request.content) or None
                )
                try:
                    content = await _body(answer) if reads else b""
                finally:
                    answer.close()
        except (Refused, Interrupted, TimeoutError) as error:
            raise AuthorizationFailed(f"{url.host} could not be asked for a token ({type(error).__name__}).") from None
        finally:
            await client.close()
        heard = [(name.lower(), value) for name, value in answer.headers if name.lower() in _HEARD]
        return answer.status, heard, content

    def _refuse_elsewhere(self, url: str) -> None:
        """Raise `AuthorizationFailed` for an address that what a server publishes may not lead to."""
        parts = urlsplit(url)
        own = urlsplit(self._url)
        within = parts.scheme == "http" and is_loopback(parts.hostname or "") and is_loopback(own.hostname or "")
        if parts.scheme != "https" and not within:
            raise AuthorizationFailed("The tool server sends the gateway to an address without TLS for its tokens.")

    def _refuse_issuer(self, provider: OAuthClientProvider) -> None:
        """Raise `AuthorizationFailed` where another authorization server than the one named is about to be believed."""
        wanted = self._server.issuer
        metadata = provider.context.oauth_metadata
        if wanted is not None and (metadata is None or str(metadata.issuer).rstrip("/") != wanted.rstrip("/")):
            raise AuthorizationFailed("The tool server names another authorization server than `issuer`.")

    def _what(self, fault: str) -> str:
        """One sentence about an attempt that failed."""
        return f"Authorization at MCP server `{self._server.name}` {fault}; {self._last or 'nobody answered'}."


async def _body(answer: Answer) -> bytes:
    """A body, bounded. Raises `Interrupted`, `AuthorizationFailed`."""
    pieces: list[bytes] = []
    while piece := await answer.read():
        pieces.append(piece)
        if sum(map(len, pieces)) > _LARGEST:
            raise AuthorizationFailed("A document of the authorization server is too long.")
    return b"".join(pieces)


def _document(model: Any) -> bytes | None:
    return None if model is None else model.model_dump_json(exclude_none=True).encode()


def _error_in(content: bytes) -> str:
    """The name of an OAuth error, where an answer holds one: a word of RFC 6749, and nothing else of it."""
    try:
        found = msgspec.json.decode(content, type=_OAuthError).error
    except (msgspec.DecodeError, ValueError, RecursionError):
        return ""
    return f" ({found})" if 0 < len(found) <= _WORD and found.isascii() and found.replace("_", "").isalpha() else ""
