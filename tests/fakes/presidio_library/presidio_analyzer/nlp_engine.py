"""Engines."""


class NoOpNlpEngine:
    """Needs no model."""

    def __init__(self, models: list[dict[str, str]]) -> None:
        self.models = models
        self.loaded = False

    def load(self) -> None:
        self.loaded = True
