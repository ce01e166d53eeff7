"""Release: which version of this software is running."""

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The version as it was installed; `unknown` in a source tree that never was."""
    try:
        return version("stepwarden")
    except PackageNotFoundError:
        return "unknown"
