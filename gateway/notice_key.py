"""The notice key: what our own notices are marked with, so that nobody else's text passes for one."""

from gateway.config import Config
from storage.seal import derive, load_seal_key


def notice_key(config: Config) -> bytes:
    """32 bytes, the same for as long as a data directory lives. Raises what reading its key file raises."""
    return derive(load_seal_key(config.gateway.data_dir), "notices").reveal()
