"""Looks at content: each is an entry in the audit log before anything is shown."""

from gateway.api.access import actor_of
from gateway.api.ports import Audit
from policies.vocabulary.audit import ContentRead, Shown
from policies.vocabulary.keys import Principal


def look(
    audit: Audit,
    principal: Principal,
    what: Shown,
    *,
    app: str | None,
    exchange: str | None = None,
    session: str | None = None,
) -> None:
    """Note that this principal is shown content now; durable on return. `session`: its id, which the log never holds.

    Raises where the log cannot be written: then nothing may be shown.
    """
    alias = None if session is None else audit.alias(session)
    audit.note(ContentRead(actor=actor_of(principal), tenant=app, what=what, exchange=exchange, session=alias))
