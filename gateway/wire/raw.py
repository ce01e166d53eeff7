"""The dialect of providers whose wire the gateway does not read: everything is relayed and recorded as bytes."""

from collections.abc import Sequence

from gateway.wire import openai_envelope as envelope
from gateway.wire.interface import Operation, Reply, ReplyReader, RequestView
from gateway.wire.requests import Kind
from policies.vocabulary.steps import Part


class Raw:
    """Relay only."""

    name = "raw"

    def operation(self, method: str, path: str) -> Operation:  # noqa: ARG002 - nothing is known of any path
        """Always `other`."""
        return "other"

    def read_request(self, body: bytes, operation: Operation) -> RequestView:  # noqa: ARG002 - bodies are not read
        """A view of nothing."""
        return RequestView(operation=operation)

    def parts(self, body: bytes, view: RequestView, cut: int) -> tuple[Part, ...]:  # noqa: ARG002 - no cuts
        """No parts."""
        return ()

    def parts_of(self, value: bytes, kind: Kind) -> tuple[Part, ...]:  # noqa: ARG002 - no cuts
        """No parts."""
        return ()

    def reply_reader(self, operation: Operation, *, stream: bool, choices: int = 1) -> ReplyReader:  # noqa: ARG002 - replies are not read
        """A reader that reads nothing."""
        return _Unread()

    def error_body(self, status: int, message: str, exchange_id: str, *, code: str | None = None) -> bytes:
        """An error of ours in the envelope most servers use."""
        return envelope.error_body(status, message, exchange_id, code)


class _Unread:
    """Every reply is whole when its bytes end: this wire has no end of its own that we know."""

    complete = True
    ended = False

    def feed(self, data: bytes, at_ns: int) -> Sequence[Part]:  # noqa: ARG002 - nothing is read
        """Nothing."""
        return ()

    def close(self, at_ns: int) -> Reply:  # noqa: ARG002 - nothing is read
        """A complete reply without parts."""
        return Reply(complete=True)

    def terminal_error(self, message: str, exchange_id: str) -> bytes:  # noqa: ARG002 - no known shape
        """Nothing: no shape of ours would mean anything here."""
        return b""
