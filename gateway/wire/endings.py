"""Ending a broken stream so that clients raise instead of returning half an answer."""

from gateway.wire.half_json import closing
from gateway.wire.sse import SseDecoder


def close_half_event(decoder: SseDecoder, members: bytes, name: bytes = b"") -> bytes:
    r"""The bytes that end the event a stream broke off in; empty between events.

    SSE knows no way to take back a line, and a blank line alone would dispatch half a JSON text, which SDKs
    report as a decoding error. So the half JSON is closed with `members` (`"type":"error",...`) and the event
    renamed to `name`: the last duplicate key and the last `event` field win in every SDK. Where the half
    event cannot be closed (`data: [DO`, over 64 KB) clients see garbage, in an event named `name`, before our
    own event; also an error, only a worse one.
    """
    cr = b"\n" if decoder.after_cr else b""  # completes a CRLF; an LF after a CR is no line of its own
    naming = b"\nevent: " + name if name else b""
    if decoder.dropping:
        return cr + naming + b"\n\n"
    pending = decoder.pending
    if not pending:
        return cr
    *whole, half = pending.split(b"\n")
    data = [line[5:].removeprefix(b" ") for line in whole if line.startswith(b"data:")]
    if half.startswith(b"data:"):
        return cr + _within_data(b"\n".join([*data, half[5:].removeprefix(b" ")]), members, naming)
    return cr + (b"\n" if half else b"") + (_after_data(b"\n".join(data), members, naming) if data else b"")


def _within_data(text: bytes, members: bytes, naming: bytes) -> bytes:
    """The stream broke off inside a `data` line."""
    tail = closing(text, members)
    if tail is None:
        return (b"\ndata: {" + members + b"}" + naming if naming else b"") + b"\n\n"
    return tail + (naming if tail else b"") + b"\n\n"


def _after_data(text: bytes, members: bytes, naming: bytes) -> bytes:
    """The stream broke off after whole `data` lines, before the blank line."""
    tail = closing(text, members)
    if tail is None:
        return naming.removeprefix(b"\n") + b"\n\n"
    return b"data: " + tail + naming + b"\n\n" if tail else b"\n"
