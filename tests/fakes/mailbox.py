"""A mail server for tests: aiosmtpd on loopback, with STARTTLS or TLS and a user, that keeps what it takes."""

import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fakes.gateway import free_port

HOST = "mail.example.test"
USER, PASSWORD = "gateway", "correct horse battery staple"


@dataclass
class Mailbox:
    """What came, each message with whether its connection was encrypted and whose it was."""

    port: int = 0
    received: list[tuple[EmailMessage, bool, bool]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    """Answers to the next messages, in turn, before any is taken."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, count: int, seconds: float = 20.0) -> list[tuple[EmailMessage, bool, bool]]:
        """Everything that came, once it is so much."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, seconds), (
                f"only {len(self.received)} came"
            )
            return list(self.received)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        """Take a message, or refuse it as told."""
        encrypted = session.ssl is not None or server.transport.get_extra_info("sslcontext") is not None
        with self.changed:
            if self.refusals:
                return self.refusals.pop(0)
            message = cast("EmailMessage", message_from_bytes(envelope.content, policy=policy.default))
            self.received.append((message, encrypted, bool(session.authenticated)))
            self.changed.notify_all()
        return "250 taken"


def certificate(folder: Path) -> Path:
    """A certificate of `HOST` that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "mail.pem"
    plain = serialization.NoEncryption()
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


@contextmanager
def running_mailbox(pem: Path | None = None, *, starttls: bool = True) -> Iterator[Mailbox]:
    """A server on a free port; with a certificate it speaks STARTTLS, or TLS from the first byte on."""
    box = Mailbox()
    context = None
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)

    def known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        del server, session, envelope, mechanism
        shown = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=shown, handled=False)

    more: dict[str, Any] = {"authenticator": known, "auth_require_tls": False}
    if starttls and context is not None:
        more |= {"tls_context": context, "require_starttls": True, "auth_required": True, "auth_require_tls": True}
    direct = None if starttls else context
    box.port = free_port()
    controller = Controller(box, hostname="127.0.0.1", port=box.port, ssl_context=direct, **more)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
