"""URLs: where they stand in a text, which hosts they may lead to, and what they carry.

Browsers read a URL by the WHATWG standard (https://url.spec.whatwg.org), most libraries by RFC 3986, and some by
neither. `Url.hosts` holds what each of them would connect to.
"""

import re
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote, unquote_plus

import msgspec

from policies import hosts

Role: TypeAlias = Literal["text", "link", "load"]
"""`load`: fetched without anybody's doing, as an image is; `link`: one click away; `text`: just written."""

MOST_URLS: Final = 256
"""URLs of one text; whoever asks is told where the rest begins."""

_LONGEST: Final = 8192
"""Characters of one URL that are taken apart."""

_REMEMBERED: Final = 64 << 10
_WEB: Final = frozenset({"http", "https", "ws", "wss", "ftp"})
"""The WHATWG's special schemes: slashes may lean either way, and be missing."""

_BARE: Final = (
    "javascript",
    "vbscript",
    "data",
    "file",
    "jar",
    "netdoc",
    "view-source",
    "mailto",
    "blob",
    "php",
    "expect",
)
"""Schemes that mean something without `//`."""

_COLON: Final = re.compile(rf":(?:(?=//)|(?<=(?i:{'|'.join(sorted({name[-2:] for name in (*_WEB, *_BARE)}))}):))")
"""A colon behind which a URL may go on: before two slashes, or behind the last letters of a scheme that needs none."""

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}\Z")
_BEFORE: Final = re.compile(r"[A-Za-z0-9+.-]")
_SLASHES: Final = re.compile(r"[/\\]{0,8}(?=[^\s/\\\"'<>`])")
_REST: Final = re.compile(r"[^\s\"'<>`]{0,8192}+")
_NEXT: Final = re.compile(r"[,;|()\[\]{}]+(?=[A-Za-z][A-Za-z0-9+.-]{1,31}://)")
"""Between two addresses of a list that is written without blanks."""

_TRAILING: Final = frozenset(".,;:!?)]}*_")
_MOST_TRAILING: Final = 16
_RELATIVE: Final = re.compile(r"[/\\]{2}([^\s\"'<>`]++)")
_BRACKETS: Final = re.compile(r"\\.|(!?)\[|\](\(\s{0,8}<?)?|\n[ \t]*+\n", re.DOTALL)
"""What opens and closes the label of a Markdown link, what opens its target, and the end of a paragraph."""

_ROUND: Final = re.compile(r"[()\s<>]")
_LONGEST_LABEL: Final = 1000
"""Characters of a Markdown label."""

_ESCAPED: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
"""A mark that Markdown takes as it is, without the backslash."""

_DEFINITION: Final = re.compile(r"^ {0,3}\[[^\]\n]{1,256}\]:[ \t]{0,8}<?(\S{1,8192})", re.MULTILINE)
_TAG: Final = re.compile(r"<([A-Za-z][A-Za-z0-9]{0,15})\b([^<>]{0,8192})")
_ATTRIBUTE: Final = re.compile(
    r"\b(src|href|srcset|imagesrcset|action|formaction|data|background|poster|content|longdesc|cite|manifest|ping)"
    r"\s{0,8}=\s{0,8}"
    r"(?:\"([^\"]*+)|'([^']*+)|([^\s>]++))",
    re.IGNORECASE,
)
_STYLE: Final = re.compile(
    r"(?:\burl\(\s{0,8}[\"']?|@import\s{1,8}[\"']|\bimage-set\(\s{0,8}[\"'])([^\s\"')]{1,8192})", re.IGNORECASE
)
_SEVERAL: Final = frozenset({"srcset", "imagesrcset", "content", "ping"})
"""Attributes that hold more than one address, or something before it."""

_AMONG: Final = re.compile(r"(?<![^\s,;='\"])(?:https?:|//)\S*+", re.IGNORECASE)
_FOLLOWED: Final = frozenset({"a", "area", "form", "button", "blockquote", "q", "del", "ins"})
"""Elements whose addresses wait for a click."""

_CONTROL: Final = re.compile(r"[\t\r\n]")
_PORT: Final = re.compile(r":[0-9]{0,5}\Z")
_SPLIT: Final = re.compile(r"[&;]")


class Url(msgspec.Struct, frozen=True):
    """One address, taken apart."""

    start: int
    end: int
    """Characters of the text."""

    scheme: str
    """Lower case; empty for one that takes the scheme of the page around it."""

    hosts: tuple[str, ...] = ()
    """Every host that some reader would connect to, as `hosts.normal` gives them."""

    userinfo: bool = False
    """A name stands before the host."""

    confused: bool = False
    """Readers differ in the host, or something in it only looks like its end."""

    values: tuple[str, ...] = ()
    """What path, query and the name before the host carry, percent signs undone."""

    queried: bool = False
    """Whether there is a query."""

    role: Role = "text"


def urls(text: str) -> Sequence[Url]:
    """The URLs of a text in their order, at most `MOST_URLS`. Total, and linear in the text."""
    return _remembered(text) if len(text) <= _REMEMBERED else _read(text)


def address(text: str) -> Url | None:
    """A text that is one URL and nothing else, blanks inside it left out as browsers do; else None."""
    whole = _CONTROL.sub("", text).strip()
    found = _next(whole, 0) if len(whole) <= _LONGEST else None
    if found is None or found.start or found.end < len(whole):
        return None
    return msgspec.structs.replace(_taken_apart(whole, found, len(whole), "text"), start=0, end=len(text))


def bare(text: str) -> Url | None:
    """A text that is a host, with a port or a path behind it or without; else None."""
    whole = _CONTROL.sub("", text).strip().lstrip("/\\")
    if not whole or len(whole) > _LONGEST or any(mark in whole for mark in " \"'<>`,"):
        return None
    made = _authority("https", whole)
    known = [host for host in made.hosts if "." in host or ":" in host or host == "localhost"]
    return msgspec.structs.replace(made, start=0, end=len(text), hosts=tuple(known)) if known else None


class _Found(msgspec.Struct, frozen=True, gc=False):
    """Where a URL stands before it is taken apart."""

    scheme: str
    start: int
    rest: int
    """First character behind the scheme and its slashes."""

    end: int
    hosted: bool
    """Whether a host follows."""


def _read(text: str) -> tuple[Url, ...]:
    roles = dict(_roles(text)) if any(mark in text for mark in ("](", "]:", "<", "url(")) else {}
    found: list[Url] = []
    each = _next(text, 0)
    while each and len(found) < MOST_URLS:
        role, stop = roles.pop(each.start, ("text", None))
        end = max(min(stop if stop is not None else _end(text, each), each.start + _LONGEST), each.rest)
        found.append(_taken_apart(text, each, end, role))
        each = _next(text, end)
    room = 2 * len(text) + _LONGEST  # those that do not lie in each other take less
    for start, (role, end) in roles.items():
        room -= end - start
        made = _in_markup(text[start:end]) if len(found) < MOST_URLS and room > 0 else None
        if made is not None:
            found.append(msgspec.structs.replace(made, start=start, end=end, role=role))
    return tuple(sorted(found, key=lambda url: url.start))


def _in_markup(written: str) -> Url | None:
    """An address as a browser takes it out of markup: without a scheme, or with marks in it that are left out."""
    whole = _ESCAPED.sub(r"\1", _CONTROL.sub("", written))
    relative = _RELATIVE.match(whole)
    if relative:
        # What takes the scheme of the page: `//host/path`.
        return msgspec.structs.replace(_authority("https", whole[relative.start(1) :]), scheme="")
    return address(whole) if whole != written else None


def _next(text: str, done: int) -> _Found | None:
    """The first place from `done` on where a URL begins, found by the colon behind its scheme."""
    opens = _COLON.search(text, done)
    while opens:
        colon = opens.start()
        named = _SCHEME.search(text, max(done, colon - 32), colon)
        found = _begun(text, named.start(), colon) if named else None
        if found is not None:
            return found
        opens = _COLON.search(text, colon + 1)
    return None


def _begun(text: str, start: int, colon: int) -> _Found | None:
    if start and _BEFORE.match(text, start - 1):
        return None  # the name before the colon is longer than any scheme
    scheme = text[start:colon].lower()
    slashed = text.startswith("//", colon + 1)
    if scheme in _WEB:
        slashes = _SLASHES.match(text, colon + 1)
        rest = slashes.end() if slashes else -1
    elif slashed:
        rest = colon + 3 if len(scheme) > 1 else -1
    else:
        rest = colon + 1 if scheme in _BARE and text[colon + 1 : colon + 2].strip() else -1
    found = _REST.match(text, rest) if rest >= 0 else None
    return _Found(scheme, start, rest, found.end(), slashed or scheme in _WEB) if found else None


_remembered = lru_cache(maxsize=128)(_read)


def _end(text: str, found: _Found) -> int:
    """Where a URL ends that stands in running text: before the punctuation of the sentence around it."""
    start, end = found.rest, found.end
    another = _NEXT.search(text, start, end)
    end = another.start() if another else end
    for _ in range(_MOST_TRAILING):
        mark = text[end - 1 : end] if end > start else ""
        if mark not in _TRAILING or (mark == ")" and text.count("(", start, end) >= text.count(")", start, end)):
            break
        end -= 1
    # A closing bracket ends the URL that no opening one in it asks for.
    closed = text.find(")", start, end)
    if closed >= 0 and text.find("(", start, closed) < 0:
        return closed
    return end


def _roles(text: str) -> Iterator[tuple[int, tuple[Role, int]]]:
    """Where addresses stand in Markdown and HTML: their place, role and end."""
    for found in _DEFINITION.finditer(text):
        yield found.start(1), ("load", found.end(1) - found[1].endswith(">"))
    yield from _targets(text)
    for tag in _TAG.finditer(text):
        role: Role = "link" if tag[1].lower() in _FOLLOWED else "load"
        for each in _ATTRIBUTE.finditer(tag[2]):
            group = next(at for at in (2, 3, 4) if each[at] is not None)
            value, start = each[group], tag.start(2) + each.start(group)
            if each[1].lower() in _SEVERAL:
                for one in _AMONG.finditer(value):
                    yield start + one.start(), (role, start + one.end() - one[0].endswith(","))
            else:
                yield start + len(value) - len(value.lstrip()), (role, start + len(value.rstrip()))
    for found in _STYLE.finditer(text):
        yield found.start(1), ("load", found.end(1))


def _targets(text: str) -> Iterator[tuple[int, tuple[Role, int]]]:
    """Targets of Markdown's links and images. One inside the label of an image counts as one that is fetched.

    A label that opens farther off than `_LONGEST_LABEL` is not seen, so that a text that streams by reads the same;
    what stands behind one may be an image's.
    """
    opened: deque[tuple[int, bool]] = deque()
    images = begun = end = 0
    for found in _BRACKETS.finditer(text):
        mark, at = found[0][0], found.start()
        while opened and opened[0][0] < at - _LONGEST_LABEL:
            images -= opened.popleft()[1]
        if mark == "\n":
            opened.clear()
            images, begun = 0, found.end()
        elif mark == "]":
            far = begun < at - _LONGEST_LABEL
            role: Role | None = "load" if images or (far and not opened) else "link" if opened else None
            images -= opened.pop()[1] if opened else 0
            if role and found[2]:
                # What begins inside of a target is none of its own, and ends with it.
                end = max(end, _closing(text, found.end())) if found.end() >= end else end
                yield found.end(), (role, end)
        elif mark in "![":
            opened.append((at, bool(found[1])))
            images += opened[-1][1]


def _closing(text: str, start: int) -> int:
    """Where a Markdown target ends that begins here: before the bracket that no opening one in it asks for."""
    last, depth = min(len(text), start + _LONGEST), 0
    for found in _ROUND.finditer(text, start, last):
        depth += {"(": 1, ")": -1}.get(found[0], -len(text))
        if depth < 0:
            return found.start()
    return last


def _taken_apart(text: str, found: _Found, end: int, role: Role) -> Url:
    rest = text[found.rest : end]
    made = _authority(found.scheme, rest) if found.hosted else Url(0, 0, found.scheme, values=(unquote(rest),))
    return msgspec.structs.replace(made, start=found.start, end=end, role=role)


def _authority(scheme: str, rest: str) -> Url:
    """What stands behind the slashes of a URL."""
    web = scheme in _WEB
    narrow = _cut(rest, "/\\?#" if web else "/?#")
    wide = _cut(rest, "/?#")
    # Readers that look for the host behind the last `@` before the first slash find another one.
    widest = _cut(rest, "/")
    candidates = [narrow, wide]
    confused = "\\" in wide
    if "@" in widest[len(narrow) :] and "=" not in widest[len(narrow) :].partition("@")[0]:
        confused = True
        candidates.append(widest)
    found: list[str] = []
    for candidate in candidates:
        found += [candidate.rpartition("@")[2]]
        if candidate.count("@") > 1:
            confused = True
            found.append(candidate.partition("@")[2].partition("@")[0])
    names = [hosts.normal(_PORT.sub("", name)) for name in found]
    confused = confused or any(mark in name for name in names for mark in "/\\@?#")
    kept = tuple(dict.fromkeys(name for each in names for name in re.split(r"[/\\@?#]", each) if name))
    path, question, query = rest[len(narrow) :].partition("#")[0].partition("?")
    values = [unquote(part) for part in narrow.rpartition("@")[0].split(":")]
    values += [unquote(part) for part in re.split(r"[/\\]", path) if part]
    for pair in _SPLIT.split(query) if query else ():
        name, equals, value = pair.partition("=")
        values.append(unquote_plus(value if equals else name))
    return Url(
        0,
        0,
        scheme,
        hosts=kept,
        userinfo="@" in narrow,
        confused=confused or len(set(kept)) > 1,
        values=tuple(value for value in values if value),
        queried=bool(question),
    )


def _cut(rest: str, ends: str) -> str:
    """What comes before the first of these characters."""
    at = min((place for mark in ends if (place := rest.find(mark)) >= 0), default=len(rest))
    return rest[:at]
