"""`egress`: where a call or an answer sends something, and what it takes along.

Hosts are judged by what browsers and libraries would connect to, and by the strictest reading where they differ.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from policies import urls
from policies.arguments import Leaf, Ruler, fragments, leaves, named
from policies.carried import Memory
from policies.destinations import BadDestination, Destinations
from policies.guards.code.shell.addresses import addresses, proxies
from policies.guards.code.shell.trace import Trace, trace, trace_program
from policies.guards.egress.judging import NOTES, Judge, Verdict
from policies.guards.interface import SCANNED_BYTES, UNSCANNED, BadGuard
from policies.trail import Scene, utf8
from policies.urls import Url
from policies.views import views
from policies.vocabulary.findings import Evidence, Hit

LONGEST_URL: Final = 4096
"""Bytes of an address that are held back while text streams by; a longer one is found by its beginning."""

_SHORTEST: Final = 3
"""Characters that any address has."""

_MOST_HITS: Final = 32
_LONGEST_COMMAND: Final = 16 << 10
"""Characters of a shell command whose programs are asked for hosts without a scheme."""

_VIOLATION: Final = 75
_HOST_WORDS: Final = frozenset(
    {
        "url",
        "uri",
        "host",
        "hostname",
        "domain",
        "endpoint",
        "webhook",
        "website",
        "site",
        "href",
        "ip",
        "server",
        "proxy",
    }
)
_RECIPIENT_WORDS: Final = frozenset(
    {
        "to",
        "cc",
        "bcc",
        "recipient",
        "recipients",
        "email",
        "emails",
        "mail",
        "participants",
        "participant",
        "attendees",
    }
    | {"attendee", "invitees", "invitee", "receiver", "receivers", "addresses", "address", "invite", "forward", "share"}
)
_SHELL_WORDS: Final = frozenset({"command", "cmd", "bash", "shell", "script", "commands"})
_TOKEN: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_MAILBOX: Final = re.compile(
    r"((?<=[\")])|[^\s<>\",;:()\[\]\\@]{1,64})((?:@(?:[^\s<>\",;:()\[\]\\@]{1,253}|\[[^\s\]]{1,64}\])){1,4})"
)
_AT: Final = str.maketrans("\uff20\ufe6b", "@@")
_MAILTO: Final = "mailto:"
_SEPARATORS: Final = re.compile(r"[\s,;|]+")
_SHARE: Final = re.compile(r"\\\\[A-Za-z0-9\[]")
_REPOSITORY: Final = re.compile(r"[A-Za-z0-9._-]{1,64}@([A-Za-z0-9.-]{1,253}):[^\s:]*")
_ADDRESS: Final = b"://"
_CONTROLS: Final = re.compile(r"[\t\r\n]")


class EgressSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="egress"):
    """Destinations that are not allowed, addresses in disguise, and data that leaves in an address."""

    allow: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """Hosts (`api.example.com`), all below one (`*.example.com`), networks (`10.0.0.0/8`), mail domains
    (`@example.com`, `@*.example.com`) and mailboxes (`a@example.com`). Hosts are held against this list once it names a
    host or network, recipients once it names a mail domain or mailbox."""

    deny: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """The same forms. Wins over `allow`."""

    arguments: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """Names or RFC 6901 pointers of the arguments to look at. Empty: all of them."""


class EgressGuard:
    """Looks at the arguments of calls, and at what the model writes."""

    def __init__(self, spec: EgressSpec) -> None:
        """Raises `BadGuard` for an entry that is no host, network, mail domain or mailbox."""
        self._allow = _listed("allow", spec.allow)
        self._deny = _listed("deny", spec.deny)
        self._names = frozenset(name if name.startswith("/") else name.casefold() for name in spec.arguments)

    @property
    def window(self) -> int | None:
        """Bytes: `LONGEST_URL`."""
        return LONGEST_URL

    def examine(self, scene: Scene) -> Sequence[Hit]:
        """Of `tool_call` and `model_text` steps; nothing of other kinds."""
        step = scene.step
        acts = step.kind == "tool_call"
        if not (acts or step.kind == "model_text") or not step.text:
            return ()
        data = utf8(step.text)
        text = step.text if len(data) <= SCANNED_BYTES else data[:SCANNED_BYTES].decode("utf-8", "ignore")
        judge = Judge(self._allow, self._deny, Memory(scene.trail), acts=acts)
        given = self._given(text, data) if acts else [Leaf("", text, 0, len(data), opaque=True)]
        parts = [leaf for leaf in given if isinstance(leaf.value, str) and len(leaf.value) >= _SHORTEST]
        hits: list[Hit] = []
        for part in parts:
            found = list(_in_argument(judge, part) if acts else _in_words(judge, text))
            ruler = Ruler(data, part) if found else None
            if ruler is not None:
                hits += [_hit(verdict, ruler.span(start, end), part.pointer) for start, end, verdict in found]
        if acts:
            hits += _in_list(judge, given)
            hits += [] if self._names else _in_names(judge, text, data, parts)
        hits += _in_views(judge, text, parts)
        hits = _distinct(hits)
        if len(data) > SCANNED_BYTES:
            hits.append(_unscanned(SCANNED_BYTES, len(data)))
        return hits

    def _given(self, text: str, data: bytes) -> list[Leaf]:
        """The arguments of a call to look at."""
        found: list[Leaf] = []
        for leaf in leaves(text):
            found += [leaf, *fragments(leaf, data)] if leaf.opaque else [leaf]
        return named(found, self._names) if self._names else found


_Finding: TypeAlias = tuple[int, int, Verdict]
"""Characters of a text, and what is to be said of what stands there."""


def _in_words(judge: Judge, text: str) -> Iterator[_Finding]:
    """Addresses in the model's own words."""
    found = urls.urls(text)
    for url in found:
        for verdict in judge.url(url, text[url.start : url.end]):
            yield url.start, url.end, verdict
    if len(found) == urls.MOST_URLS:
        yield found[-1].end, len(text), Verdict(50, UNSCANNED)


def _in_argument(judge: Judge, leaf: Leaf) -> Iterator[_Finding]:
    """Addresses, hosts and recipients in one argument."""
    value = leaf.value
    assert isinstance(value, str)
    yield from _in_words(judge, value)
    words = _words(leaf.name)
    for whole in _whole(value, hosts=not words.isdisjoint(_HOST_WORDS)):
        for verdict in judge.url(whole, value.strip()):
            yield 0, len(value), verdict
    told = value.translate(_AT)
    if "@" in told:
        mailed = told.lstrip()[: len(_MAILTO)].lower() == _MAILTO
        yield from _recipients(judge, told, known=mailed or not words.isdisjoint(_RECIPIENT_WORDS))
    if not words.isdisjoint(_SHELL_WORDS):
        yield from _in_command(judge, value[:_LONGEST_COMMAND])


def _words(name: str) -> set[str]:
    """The words of an argument's name, each in the singular too."""
    words = {token.lower() for token in _TOKEN.findall(name[:128])}
    return words | {word.removesuffix("s") for word in words}


def _whole(value: str, *, hosts: bool) -> Iterator[Url]:
    """What a value is the address of, and nothing else: with blanks that browsers leave out, or without a scheme."""
    if len(value) > LONGEST_URL:
        return
    repository = _REPOSITORY.fullmatch(value.strip())
    if _CONTROLS.search(value.strip()):
        found = [urls.address(value)]
    elif repository or _SHARE.match(value):
        found = [urls.bare(repository[1] if repository else value.replace("\\", "/"))]
    elif hosts and "@" not in value and not urls.urls(value):
        found = [urls.bare(part) for part in _SEPARATORS.split(value)]
    else:
        return
    yield from (url for url in found if url is not None)


def _recipients(judge: Judge, value: str, *, known: bool) -> Iterator[_Finding]:
    """Mailboxes in an argument that is for recipients by its name, or that is nothing else."""
    for count, found in enumerate(_MAILBOX.finditer(value)):
        if count == _MOST_HITS or not (known or found[0] == value.strip()):
            return
        for verdict in judge.mailbox(found[1], found[2]):
            yield found.start(), found.end(), verdict


def _in_command(judge: Judge, value: str) -> Iterator[_Finding]:
    """Hosts that programs of a shell command are given without a scheme."""
    for start, end, word in proxies(value):
        for verdict in _at(judge, word):
            yield start, end, verdict
    yield from _spoken_to(judge, trace(value))


def _spoken_to(judge: Judge, traced: Trace) -> Iterator[_Finding]:
    for invocation in traced.invocations:
        for word in addresses(invocation):
            for verdict in _at(judge, word):
                yield invocation.start, invocation.end, verdict


def _at(judge: Judge, word: str) -> Iterator[Verdict]:
    """What is to be said of a host without a scheme."""
    url = urls.bare(word) or urls.address(f"http://{word}")
    return judge.url(url, word) if url else iter(())


def _in_list(judge: Judge, parts: Sequence[Leaf]) -> Iterator[Hit]:
    """Hosts that a command is given which is a list of words, for no shell to read."""
    lists: dict[str, list[Leaf]] = {}
    for part in parts:
        above, _, place = part.pointer.rpartition("/")
        if place.isdecimal() and not _SHELL_WORDS.isdisjoint(_words(part.name)):
            lists.setdefault(above, []).append(part)
    for leaves_of in lists.values():
        words = [str(part.value) for part in leaves_of]
        if sum(map(len, words)) <= _LONGEST_COMMAND:
            for _, _, verdict in _spoken_to(judge, trace_program(words)):
                yield _hit(verdict, (leaves_of[0].start, leaves_of[-1].end), leaves_of[0].pointer)


def _in_names(judge: Judge, text: str, data: bytes, parts: Sequence[Leaf]) -> Iterator[Hit]:
    """Addresses among the names of arguments: what stands in no value."""
    within = end = 0
    for part in parts:
        if part.start >= end:
            within, end = within + data.count(_ADDRESS, part.start, part.end), part.end
    if data.count(_ADDRESS) <= within:
        return
    ruler = Ruler(data, Leaf("", text, 0, len(data), opaque=True))
    for start, end, verdict in _in_words(judge, text):
        span = ruler.span(start, end)
        if not any(part.start <= span[0] < part.end for part in parts):
            yield _hit(verdict, span, "")


def _in_views(judge: Judge, text: str, parts: Sequence[Leaf]) -> Iterator[Hit]:
    """Addresses that only show once look-alikes are folded or encodings undone."""
    for view in views(text)[1:]:
        if view.kind == "unquoted":
            continue
        ruler = Ruler(view.data, Leaf("", view.text, 0, len(view.data), opaque=True))
        for start, end, verdict in _in_words(judge, view.text):
            span = ruler.span(start, end)
            if not view.fresh(*span):
                continue
            low, high = view.origin(*span)
            part = next((part for part in parts if part.start <= low < part.end), None)
            if part is not None:
                yield _hit(verdict, (low, high), part.pointer)


def _listed(setting: str, entries: Iterable[str]) -> Destinations:
    try:
        return Destinations(entries)
    except BadDestination as wrong:
        raise BadGuard(f"{setting}: {wrong}") from None


def _hit(verdict: Verdict, span: tuple[int, int], pointer: str) -> Hit:
    origin = verdict.origin
    place = Evidence(
        start=span[0],
        end=span[1],
        label=verdict.label,
        pointer=pointer,
        source=origin.source if origin else None,
        source_start=origin.start if origin else 0,
        source_end=origin.end if origin else 0,
    )
    state = "violation" if verdict.score >= _VIOLATION else "unsure"
    return Hit(score=verdict.score, state=state, evidence=(place,), note=NOTES[verdict.label])


def _distinct(hits: Iterable[Hit]) -> list[Hit]:
    """The worst hit of each label and place, the worst first."""
    worst: dict[tuple[str, int], Hit] = {}
    for hit in hits:
        key = hit.evidence[0].label, hit.evidence[0].start
        if key not in worst or worst[key].score < hit.score:
            worst[key] = hit
    return sorted(worst.values(), key=lambda hit: (-hit.score, hit.evidence[0].start))[:_MOST_HITS]


def _unscanned(start: int, end: int) -> Hit:
    place = Evidence(start=start, end=end, label=UNSCANNED)
    return Hit(score=50, state="unsure", evidence=(place,), note="longer than what is scanned of one step")
