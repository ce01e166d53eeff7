"""Refusals: what the gateway itself says no to, before or instead of the provider.

Each carries the HTTP status and the machine code that reach the caller inside its own protocol's error
envelope. A refusal tells a client not to try again unless waiting helps (`retry_after`).
"""

from typing import Final

from policies.errors import StepwardenError
from policies.vocabulary.exchanges import Outcome
from policies.vocabulary.verdicts import ReasonCode

_SERVER_ERRORS: Final = 500


class Refused(StepwardenError):
    """The gateway does not pass this request on. Raised before response headers leave."""

    status = 400
    code: str | None = None
    retry_after: int | None = None
    """Seconds after which trying again may help; None means it will not."""

    outcome: Outcome = "refused"
    """How the record names an exchange that ended so."""

    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What the answer must say beyond its status."""

    closes = False
    """True where the connection cannot be used again: its framing or its unread body is not to be trusted."""

    def remedy(self) -> str:
        """What the caller should change; empty where the message says all there is to do."""
        return "Change the request as the message says and send it again."

    @property
    def told(self) -> str:
        """What its caller reads, whatever form it comes in: what happened, and what is the caller's to change."""
        return f"{self} {self.remedy()}".rstrip() if self.status < _SERVER_ERRORS else str(self)

    @property
    def answer_headers(self) -> list[tuple[bytes, bytes]]:
        """What its answer says beside status, type and length: whether to try again, and what becomes of the wire."""
        again = self.retry_after
        headers = [(b"x-should-retry", b"false") if again is None else (b"retry-after", str(again).encode())]
        if self.closes:
            headers.append((b"connection", b"close"))
        return [*headers, *self.headers]


class BadFraming(Refused):
    """The request's framing could be read in two ways."""

    code = "bad_framing"
    closes = True


class HeadersTooLarge(Refused):
    """More or longer headers than the gateway reads."""

    status = 431
    code = "headers_too_large"
    closes = True


class RevisionMissing(Refused):
    """The clauses in force for the app are not at hand; nothing is judged by others in their place."""

    status = 503
    code = "supervision_unavailable"
    retry_after = 1


class TooSlow(Refused):
    """The request did not arrive within its deadline."""

    status = 408
    code = "request_timeout"
    closes = True


class BodyTooLarge(Refused):
    """The body is beyond the cap for paths that carry steps, on the wire or decoded."""

    status = 413
    code = "body_too_large"
    closes = True


class NestedTooDeeply(Refused):
    """The JSON nests deeper than the parser bears."""

    code = "nesting_too_deep"


class UpgradeRefused(Refused):
    """A WebSocket upgrade: clients fall back to HTTP on 426 at once (Codex)."""

    status = 426
    code = "websocket_not_supported"
    headers = ((b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade"))
    """The protocol wanted instead (RFC 9110 sections 7.8 and 15.5.22)."""

    def remedy(self) -> str:
        """Nothing: the same request over HTTP is another one."""
        return ""


class StepRejected(Refused):
    """A clause in force stops what this request would put before the model."""

    def __init__(self, notice: str, *, reason: ReasonCode) -> None:
        super().__init__(notice)
        self.code = reason

    def remedy(self) -> str:
        """Where an app developer reads on."""
        return "docs/REASONS.md says what an app can do about each reason."


class Ambiguous(Refused):
    """JSON that parsers read differently, where a clause acts on what it says."""

    code = "ambiguous_json"

    def remedy(self) -> str:
        """What the caller should send."""
        return "Send each name once and as the wire spells it, whole characters, and numbers that JSON knows."


class Unjudgeable(Refused):
    """The provider's answer cannot be checked, and clauses in force would have to check it."""

    status = 502
    code = "supervision_unavailable"
    outcome = "not_an_answer"


class Unauthenticated(Refused):
    """No valid gateway key where one is needed."""

    status = 401
    code = "invalid_gateway_key"

    def remedy(self) -> str:
        """How to obtain a key."""
        return "Ask the operator for a key made with `stepwarden keys create`; send it where your SDK puts its API key."


class Foreign(Refused):
    """A web page asks, or somebody under a name this gateway does not have."""

    status = 403
    code = "foreign_origin"

    def remedy(self) -> str:
        """How to be let in."""
        return "Use the address the gateway listens on, or add the name to `allowed_hosts` in [gateway]."


class ProviderKeyMissing(Refused):
    """A gateway key was shown, but the gateway has no key of the provider to use for it."""

    status = 500
    code = "provider_key_missing"


class BudgetExhausted(Refused):
    """This key's budget does not cover what the request may cost."""

    status = 429
    code = "limit_reached"

    def remedy(self) -> str:
        """Nothing the caller could change in the request."""
        return ""


class SessionTerminated(Refused):
    """A clause, the monitor or an operator ended this session."""

    code = "session_terminated"

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id)
        self.headers = ((b"stepwarden-session", session_id.encode()),)

    def __str__(self) -> str:
        return "This session has ended; start a new one."

    def remedy(self) -> str:
        """Nothing: no change to the request opens the session again."""
        return ""


class AuditUnavailable(Refused):
    """The audit log cannot be written, and this app's requests must stand in it before they are forwarded."""

    status = 503
    code = "supervision_unavailable"
    retry_after = 1


class TooManyReports(Refused):
    """More reported spans wait to be stored than there is room for; none of this request is kept."""

    status = 429
    code = "too_many_spans"
    retry_after = 1


class ReportsNotStored(Refused):
    """The disk takes no reported spans now; none of this request is acknowledged."""

    status = 503
    code = "storage_failed"
    retry_after = 2


class Overloaded(Refused):
    """More requests in flight than the gateway was told to carry."""

    status = 503
    code = "overloaded"
    retry_after = 1


class LoginNeeded(Refused):
    """A tool server takes no token that the gateway has, and only a person can get another."""

    status = 502
    code = "login_needed"

    @classmethod
    def at(cls, server: str) -> "LoginNeeded":
        """Of a server by its name in the configuration."""
        return cls(f"The tool server wants a login: the operator has to run `stepwarden mcp login {server}`.")

    def remedy(self) -> str:
        """Nothing beyond what it says."""
        return ""


class AuthorizationFailed(Refused):
    """An authorization server could not be asked for a token, or gave none."""

    status = 502
    code = "authorization_failed"
    retry_after = 5

    def remedy(self) -> str:
        """What the operator looks at."""
        return "Check `client_id`, `client_secret_env`, `scopes` and `issuer` of this server, and that it is reachable."


class Draining(Refused):
    """The gateway is shutting down and takes no new requests."""

    status = 503
    code = "shutting_down"
    retry_after = 2


class Failed(Refused):
    """A bug of ours met this request."""

    status = 500
    code = "internal_error"
    retry_after = 1


class UpstreamUnreachable(Refused):
    """No connection to the provider."""

    status = 502
    code = "upstream_unreachable"
    outcome = "upstream_unreachable"
    retry_after = 1


class UpstreamTimedOut(Refused):
    """The provider did not answer within the deadline."""

    status = 504
    code = "upstream_timeout"
    outcome = "timed_out"


class UpstreamBroke(Refused):
    """The provider's connection broke before its response headers."""

    status = 502
    code = "upstream_reset"
    outcome = "upstream_reset"
    retry_after = 1


class UpstreamMalformed(Refused):
    """What the provider sent is no HTTP/1.1 answer that could be passed on; asking again brings the same."""

    status = 502
    code = "upstream_malformed"
    outcome = "not_an_answer"


class NotAnAnswer(Refused):
    """HTML or nothing under status 200: SDKs would take it for an empty answer."""

    status = 502
    code = "upstream_not_an_answer"
    outcome = "not_an_answer"
