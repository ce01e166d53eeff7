"""The settings file of the home directory."""

from dataclasses import dataclass


@dataclass
class RC:
    """Metrics are on unless somebody says otherwise."""

    id: str | None = None
    token: str | None = None
    enable_metrics: bool | None = True
    use_remote_inferencing: bool | None = False
