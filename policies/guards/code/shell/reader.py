"""Reader: shell text as a `Script`, in one pass and in time linear in the text, whatever the text is.

It follows the grammar of POSIX (XCU 2.3 Token Recognition, 2.10 Shell Grammar) and Bash where a shell would run
something, and forgives everything else: a shell runs the lines before a syntax error, so no error may hide a command.
"""

import re
from typing import Final

import msgspec

from policies.guards.code.shell.syntax import (
    Assignment,
    Compound,
    Literal,
    Piece,
    Pipeline,
    Redirect,
    Script,
    Simple,
    Stage,
    Word,
    literal,
    quoted,
)
from policies.guards.code.shell.words import DEEPEST, WordReader

_COMMENT: Final = re.compile(r"#[^\n]*+")
_ASSIGNED: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*+)(?:\[[^\]\s]{0,64}\])?(\+?)=")
_REDIRECT: Final = re.compile(r"([0-9]{0,9}|\{[A-Za-z_]\w{0,63}\})(<<<|<<-?|<>|<&|<(?!\()|>>|>&|>\||>(?!\()|&>>|&>)")
_REDIRECT_MARKS: Final = frozenset("<>&{0123456789")
_KEYWORD: Final = re.compile(
    r"(?:if|then|elif|else|fi|while|until|do|done|for|select|case|esac|function|time|coproc|\[\[|!|\{|\})"
    r"(?=[\s;&|<>()]|\Z)"
)
_PLAIN_ARGUMENT: Final = re.compile(r"[ \t]*+([A-Za-z0-9_./:@%+,^-]++)(?=[\s;&|)]|\Z)")
_TIMED: Final = re.compile(r"[ \t]*+-p(?=\s)")
_EMPTY_BRACKETS: Final = re.compile(r"\([ \t]*+\)")
_FUNCTION: Final = re.compile(r"[ \t]*+([^\s;&|<>()'\"$`]++)[ \t]*+(?:\([ \t]*+\))?")
_LOOP: Final = re.compile(r"[ \t]*+([A-Za-z_][A-Za-z0-9_]*+)?(?:\s*+(in)(?=[\s;]))?")
_INDENT: Final = re.compile(r"^\t++", re.MULTILINE)
_GROUPS: Final = {"if": "fi", "while": "done", "until": "done", "{": "}"}
_STOPS: Final = frozenset("\n;&|)")
_ENDS: Final = frozenset(["", *"\n;&|()#"])
_BREAKS: Final = frozenset("\n;&|()<>")


def read(text: str, place: tuple[int, int] | None = None) -> Script:
    """The script that `text` is. `place` is what positions say where the text is no part of what they count in."""
    return Reader(text, place).read()


class _Awaited(msgspec.Struct):
    """A here-document whose body has yet to come."""

    delimiter: str
    literal: bool
    strips: bool
    body: list[Piece]


class Reader(WordReader):
    """Commands, and what holds them together."""

    def __init__(self, text: str, place: tuple[int, int] | None, depth: int = 0) -> None:
        """`place` as for `read`; `depth` counts what the text already stands inside."""
        super().__init__(text, place, depth)
        self._awaited: list[_Awaited] = []
        self._more_cases = False
        self._ended = 0
        """Where the last part of a simple command ended."""

    def read(self) -> Script:
        """The whole text."""
        pipelines = self._pipelines(None)
        self._bodies()
        return Script(tuple(pipelines), self._complete)

    def _inner(self) -> Script:
        awaited, self._awaited = self._awaited, []
        script = self._script(")")
        # A here-document that the brackets began and did not end has its body behind the line they stand in.
        self._awaited = awaited + self._awaited
        return script

    def _nested(self, text: str, place: tuple[int, int]) -> Script:
        script = Reader(text, place, self._depth + 1).read()
        self._complete = self._complete and script.complete
        return script

    def _script(self, closer: str) -> Script:
        """What stands up to `closer`, and past it."""
        if self._depth >= DEEPEST:
            self._complete = False
            return Script((), complete=False)
        self._depth += 1
        pipelines = self._pipelines(closer)
        self._depth -= 1
        return Script(tuple(pipelines), self._complete)

    def _pipelines(self, closer: str | None) -> list[Pipeline]:
        found: list[Pipeline] = []
        stages: list[Stage] = []
        text = self._text
        while True:
            self._blanks()
            if self._at >= self._size:
                break
            mark = text[self._at]
            if mark in "\n;&|":
                if self._separator(stages, found) and closer == "esac":
                    _finish(stages, found)
                    self._more_cases = True
                    return found
            elif mark == ")":
                self._at += 1
                if closer == ")":
                    break
            elif mark == "#":
                self._comment()
            elif self._command(stages, closer):
                break
        _finish(stages, found)
        self._more_cases = False
        return found

    def _separator(self, stages: list[Stage], found: list[Pipeline]) -> bool:
        """Moves past what stands between commands; whether it ends a branch of a `case`."""
        two = self._text[self._at : self._at + 2]
        mark = two[0]
        if two == "&>":
            self._simple(stages)
            return False
        if mark == "|" and two != "||":
            self._at += 2 if two == "|&" else 1
            return False
        _finish(stages, found, background=mark == "&" and two != "&&")
        if mark == "\n":
            self._at += 1
            self._bodies()
            return False
        self._at += 2 if two in ("&&", "||", ";;", ";&") else 1
        if two == ";;" and self._mark() == "&":
            self._at += 1
        return two in (";;", ";&")

    def _comment(self) -> None:
        found = _COMMENT.match(self._text, self._at)
        self._at = found.end() if found else self._at + 1

    def _command(self, stages: list[Stage], closer: str | None) -> bool:
        """Reads one command into `stages`; whether it was the closing word instead."""
        keyword = _KEYWORD.match(self._text, self._at)
        if keyword is None:
            if self._mark() == "(":
                self._subshell(stages)
            else:
                self._simple(stages)
            return False
        word, start = keyword[0], self._at
        self._at = keyword.end()
        if word == closer:
            return True
        if word in _GROUPS:
            self._compound(stages, start, word, (self._script(_GROUPS[word]),))
        elif word in ("for", "select"):
            self._loop(stages, start)
        elif word == "case":
            self._case(stages, start)
        elif word == "function":
            self._function(stages, start)
        elif word == "[[":
            self._test(stages, start)
        elif word == "time" and (option := _TIMED.match(self._text, self._at)):
            self._at = option.end()
        return False  # `then`, `do` and the like stand before a command and change nothing in it

    def _compound(
        self,
        stages: list[Stage],
        start: int,
        kind: str,
        scripts: tuple[Script, ...],
        name: str = "",
        words: tuple[Word, ...] = (),
    ) -> None:
        redirects: list[Redirect] = []
        while True:
            self._blanks()
            found = _REDIRECT.match(self._text, self._at)
            if found is None:
                break
            self._redirect(found, redirects)
        stages.append(Compound(*self._span(start), kind, scripts, tuple(redirects), name, words))

    def _subshell(self, stages: list[Stage]) -> None:
        start, before = self._at, self._arithmetic
        # Arithmetic is read as if it were commands: that finds its substitutions, and hides nothing.
        self._arithmetic = before or self._text.startswith("((", start)
        self._at += 1
        script = self._script(")")
        self._arithmetic = before
        self._compound(stages, start, "(", (script,))

    def _loop(self, stages: list[Stage], start: int) -> None:
        head = _LOOP.match(self._text, self._at)
        words: list[Word] = []
        if head:
            self._at = head.end()
            self._blanks()
            while head[2] and self._at < self._size and self._text[self._at] not in _BREAKS:
                words.append(self._word())
                self._blanks()
        name = head[1] or "" if head else ""
        self._compound(stages, start, "for", (self._script("done"),), name, tuple(words))

    def _case(self, stages: list[Stage], start: int) -> None:
        self._blanks()
        if self._at < self._size and self._text[self._at] not in _BREAKS:
            self._word()
        scripts: list[Script] = []
        more = True
        while more and self._pattern():
            scripts.append(self._script("esac"))
            more = self._more_cases
        self._more_cases = False
        self._compound(stages, start, "case", tuple(scripts))

    def _pattern(self) -> bool:
        """Moves past a pattern of a `case` and its bracket; False at the end of the `case`."""
        text = self._text
        while True:
            self._blanks()
            mark = self._mark()
            if not mark:
                return False
            if mark == ")":
                self._at += 1
                return True
            keyword = _KEYWORD.match(text, self._at)
            if keyword and keyword[0] == "esac":
                self._at = keyword.end()
                return False
            if mark == "\n":
                self._at += 1
                self._bodies()
            elif mark == "#":
                self._comment()
            elif mark in _BREAKS:
                self._at += 1
            else:
                self._word()

    def _function(self, stages: list[Stage], start: int) -> None:
        head = _FUNCTION.match(self._text, self._at)
        if head:
            self._at = head.end()
            self._body(stages, start, head[1])

    def _body(self, stages: list[Stage], start: int, name: str) -> None:
        """The body of a function: the command that follows."""
        while True:
            self._blanks()
            mark = self._mark()
            if mark == "\n":
                self._at += 1
                self._bodies()
            elif mark == "#":
                self._comment()
            else:
                break
        inner: list[Stage] = []
        if mark and mark not in _STOPS and self._depth < DEEPEST:
            self._depth += 1
            self._command(inner, None)
            self._depth -= 1
        script = Script((Pipeline(tuple(inner)),) if inner else ())
        stages.append(Compound(*self._span(start), "function", (script,), (), name))

    def _test(self, stages: list[Stage], start: int) -> None:
        """`[[ ... ]]`, in which brackets and `<` compare."""
        words = [Word(*self._span(start), (), "[[")]
        joined = False
        while True:
            self._blanks()
            mark = self._mark()
            if not mark or mark == ";" or (mark == "\n" and not joined):
                break
            joined = mark in "&|" or (joined and mark == "\n")
            if mark in _BREAKS and not self._process():
                self._at += 1
                continue
            at = self._at
            words.append(self._word())
            if self._text[at : self._at] == "]]":
                break
        stages.append(Simple(*self._span(start), tuple(words)))

    def _simple(self, stages: list[Stage]) -> None:
        start = self._at
        words: list[Word] = []
        assignments: list[Assignment] = []
        redirects: list[Redirect] = []
        while self._argument(words, assignments, redirects):
            pass
        if len(words) == 1 and not assignments and (brackets := _EMPTY_BRACKETS.match(self._text, self._at)):
            name = self._text[start : self._at].strip()
            self._at = brackets.end()
            self._body(stages, start, name)
        elif self._at == start:
            self._at += 1
        elif words or assignments or redirects:
            span = self._place or (start, min(self._ended, self._size))
            stages.append(Simple(*span, tuple(words), tuple(assignments), tuple(redirects)))

    def _argument(self, words: list[Word], assignments: list[Assignment], redirects: list[Redirect]) -> bool:
        """Reads one part of a simple command, or several plain words at once; False at its end."""
        text = self._text
        while found := _PLAIN_ARGUMENT.match(text, self._at):
            self._at = found.end()
            start, end = self._place or found.span(1)
            words.append(Word(start, end, (), found[1]))
        self._ended = self._at
        self._blanks()
        mark = self._mark()
        if mark in _REDIRECT_MARKS and (redirect := _REDIRECT.match(text, self._at)):
            self._redirect(redirect, redirects)
        elif mark in _ENDS or (mark in "<>" and not self._process()):
            return False
        elif not words and (assigned := _ASSIGNED.match(text, self._at)):
            assignments.append(self._assignment(assigned))
        else:
            words.append(self._word())
        return True

    def _assignment(self, assigned: re.Match[str]) -> Assignment:
        self._at = assigned.end()
        name, adds = assigned[1], bool(assigned[2])
        mark = self._mark()
        if mark == "(":
            return Assignment(name, tuple(self._array()), adds)
        if not mark or (mark in "\n;&|)<> \t\r" and not self._process()):
            return Assignment(name, (), adds)
        return Assignment(name, (self._word(),), adds)

    def _array(self) -> list[Word]:
        self._at += 1
        words: list[Word] = []
        while True:
            self._blanks()
            mark = self._mark()
            if mark in ("", ")"):
                self._at += 1
                return words
            if mark == "#":
                self._comment()
            elif mark in _BREAKS:
                self._at += 1
            else:
                words.append(self._word())

    def _redirect(self, found: re.Match[str], redirects: list[Redirect]) -> None:
        fd, op = found.groups()
        self._at = found.end()
        self._blanks()
        start = self._at
        if self._at >= self._size or (self._text[self._at] in _BREAKS and not self._process()):
            return
        word = self._word()
        if op not in ("<<", "<<-") or self._arithmetic:
            redirects.append(Redirect(op, word, fd))
            return
        written = self._text[start : self._at]
        bare = not any(mark in written for mark in "'\"\\")
        delimiter = written if bare else "".join([each.text for each in word.pieces if isinstance(each, Literal)])
        body: list[Piece] = []
        self._awaited.append(_Awaited(literal(delimiter), not bare, op == "<<-", body))
        redirects.append(Redirect("<<", Word(word.start, word.end, body), fd))

    def _bodies(self) -> None:
        """Reads the bodies of the here-documents that the line before began."""
        awaited, self._awaited = self._awaited, []
        for each in awaited:
            start = self._at
            end, self._at = self._body_end(each)
            body = self._text[start:end]
            if each.strips:
                body = _INDENT.sub("", body)
            if each.literal or not any(mark in body for mark in "$`\\"):
                each.body.append(Literal(quoted(body), True))
            else:
                inner = Reader(body, self._place or (start, end), self._depth)
                each.body += inner.document()
                self._complete = self._complete and inner._complete

    def _body_end(self, awaited: _Awaited) -> tuple[int, int]:
        """Where the body ends, and where the text goes on behind the line with its delimiter."""
        text, delimiter = self._text, awaited.delimiter
        line = self._at
        while line < self._size:
            end = text.find("\n", line)
            end = end if end >= 0 else self._size
            written = text[line:end].rstrip("\r")
            if (written.lstrip("\t") if awaited.strips else written) == delimiter:
                return line, min(end + 1, self._size)
            line = end + 1
        return self._size, self._size


def _finish(stages: list[Stage], found: list[Pipeline], *, background: bool = False) -> None:
    """Ends the pipeline that `stages` are."""
    if stages:
        found.append(Pipeline(tuple(stages), background))
        stages.clear()
