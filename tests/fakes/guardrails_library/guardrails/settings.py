"""The settings, one for the process."""

from guardrails.classes.rc import RC


class Settings:
    def __init__(self) -> None:
        self.rc = RC(use_remote_inferencing=True)
        self.disable_tracing: bool | None = None


settings = Settings()
