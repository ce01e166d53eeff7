"""Callback: where a browser comes back to on this machine once a person has logged in (RFC 8252 section 7.3)."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

from policies.errors import StepwardenError

SECONDS: Final = 600.0
_PATH: Final = "/callback"
_SAID: Final = b"You may close this window and go back to the terminal.\n"
_KEPT: Final = ("code", "state", "iss")


class NotLetIn(StepwardenError):
    """The browser brought back no code."""

    def remedy(self) -> str:
        """What to do."""
        return "Run the command again and agree to what the server asks."


class Callback:
    """A listener on loopback for one answer; a context manager."""

    def __init__(self, port: int) -> None:
        """`port` 0: any."""
        self._answer: dict[str, str] | None = None
        self._came = threading.Event()
        callback = self

        class _Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not callback.take(self.path):
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("content-type", "text/plain; charset=utf-8")
                self.send_header("content-length", str(len(_SAID)))
                self.send_header("cache-control", "no-store")
                self.end_headers()
                self.wfile.write(_SAID)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its path holds the code
                del format, args

        try:
            self._server = HTTPServer(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise NotLetIn(f"port {port} of this machine cannot be listened on ({error.strerror})") from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="stepwarden-callback", daemon=True)

    @property
    def redirect_uri(self) -> str:
        """Where the browser is to come back to."""
        return f"http://127.0.0.1:{self._server.server_port}{_PATH}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, target: str) -> bool:
        """Take what stands in an address; False where that is no answer."""
        parts = urlsplit(target)
        found = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path != _PATH or "state" not in found or self._came.is_set():
            return False
        self._answer = found
        self._came.set()
        return True

    def wait(self) -> dict[str, str]:
        """What came back: `code`, `state` and perhaps `iss`. Raises `NotLetIn`."""
        if not self._came.wait(SECONDS):
            raise NotLetIn("nobody came back from the browser in time")
        found = self._answer or {}
        if "code" not in found:
            raise NotLetIn(f"the server did not let the gateway in ({found.get('error', 'no reason given')[:100]!r})")
        return {name: found[name] for name in _KEPT if name in found}
