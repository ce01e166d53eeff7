"""Replies of a fixed size and pace, for measuring: the same bytes for every request, or a time stamp in each event."""

import time
from collections.abc import Iterator

import msgspec

from gateway.demo import render, resources
from gateway.demo.answers import Answer, Piece, SeenRequest
from gateway.demo.asked import wire_of
from gateway.demo.turns import Setting, Spent, Turn, WireName

_STAMP = 20
"""Digits of a time stamp: nanoseconds of the monotonic clock, which processes of one machine share."""
_MARK = "#" * _STAMP


def _sized(wire: WireName, size: int) -> Answer:
    turn = Turn(text="x", spent=Spent(input_tokens=250, output_tokens=20))
    short = len(msgspec.json.encode(render.document(wire, turn, Setting(model="demo"))))
    text = "x" * max(1, size - short + 1)
    document = render.document(wire, msgspec.structs.replace(turn, text=text), Setting(model="demo"))
    return render.json_answer(document, headers=render.marks(wire))


class _Stamped:
    """A stream body whose deltas carry the time at which they were sent."""

    def __init__(self, events: list[bytes], pace: float) -> None:
        self._halves = [event.partition(_MARK.encode()) for event in events]
        self._pace = pace

    def __iter__(self) -> Iterator[Piece]:
        pace = 0.0
        for before, mark, after in self._halves:
            if pace:
                yield Piece(b"", pace)  # the pause comes before the stamp is taken
            stamp = b"%0*d" % (_STAMP, time.monotonic_ns()) if mark else b""
            yield Piece(before + stamp + after)
            pace = self._pace


class Metronome:
    """A script: JSON replies of `reply_bytes`, streams of `chunks` text deltas `pace` seconds apart."""

    def __init__(self, *, reply_bytes: int = 1024, chunks: int = 50, pace: float = 0.0, stamp: bool = False) -> None:
        wires: tuple[WireName, ...] = ("anthropic", "chat", "responses")
        self._whole = {wire: _sized(wire, reply_bytes) for wire in wires}
        self._streams = {wire: self._stream(wire, chunks, pace, stamp=stamp) for wire in wires}

    @staticmethod
    def _stream(wire: WireName, chunks: int, pace: float, *, stamp: bool) -> Answer:
        setting = Setting(model="demo", fragment=_STAMP, include_usage=True, pings=False)
        turn = Turn(text=(_MARK if stamp else "x" * _STAMP) * chunks)
        answer = render.answer(wire, turn, setting, streamed=True, pace=pace)
        if not stamp:
            return answer
        return msgspec.structs.replace(answer, body=_Stamped(render.stream(wire, turn, setting), pace))

    def __call__(self, request: SeenRequest) -> Answer:
        """The same answer as always. The body is searched, not parsed, to cost little beside what is measured."""
        wire = wire_of(request.path)
        if wire is None:
            return resources.answer(request)
        streamed = b'"stream":true' in request.body or b'"stream": true' in request.body
        return (self._streams if streamed else self._whole)[wire]
