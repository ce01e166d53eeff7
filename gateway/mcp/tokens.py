"""Tokens: what a worker shows tool servers, as the keeper gave it a moment ago."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.keeper import Keeper
from gateway.mcp.grants import AHEAD_NS
from policies.vocabulary.grants import ToolToken

FRESH_NS: Final = 60 * 10**9
"""How long a worker goes on with a token without asking: a logout holds everywhere after that."""


class Tokens:
    """The tokens of tool servers in one worker."""

    def __init__(self, keeper: Keeper, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._keeper = keeper
        self._now_ns = now_ns
        self._known: dict[str, tuple[ToolToken, int]] = {}
        """By server: a token, and until when it is used without asking."""

    async def of(self, server: str) -> ToolToken:
        """A server's token. Raises `LoginNeeded`, `AuthorizationFailed`."""
        known = self._known.get(server)
        if known is not None and self._now_ns() < known[1]:
            return known[0]
        return await self._asked(server, None)

    async def instead(self, server: str, refused: ToolToken) -> ToolToken:
        """Another one, where a server did not take this. Raises as `of` does."""
        return await self._asked(server, refused.value)

    async def _asked(self, server: str, refused: str | None) -> ToolToken:
        self._known.pop(server, None)
        token = await self._keeper.tool_token(server, refused)
        until = self._now_ns() + FRESH_NS
        if token.expires_ns is not None:
            until = min(until, token.expires_ns - AHEAD_NS)
        self._known[server] = (msgspec.structs.replace(token, made=False), until)
        return token
