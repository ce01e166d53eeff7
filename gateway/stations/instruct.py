"""Instruct: what a revision adds to the instructions of an app, and to its tools, and nothing of it on the way back.

The app's own bytes are what is threaded, judged and recorded; what was added is recorded by the digest of the
parameters it is of, so that the provider's body can be made again from both. Where nothing is to be added, nothing is
touched. Where it cannot be added, the request goes on as it came and the record says why: instructions are advice, and
no clause rests on them.

Only one wire says instructions again in its replies: Responses. There the app gets back what it sent itself.
"""

from collections.abc import Awaitable, Callable
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from gateway.heads import head_of
from gateway.stations.judge import Docket
from gateway.wire.frames import Frames, Oversized, reframed
from gateway.wire.interface import Dialect, RequestView
from gateway.wire.leaves import Node, Patch, Tree, decoded, patched
from gateway.wire.overlay import Overlay, Unplaced, described_by, lead, overlaid
from gateway.wire.replies import LARGEST_REPLY

Send = Callable[[Any], Awaitable[None]]

ECHOES: Final = "openai_responses"
"""The wire whose replies repeat instructions and tools."""

_COUNTED: Final = frozenset({b"content-length"})


def instruct(docket: Docket, dialect: Dialect, body: bytes, view: RequestView) -> bytes:
    """The body with what is to be added; the same bytes where that is nothing, or cannot be done."""
    overlay = docket.bench.overlay
    if not overlay:
        return body
    try:
        after = overlaid(dialect, body, view, overlay)
    except Unplaced as unplaced:
        docket.uninstructed = unplaced.why
        return body
    if after == body:
        return body  # the very object: a body that nothing is added to travels on as it came
    docket.instructed = overlay.parameters
    return after


class Restored:
    """The way to a caller whose instructions or tools were added to: what a reply repeats of them is the app's own."""

    def __init__(self, send: Send, docket: Docket, asked: bytes, view: RequestView) -> None:
        """`asked`: the decoded body as the app sent it, and how the dialect reads it."""
        self._send = send
        self._docket = docket
        self._overlay: Overlay = docket.bench.overlay
        self._asked = asked
        self._view = view
        self._start: dict[str, Any] | None = None
        self._frames: Frames | None = None
        self._held: list[bytes] = []
        self._size = 0
        self._sent = sha256()
        self._changed = False

    async def __call__(self, message: Any) -> None:
        """Pass one ASGI message on, later where more has to be seen first."""
        if message["type"] == "http.response.start":
            await self._begin(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._frames is not None:
            body = self._through(body, more=more)
        elif self._start is not None:
            self._held.append(body)
            self._size += len(body)
            if self._size > LARGEST_REPLY:
                raise Oversized("a reply is larger than is read")
            if more:
                return
            body = await self._whole()
        self._sent.update(body)
        if not more and self._changed:
            self._docket.delivered_sha256 = self._sent.digest()
        await self._send({**message, "body": body})

    async def _begin(self, start: dict[str, Any]) -> None:
        head = head_of(start["headers"])
        if head.encoding is not None:
            await self._send(start)  # it was asked to send plain bytes, and sends others: they stay as they are
        elif head.is_stream or (self._view.stream and head.kind != "application/json"):
            self._frames = Frames(LARGEST_REPLY)
            kept = [pair for pair in start["headers"] if pair[0] not in _COUNTED]
            await self._send({**start, "headers": kept})
        else:
            self._start = start

    def _through(self, body: bytes, *, more: bool) -> bytes:
        """The events that are whole by now. Raises `Oversized`, upon which the exchange is cut."""
        assert self._frames is not None
        frames = self._frames.feed(body) + ([] if more else self._frames.finish())
        out: list[bytes] = []
        for frame in frames:
            data = b"" if frame.event is None else frame.event.data
            own = self._own(data, "response") if b'"response"' in data else data
            self._changed = self._changed or own is not data
            out.append(frame.raw if own is data else reframed(frame, own))
        return b"".join(out)

    async def _whole(self) -> bytes:
        body = b"".join(self._held)
        own = self._own(body)
        self._changed = own is not body
        assert self._start is not None
        headers = self._start["headers"]
        if self._changed:
            length = (b"content-length", b"%d" % len(own))
            headers = [length if pair[0] in _COUNTED else pair for pair in headers]
        start, self._start = self._start, None
        await self._send({**start, "headers": headers})
        return own

    @cached_property
    def _own_instructions(self) -> bytes:
        """What the app said itself, as it stood; read once: a stream repeats it in several events."""
        found = lead(self._asked, self._view, b"instructions")
        return b"null" if found is None else self._asked[slice(*found)]

    @cached_property
    def _own_descriptions(self) -> dict[str, bytes]:
        """What the app said of its tools, by name."""
        cuts = [self._view.cuts[at] for kind, at in self._view.lead_cuts if kind == "tool_definitions"]
        trees = [Tree(self._asked[start:end]) for start, end, _ in cuts]
        return {name: token for tree in trees for name, (token, _) in _descriptions(tree, tree.root).items()}

    def _own(self, data: bytes, *path: str) -> bytes:
        """A response object with the app's instructions and descriptions; the same bytes where it repeats none."""
        try:
            tree = Tree(data)
            holder = tree.root.at(*path)
            if holder is None or holder.kind != "object":
                return data
            patches = [*self._instructions(tree, holder), *self._tools(tree, holder)]
        except (ValueError, Unplaced):
            return data
        return patched(data, patches) if patches else data

    def _instructions(self, tree: Tree, holder: Node) -> list[Patch]:
        said = holder.members.get("instructions")
        if said is None or said.kind != "string" or not decoded(tree.token(said)).endswith(self._overlay.text):
            return []
        return [(said.start, said.end, self._own_instructions)]

    def _tools(self, tree: Tree, holder: Node) -> list[Patch]:
        """Descriptions that are ours, back to what the app said of the tool of that name."""
        listed = holder.members.get("tools")
        if listed is None or not self._overlay.tools:
            return []
        return [
            (node.start, node.end, self._own_descriptions.get(name, b"null"))
            for name, (token, node) in _descriptions(tree, listed).items()
            if node.kind == "string" and decoded(token) == self._overlay.tools.get(name)
        ]


def _descriptions(tree: Tree, listed: Node) -> dict[str, tuple[bytes, Node]]:
    """What tools are said to be, by name: the token, and where it stands."""
    found: dict[str, tuple[bytes, Node]] = {}
    for item in listed.items:
        owner = described_by(tree, item)
        name = None if owner is None else owner.members.get("name")
        said = None if owner is None else owner.members.get("description")
        if name is not None and name.kind == "string" and said is not None:
            found[decoded(tree.token(name))] = (tree.token(said), said)
    return found
