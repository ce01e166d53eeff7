"""Couriers: one for each alert, with a bounded bag. What cannot be delivered is tried again, less and less often."""

import asyncio
import logging
import secrets
import smtplib
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, final
from urllib.parse import urlsplit

from gateway.alerts import letter
from gateway.alerts.watch import Notice
from gateway.config import Alert, is_loopback
from gateway.endpoint import Endpoint
from gateway.times import rfc3339
from supervisors.ports import Unposted

log = logging.getLogger("stepwarden.alerts")

_BAG: Final = 200
"""Notices that wait at most; the oldest goes for the next, and is counted."""

_AGAIN_SECONDS: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_ANSWER_BYTES: Final = 65_536
_SECONDS: Final = 10.0
_WORTH_ANOTHER: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500


class Undelivered(Exception):
    """It did not arrive; `final` where trying again cannot help. Never holds an address, for that may be a secret."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


@final
class Courier:
    """Belongs to one event loop."""

    def __init__(
        self,
        alert: Alert,
        environ: Mapping[str, str],
        dashboard: Callable[[], str],
        *,
        pauses: tuple[float, ...] = _AGAIN_SECONDS,
    ) -> None:
        self._alert = alert
        self._environ = environ
        self._dashboard = dashboard
        self._pauses = pauses
        self._bag: deque[Notice] = deque()
        self._filled = asyncio.Event()
        self._endpoint: Endpoint | None = None
        self.delivered = self.lost = 0

    def put(self, notice: Notice) -> None:
        """Take a notice; never waits."""
        if len(self._bag) >= _BAG:
            self._bag.popleft()
            self.lost += 1
        self._bag.append(notice)
        self._filled.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            await self._filled.wait()
            while self._bag:
                await self._carry(self._bag.popleft())
            self._filled.clear()

    async def close(self) -> None:
        """Close what is open."""
        if self._endpoint is not None:
            await self._endpoint.close()

    async def _carry(self, notice: Notice) -> None:
        """Deliver one; whatever is wrong with it is counted, and must not keep the next ones back."""
        try:
            await self._deliver(notice)
        except Exception:
            self.lost += 1
            log.exception("an alert could not be written", extra={"alert": self._alert.name})

    async def _deliver(self, notice: Notice) -> None:
        message_id, at_ns = f"msg_{secrets.token_hex(12)}", time.time_ns()
        for pause in (*self._pauses, None):
            try:
                await self._send(notice, message_id, at_ns)
            except Undelivered as error:
                log.warning("an alert was not delivered", extra={"alert": self._alert.name, "reason": str(error)})
                if error.final or pause is None:
                    self.lost += 1
                    return
                await asyncio.sleep(pause)
            else:
                self.delivered += 1
                return

    async def _send(self, notice: Notice, message_id: str, at_ns: int) -> None:
        dashboard = self._dashboard()
        if self._alert.to == "email":
            await asyncio.to_thread(self._mail, notice, dashboard)
        elif self._alert.to == "slack":
            await self._post(letter.slack(notice, dashboard), ())
        else:
            body, seconds = letter.webhook(notice, dashboard, rfc3339(at_ns)), int(time.time())
            headers = [(b"webhook-id", message_id.encode()), (b"webhook-timestamp", str(seconds).encode())]
            if secret := self._secret(self._alert.secret_env):
                signed = letter.signature(secret, message_id, seconds, body)
                headers.append((b"webhook-signature", signed.encode()))
            await self._post(body, tuple(headers))

    async def _post(self, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        url = self._secret(self._alert.url_env)
        if url is None:
            raise Undelivered("the environment variable with its address is empty", final=True)
        if self._endpoint is None:
            self._endpoint = Endpoint(url)
        try:
            async with asyncio.timeout(_SECONDS):
                posted = await self._endpoint.post(body, key=None, most=_ANSWER_BYTES, headers=headers)
        except TimeoutError:
            raise Undelivered("timed_out") from None
        except Unposted as error:
            raise Undelivered(error.why) from None
        if not 200 <= posted.status < 300:  # noqa: PLR2004 - success
            again = posted.status in _WORTH_ANOTHER or posted.status >= _SERVER_ERROR
            raise Undelivered(f"status {posted.status}", final=not again)

    def _mail(self, notice: Notice, dashboard: str) -> None:
        alert = self._alert
        parts = urlsplit(alert.smtp or "")
        host = parts.hostname or ""
        try:
            if parts.scheme == "smtps":
                secured = ssl.create_default_context()
                server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=_SECONDS, context=secured)
            else:
                server = smtplib.SMTP(host, parts.port or 587, timeout=_SECONDS)
            with server:
                if parts.scheme == "smtp" and not is_loopback(host):
                    server.starttls(context=ssl.create_default_context())
                if alert.smtp_user and (password := self._secret(alert.smtp_password_env)):
                    server.login(alert.smtp_user, password)
                server.send_message(letter.mail(notice, dashboard, alert))
        except smtplib.SMTPResponseException as error:
            raise Undelivered(f"the mail server answered {error.smtp_code}", final=False) from None
        except (OSError, smtplib.SMTPException) as error:
            raise Undelivered(f"the mail server could not be used: {type(error).__name__}") from None

    def _secret(self, name: str | None) -> str | None:
        return (self._environ.get(name, "").strip() or None) if name else None
