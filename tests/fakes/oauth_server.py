"""A tool server that wants tokens and an authorization server that gives them, both made with the official SDK.

Each listens on a port of its own, in a thread; what they were shown is remembered, and a test can change their minds.
"""

import asyncio
import base64
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import create_auth_routes
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions
from mcp.server.mcpserver import MCPServer
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

SERVICE = ("service-1", "service-secret-canary-81d0")
"""Id and secret of a client that asks as itself."""


class Authority:
    """The authorization server, and the tokens there are. Satisfies the SDK's provider."""

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.clients: dict[str, OAuthClientInformationFull] = {}
        self.codes: dict[str, AuthorizationCode] = {}
        self.access: dict[str, AccessToken] = {}
        self.renewing: dict[str, RefreshToken] = {}
        self.given: set[str] = set()
        """Values of all access tokens there ever were."""
        self.asked: list[dict[str, str]] = []
        """Forms that came to the token endpoint."""
        self.lasts = 3600
        """Seconds a token is good for, as it says."""
        self.fault: tuple[int, dict[str, str]] | None = None
        """What the token endpoint answers instead, whatever it is asked."""

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self.clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        """The person agrees at once."""
        code = AuthorizationCode(
            code=f"code-canary-{secrets.token_hex(16)}",
            scopes=params.scopes or [],
            expires_at=time.time() + 60,
            client_id=client.client_id,
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
        )
        self.codes[code.code] = code
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        del client
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self.codes[authorization_code.code]
        return self._given(client.client_id, authorization_code.scopes, authorization_code.resource)

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> RefreshToken | None:
        del client
        return self.renewing.get(refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        """A renewing token serves once."""
        del scopes
        del self.renewing[refresh_token.token]
        return self._given(client.client_id, refresh_token.scopes, refresh_token.resource)

    async def load_access_token(self, token: str) -> AccessToken | None:
        return self.access.get(token)

    async def verify_token(self, token: str) -> AccessToken | None:
        """What the tool server asks of each token."""
        return self.access.get(token)

    async def revoke_token(self, token: AccessToken | RefreshToken) -> None:
        self.access.pop(token.token, None)

    def _given(self, client_id: str, scopes: list[str], resource: str | None, *, renews: bool = True) -> OAuthToken:
        value, renewing = (f"{kind}-canary-{secrets.token_hex(16)}" for kind in ("access", "renewing"))
        self.given.add(value)
        self.access[value] = AccessToken(token=value, client_id=client_id, scopes=scopes, resource=resource)
        if renews:
            self.renewing[renewing] = RefreshToken(
                token=renewing, client_id=client_id, scopes=scopes, resource=resource
            )
        return OAuthToken(
            access_token=value,
            expires_in=self.lasts,
            scope=" ".join(scopes),
            refresh_token=renewing if renews else None,
        )

    def as_itself(self, request: Request, form: dict[str, str]) -> JSONResponse:
        """The grant that the SDK's server does not know: a client on its own word (RFC 6749 section 4.4)."""
        expected = base64.b64encode(":".join(SERVICE).encode()).decode()
        if request.headers.get("authorization") != f"Basic {expected}":
            return JSONResponse({"error": "invalid_client"}, 401)
        token = self._given(SERVICE[0], form.get("scope", "").split(), form.get("resource"), renews=False)
        return JSONResponse(token.model_dump(exclude_none=True))


class Pair:
    """Both servers, as a test sees them."""

    def __init__(self) -> None:
        self._sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        own, other = (each.getsockname()[1] for each in self._sockets)
        self.url = f"http://127.0.0.1:{own}/mcp"
        self.issuer = f"http://127.0.0.1:{other}"
        self.authority = Authority(self.url)
        self.shown: list[str | None] = []
        """`authorization` of every request to the tool server."""
        self.headers: list[dict[str, str]] = []
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._servers: list[uvicorn.Server] = []
        self._up = threading.Event()

    def _tools(self) -> Any:
        settings = AuthSettings(
            issuer_url=AnyHttpUrl(self.issuer),
            resource_server_url=AnyHttpUrl(self.url),
            required_scopes=["tools"],
            validate_token_resource=True,
        )
        server = MCPServer("vault", token_verifier=self.authority, auth=settings)

        @server.tool()
        def look(at: str) -> str:
            """Look at something."""
            return f"Saw {at}."

        app = server.streamable_http_app(json_response=True, stateless_http=True)

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http" and scope["path"] == "/mcp":
                headers = {name.decode(): value.decode() for name, value in scope["headers"]}
                self.headers.append(headers)
                self.shown.append(headers.get("authorization"))
            await app(scope, receive, send)

        return noting

    def _authority_app(self) -> Any:
        options = ClientRegistrationOptions(enabled=True, valid_scopes=["tools"], default_scopes=["tools"])
        routes = create_auth_routes(self.authority, AnyHttpUrl(self.issuer), client_registration_options=options)
        tokens = next(route for route in routes if route.path == "/token")

        class Tokens:
            async def __call__(inner, scope: Any, receive: Any, send: Any) -> None:  # noqa: N805 - self is the pair
                request = Request(scope, receive)
                body = await request.body()

                async def again() -> Any:
                    return {"type": "http.request", "body": body, "more_body": False}

                form = {name: str(value) for name, value in (await Request(scope, again).form()).items()}
                self.authority.asked.append(form)
                if self.authority.fault is not None:
                    status, said = self.authority.fault
                    await JSONResponse(said, status)(scope, again, send)
                elif form.get("grant_type") == "client_credentials":
                    await self.authority.as_itself(request, form)(scope, again, send)
                else:
                    await tokens.app(scope, again, send)

        others = [route for route in routes if route is not tokens]
        return Starlette(routes=[*others, Route("/token", Tokens(), methods=["POST"])])

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        apps = (self._tools(), self._authority_app())
        self._servers = [
            uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on" if at == 0 else "off", ws="none"))
            for at, app in enumerate(apps)
        ]
        tasks = [
            asyncio.create_task(server.serve(sockets=[listener]))
            for server, listener in zip(self._servers, self._sockets, strict=True)
        ]
        self._up.set()
        await asyncio.gather(*tasks)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.should_exit = True
        self._thread.join(20)


@contextmanager
def guarded_server() -> Iterator[Pair]:
    """A tool server that wants tokens, with its authorization server."""
    with Pair() as pair:
        yield pair
