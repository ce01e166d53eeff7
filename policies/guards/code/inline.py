"""Inline code: what a snippet of Python, Perl, Ruby, PHP, JavaScript or Awk does that a shell rule is about.

Snippets are not parsed: calls that run, fetch, delete or connect are found by name, and the text literals they are
given are read. That is enough for one-liners, and says nothing of what code computes.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from policies.guards.code.match import Match
from policies.guards.code.shell.paths import kept_in, loss
from policies.guards.code.shell.trace import Snippet
from policies.possessive import compiled

_MOST: Final = 64
"""Calls of one sort in one snippet that are looked at."""

_TEXT: Final = (
    r"""(?:[rRbBuUfF]{0,2}(?:\"\"\"((?:[^"\\]|\\.|"(?!""))*+)\"\"\"|'''((?:[^'\\]|\\.|'(?!''))*+)'''"""
    r"""|"((?:[^"\\\n]|\\.)*+)"|'((?:[^'\\\n]|\\.)*+)'|`((?:[^`\\]|\\.)*+)`))"""
)
_LITERAL: Final = compiled(_TEXT, re.DOTALL)
_RUN: Final = re.compile(
    r"(?:\bos\.(?:system|popen|exec[lv]p?e?|spawn[lv]p?e?)|\bsubprocess\.\w+|\bcommands\.getoutput|\bpty\.spawn"
    r"|\.(?:run|call|check_call|check_output|Popen|getoutput)\b"
    r"|\b(?:system|popen|exec|execSync|execFile|execFileSync|spawn|spawnSync|shell_exec|passthru|proc_open|popen3|qx)\b)\s*\(?\s*"
)
_LIST: Final = re.compile(r"[\[(]\s*")
_BETWEEN: Final = re.compile(r"\s*,\s*")
_BACKQUOTED: Final = re.compile(r"(?:`([^`\\\n]*+)`|%x[({\[]([^)}\]\n]*+)[)}\]])")
_CELL: Final = re.compile(r"^[ \t]*+(?:!(?!=)([^\n]++)|%%(?:ba)?sh\b[^\n]*+\n(.*+))", re.MULTILINE | re.DOTALL)
"""A notebook's way to a shell."""

_DELETE: Final = re.compile(
    r"\b(?:shutil\.rmtree|rmtree|remove_tree|FileUtils\.(?:rm_rf|rm_r|remove_dir)|fs\.(?:rm|rmdir)|rmSync|rmdirSync"
    r"|rimraf(?:\.sync)?|os\.removedirs)\s*\(?\s*(?:[\w.]+\(\s*)?"
)
_FETCH: Final = re.compile(
    r"""\b(?: urlopen | urlretrieve | urllib | requests\.(?:get|request) | httpx\.(?:get|stream) | http\.client
      | LWP | open-uri | Net::HTTP | file_get_contents\s*\(\s*['"]https?: | curl_exec | https?\.get | axios | fetch\s*\(
      | downloadstring | downloaddata | net\.webclient | iwr\b | irm\b | invoke-(?:webrequest|restmethod) )""",
    re.IGNORECASE | re.VERBOSE,
)
_SEND: Final = re.compile(
    r"""\b(?: urlopen | urllib | requests\.\w+ | httpx\.\w+ | http\.client | smtplib | socket\.\w+ | ftplib
      | paramiko | aiohttp | LWP | Net::HTTP | https?\.request | axios | fetch\s*\(
      | curl_exec | fsockopen | TCPSocket | net\.connect )""",
    re.VERBOSE,
)
_EVALUATE: Final = re.compile(
    r"""(?<![.\w])(?: (?:exec|eval|instance_eval|Function|vm\.runIn\w+)\s*\(\s*(?:compile\s*\(\s*)?
      | (?i:iex|invoke-expression)\b )""",
    re.VERBOSE,
)
_DECODE: Final = re.compile(
    r"""\b(?: b64decode | a85decode | b32decode | unhexlify | fromhex | zlib\.decompress | base64_decode | decode64
      | atob | marshal\.loads | gzinflate | frombase64string )""",
    re.IGNORECASE | re.VERBOSE,
)
_NEAR: Final = 200
"""Characters behind a call of `exec` in which its argument is sought."""

_SOCKET: Final = re.compile(
    r"""(?: \bsocket\.(?:socket|create_connection) | ["']socket["'] | \buse\s+Socket | \b(?:PF|AF)_INET | \bSOCK_STREAM
      | \bIO::Socket | \bTCPSocket | \bp?fsockopen | \bstream_socket_client | \bTcpStream | \bTCPClient\b
      | \bnet["')]{0,2}\.(?:Socket|connect|createConnection|Dial) | \bnew\s+(?:\w+\.){0,4}Socket\s*\( )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Ways to connect to another machine."""

_SHELL: Final = re.compile(
    r"""(?: \bdup2\b | \bpty\b | /bin/(?:ba|z|da|k)?sh\b | \bcmd(?:\.exe)?["'] | \bIO\.popen | \bproc_open
      | \bshell_exec | >&S\b | \biex\b | \binvoke-expression\b | \bprocess\.start\b )""",
    re.IGNORECASE | re.VERBOSE,
)
"""Ways to run what comes from there."""

_AWK_SOCKET: Final = re.compile(r"/inet/(?:tcp|udp)/")
_ENVIRONMENT: Final = re.compile(
    r"""(?: \b(?:dict|str|repr|(?:json\.)?dumps)\s*\(\s*(?:dict\s*\(\s*)?os\.environ\b(?!\s*[\[.])
      | JSON\.stringify\s*\(\s*process\.env\s*\) | \bENV\.to_h | print_r\s*\(\s*\$_(?:ENV|SERVER)
      | os\.environ\.(?:items|copy)\(\) )""",
    re.VERBOSE,
)
_LOCAL: Final = re.compile(r"(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])")
_REMOTE: Final = re.compile(r"(?:https?://|[\"'])(?!localhost|127\.|0\.0\.0\.0|\[::1\])[\w-]+(?:\.[\w-]+)+")


class Handed(msgspec.Struct, frozen=True):
    """What a snippet gives to a shell (one text) or to a program (its arguments)."""

    words: tuple[str, ...]
    in_shell: bool


def handed(text: str) -> Iterator[Handed]:
    """Commands that a snippet runs."""
    for count, call in enumerate(_RUN.finditer(text)):
        if count == _MOST:
            return
        opened = _LIST.match(text, call.end())
        words = _literals(text, opened.end() if opened else call.end(), many=bool(opened))
        if words:
            yield Handed(words, in_shell=not opened)
    for count, quoted in enumerate(_BACKQUOTED.finditer(text)):
        if count == _MOST:
            return
        yield Handed((quoted[1] or quoted[2] or "",), in_shell=True)
    for count, cell in enumerate(_CELL.finditer(text)):
        if count == _MOST:
            return
        yield Handed((cell[1] or cell[2] or "",), in_shell=True)


def matches(snippet: Snippet) -> Iterator[Match]:
    """What a snippet itself does, apart from what it hands to a shell."""
    text = snippet.text
    place = snippet.start, snippet.end
    for count, call in enumerate(_DELETE.finditer(text)):
        if count == _MOST:
            break
        target = _LITERAL.match(text, call.end())
        if target:
            score, what = loss(_content(target))
            if score:
                yield Match("destructive", f"delete_{what}", score, *place)
    yield from _evaluations(text, place)
    if (_SOCKET.search(text) and _SHELL.search(text)) or _AWK_SOCKET.search(text):
        yield Match("reverse_shell", "shell_over_network", 90, *place)
    yield from _leaks(text, place)


def _evaluations(text: str, place: tuple[int, int]) -> Iterator[Match]:
    for count, call in enumerate(_EVALUATE.finditer(text)):
        if count == _MOST:
            return
        near = text[call.end() : call.end() + _NEAR].partition("\n")[0]
        if _FETCH.search(near):
            yield Match("pipe_to_shell", "downloaded_script", 90, *place)
        elif _DECODE.search(near):
            yield Match("pipe_to_shell", "decoded_script", 90, *place)
        elif _FETCH.search(text):
            yield Match("pipe_to_shell", "downloaded_script", 60, *place)


def _leaks(text: str, place: tuple[int, int]) -> Iterator[Match]:
    if not _SEND.search(text) or (_LOCAL.search(text) and not _REMOTE.search(text)):
        return
    if _ENVIRONMENT.search(text):
        yield Match("credential_and_network", "environment_beside_network", 75, *place)
    for count, found in enumerate(_LITERAL.finditer(text)):
        if count == _MOST * 4:
            return
        content = _content(found)
        kept = kept_in(content) if len(content) < _NEAR else None
        if kept == "secret":
            yield Match("credential_and_network", "secret_beside_network", 75, *place)


def _literals(text: str, at: int, *, many: bool) -> tuple[str, ...]:
    """The text literals that begin at a place, separated by commas."""
    found: list[str] = []
    while len(found) < _MOST and (each := _LITERAL.match(text, at)):
        found.append(_content(each))
        between = _BETWEEN.match(text, each.end())
        if not many or between is None:
            break
        at = between.end()
    return tuple(found)


def _content(found: re.Match[str]) -> str:
    text = next((group for group in found.groups() if group is not None), "")
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


_ESCAPED: Final = re.compile(r"\\([\"'\\`$])")
