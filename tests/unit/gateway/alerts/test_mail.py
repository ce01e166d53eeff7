"""E-mail to a real mail server: encrypted and signed in beyond this machine, tried again, and never in the clear."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.alerts.courier import Courier
from gateway.alerts.occurrences import Occurrence
from gateway.alerts.watch import Notice
from gateway.config import Alert
from tests.fakes.mailbox import HOST, PASSWORD, USER, Mailbox, certificate, running_mailbox

HOSTILE = "sh\r\nBcc: everyone@example.com\r\n\r\nop"


def notice(app: str = "shop") -> Notice:
    return Notice(alert="oncall", newest=Occurrence(occasion="hold", app=app, hold="hold_1"), count=1)


def delivered(smtp: str, until: Callable[[Courier], bool], *, app: str = "shop", **more: Any) -> Courier:
    """A courier that has carried one notice, or given up."""
    mailed = {"to": "email", "mail_from": "gateway@example.com", "mail_to": ("a@example.com", "b@example.com")}
    alert = Alert(**{"name": "oncall", "on": ("hold",), "smtp": smtp, **mailed, **more})

    async def carry() -> Courier:
        courier = Courier(alert, {"MAIL_PASSWORD": PASSWORD}, lambda: "https://g.example", pauses=(0.01, 0.01))
        courier.put(notice(app))
        running = asyncio.create_task(courier.run())
        async with asyncio.timeout(60):
            while not until(courier):  # noqa: ASYNC110 - what it counts is all a courier shows
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await courier.close()
        return courier

    return asyncio.run(carry())


def arrived(courier: Courier) -> bool:
    return courier.delivered == 1


def given_up(courier: Courier) -> bool:
    return courier.lost == 1


SIGNED_IN: dict[str, Any] = {"smtp_user": USER, "smtp_password_env": "MAIL_PASSWORD"}


@pytest.fixture
def pem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A certificate of `HOST` that this process trusts, and a name service that knows where `HOST` is."""
    file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    asked = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **more: asked("127.0.0.1" if host == HOST else host, *rest, **more)
    )
    return file


def only(box: Mailbox) -> tuple[Any, bool, bool]:
    (found,) = box.received
    return found


@pytest.mark.parametrize(("scheme", "starttls"), [("smtp", True), ("smtps", False)])
def test_beyond_this_machine_mail_goes_encrypted_and_signed_in(pem: Path, scheme: str, *, starttls: bool) -> None:
    with running_mailbox(pem, starttls=starttls) as box:
        delivered(f"{scheme}://{HOST}:{box.port}", arrived, **SIGNED_IN)
        message, encrypted, signed_in = only(box)
    assert (encrypted, signed_in) == (True, True)
    assert message["To"] == "a@example.com, b@example.com"
    assert message["Subject"] == "[Stepwarden] a step waits for a person in shop"
    assert "https://g.example/#/holds" in message.get_content()


def test_a_server_that_nobody_vouches_for_gets_neither_mail_nor_password(
    pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with running_mailbox(pem) as box:
        delivered(f"smtp://{HOST}:{box.port}", given_up, **SIGNED_IN)
        assert box.received == []


def test_a_server_without_starttls_gets_nothing_in_the_clear(pem: Path) -> None:
    del pem
    with running_mailbox() as box:
        delivered(f"smtp://{HOST}:{box.port}", given_up)
        assert box.received == []


def test_on_this_machine_mail_goes_as_it_is() -> None:
    with running_mailbox() as box:
        delivered(f"smtp://127.0.0.1:{box.port}", arrived)
        _, encrypted, signed_in = only(box)
    assert (encrypted, signed_in) == (False, False)


def test_a_wrong_password_is_tried_again_and_then_lost(caplog: pytest.LogCaptureFixture) -> None:
    with running_mailbox() as box:
        alert = {"smtp_user": "somebody else", "smtp_password_env": "MAIL_PASSWORD"}
        delivered(f"smtp://127.0.0.1:{box.port}", given_up, **alert)
        assert box.received == []
    assert "the mail server answered 535" in str([vars(each) for each in caplog.records])


def test_a_server_that_is_busy_gets_it_later() -> None:
    with running_mailbox() as box:
        box.refusals = ["451 later, please"]
        courier = delivered(f"smtp://127.0.0.1:{box.port}", arrived)
        assert (courier.lost, len(box.received)) == (0, 1)


def test_no_name_adds_a_header_or_a_receiver() -> None:
    with running_mailbox() as box:
        delivered(f"smtp://127.0.0.1:{box.port}", arrived, app=HOSTILE)
        message, _, _ = only(box)
    assert message["Bcc"] is None
    assert "everyone@example.com" not in str(message["To"])
