"""Sign-ins: who has shown a gateway key at the dashboard, and for how long that holds."""

from typing import Final

import msgspec

SIGN_IN_NS: Final = 12 * 3600 * 1_000_000_000
"""How long a sign-in holds: a working day; nothing prolongs it."""


class SignIn(msgspec.Struct, frozen=True, kw_only=True):
    """One browser that is signed in. Times: Unix epoch, nanoseconds, UTC."""

    key_id: str
    """The gateway key that was shown; what it may do is what this key may do, and ends with it."""

    created_ns: int
    expires_ns: int
