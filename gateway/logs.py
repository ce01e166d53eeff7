"""Logs: one JSON object a line on stderr, with no content, no header value and no key in it."""

import logging
import sys
import time

import msgspec

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; `extra` fields become members, control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, UTF-8, without its newline."""
        entry: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            entry["error"] = record.exc_info[0].__name__
            entry["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(entry, enc_hook=str).decode()


class _NotAnError(logging.Filter):
    """Drops what uvicorn reports as an application error when the gateway cut a connection on purpose."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep everything else."""
        return not record.getMessage().startswith("ASGI callable returned without completing response")


def configure(level: str = "INFO") -> None:
    """Send all logs to stderr as JSON lines; called once, by the process's entry point."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").addFilter(_NotAnError())
    for quiet in ("uvicorn", "uvicorn.error", "litestar", "aiohttp"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
