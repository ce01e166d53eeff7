"""The root of every error Stepwarden raises on purpose: what happened, and what to do next."""


class StepwardenError(Exception):
    """An expected failure with a remedy.

    Subclasses set `status` (the HTTP status used when it reaches a client) and
    override `remedy`. The message says what happened; it never holds a secret.
    """

    status: int = 500

    def remedy(self) -> str:
        """What the reader should do next, in one sentence."""
        return "Run `stepwarden doctor`; if it finds nothing, report this as a bug."
