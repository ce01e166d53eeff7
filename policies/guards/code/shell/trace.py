"""Trace: everything a script would run, in order, down into the scripts that it hands to other shells.

Nothing is run. Both ways of every branch are followed, loops a few times, functions where they are called; what only
running would tell is `UNKNOWN`.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from policies.guards.code.shell.expansion import CLEAN, EMPTY, Environment, Field, Room, Taints, Value, only, union
from policies.guards.code.shell.followers import FOLLOWERS
from policies.guards.code.shell.invocations import Invocation, base_name, started
from policies.guards.code.shell.paths import kept_in, normal
from policies.guards.code.shell.programs import copies, flow, output
from policies.guards.code.shell.reader import read
from policies.guards.code.shell.syntax import (
    UNKNOWN,
    Compound,
    Redirect,
    Script,
    Simple,
    Stage,
    literal,
    quoted,
    special,
)

_DEEPEST: Final = 8
"""Scripts handed from shell to shell, and functions calling functions."""

_LOOPED: Final = 8
"""Times a loop's body is followed."""

_STEPS: Final = 2000
"""Commands that are followed beyond one for each character."""

_REMEMBERED: Final = 16 << 10
"""Scripts up to so many characters are followed once and remembered."""

_ROOM: Final = 64 << 10
"""Characters of values beyond four for each character of the script."""

_WRITES: Final = frozenset({">", ">>", ">|", "&>", "&>>", ">&"})
_READS: Final = frozenset({"<", "<>", "<&"})
_DOCUMENTS: Final = frozenset({"<<", "<<<"})

Files = tuple[tuple[str, Field], ...]


class Execution(msgspec.Struct, frozen=True, gc=False):
    """Text that is handed to a shell or an interpreter to be run."""

    by: Invocation
    text: str
    """Marked as in `syntax`."""

    taints: Taints
    how: str
    """`argument`, `stdin` or `file`."""


class Snippet(msgspec.Struct, frozen=True, gc=False):
    """Code in a language other than the shell's, in the place of the command that holds it."""

    language: str
    text: str
    start: int
    end: int


class Trace(msgspec.Struct, frozen=True):
    """What a script would do."""

    invocations: list[Invocation] = []
    flows: list[Taints] = []
    """What flowed into each invocation."""

    executions: list[Execution] = []
    snippets: list[Snippet] = []
    functions: dict[str, Script] = {}
    complete: bool = True
    """False where something was not followed to its end."""


def trace(text: str) -> Trace:
    """Everything the script `text` would run. What comes back is shared: it must not be changed."""
    return _remembered(text) if len(text) <= _REMEMBERED else _trace(text)


def _trace(text: str) -> Trace:
    tracer = _Tracer(len(text))
    tracer.follow(text)
    return tracer.result()


_remembered = lru_cache(maxsize=64)(_trace)


def trace_program(words: Sequence[str]) -> Trace:
    """Everything a program started with these arguments, without a shell between, would run; positions are 0."""
    tracer = _Tracer(sum(map(len, words)))
    tracer.begin(Invocation(""), [Field(quoted(word)) for word in words])
    return tracer.result()


class _Tracer:
    def __init__(self, size: int) -> None:
        self._room = Room(4 * size + _ROOM)
        self.environment = Environment(self._run, self._room)
        self.cwd = ""
        self._invocations: list[Invocation] = []
        self._flows: list[Taints] = []
        self._executions: list[Execution] = []
        self._snippets: list[Snippet] = []
        self._functions: dict[str, Script] = {}
        self._complete = True
        self._files: dict[str, Value] = {}
        self._file_names: set[str] = set()
        self._left = _STEPS + size
        self._depth = 0
        self._looping = False
        self._calling: set[str] = set()
        self._pipe_start = 0
        self._place: tuple[int, int] | None = None

    def result(self) -> Trace:
        """All that was found."""
        found = self._invocations, self._flows, self._executions, self._snippets
        return Trace(*found, self._functions, self._complete)

    def follow(self, text: str) -> Value:
        """Follows a script from its text; what it writes."""
        return self._run(read(text.replace("\0", " "), self._place))

    # What followers ask

    def hand(self, invocation: Invocation, script: Value, how: str) -> Value:
        """Follows a script that a shell is handed; what it writes."""
        self._executions.append(Execution(invocation, script.text, script.taints, how))
        if self._depth >= _DEEPEST or not self._room.take(script.text):
            self._complete = False
            return Value(UNKNOWN, script.taints)
        before = self._place, self._pipe_start, self.cwd
        self._place = (invocation.start, invocation.end)
        self._depth += 1
        written = self.follow(special(script.text))
        self._depth -= 1
        self._place, self._pipe_start, self.cwd = before
        return Value(written.text, written.taints | script.taints)

    def code(self, invocation: Invocation, code: Value, how: str) -> None:
        """Notes code that an interpreter is handed."""
        self._executions.append(Execution(invocation, code.text, code.taints, how))
        if self._room.take(code.text):
            self._snippets.append(Snippet(invocation.name, literal(code.text), invocation.start, invocation.end))

    def query(self, invocation: Invocation, text: str) -> None:
        """Notes statements that a database is handed."""
        if self._room.take(text):
            self._snippets.append(Snippet("sql", text, invocation.start, invocation.end))

    def begin(self, invocation: Invocation, fields: Sequence[Field]) -> None:
        """Follows a program that another one starts."""
        if self._depth >= _DEEPEST:
            self._complete = False
            return
        self._depth += 1
        place = Simple(invocation.start, invocation.end, ())
        self._program(list(fields), place, (), invocation.stdin, piped=invocation.piped)
        self._depth -= 1

    def positional(self, fields: Sequence[Field]) -> None:
        """Sets `$1`, `$2` and so on."""
        self.environment.set_array("@", fields)
        for at, field in enumerate(fields[:9], 1):
            self.environment.set(str(at), Value(special(field.text), field.taints))

    def content(self, field: Field) -> Value:
        """What a file holds, as far as the script told."""
        known = self.environment.pipes.get(field.text) or self._files.get(normal(field.text, self.cwd), Value(UNKNOWN))
        return Value(known.text, known.taints | field.taints)

    # Scripts

    def _run(self, script: Script, stdin: Value = EMPTY, *, piped: bool = False) -> Value:
        self._complete = self._complete and script.complete
        texts: list[str] = []
        taints = CLEAN
        for pipeline in script.pipelines:
            carried, fed = stdin, piped
            self._pipe_start = pipeline.stages[0].start
            for stage in pipeline.stages:
                if self._left <= 0:
                    self._complete = False
                    return Value(UNKNOWN, taints)
                self._left -= 1
                carried = self._stage(stage, carried, piped=fed, background=pipeline.background)
                fed = True
            texts.append(carried.text)
            taints |= carried.taints
        text = texts[0] if len(texts) == 1 else "".join(texts)
        return Value(text if self._room.take(text) else UNKNOWN, taints)

    def _stage(self, stage: Stage, stdin: Value, *, piped: bool, background: bool) -> Value:
        if isinstance(stage, Simple):
            return self._simple(stage, stdin, piped=piped, background=background)
        if stage.kind == "function":
            self._functions[stage.name] = stage.scripts[0]
            self._run(stage.scripts[0])
            return EMPTY
        files = self._targets(stage.redirects)
        stdin, piped = self._input(stage.redirects, files, stdin, piped=piped)
        if files:
            start, end = self._place or (stage.start, stage.end)
            self._invocations.append(Invocation("", start=start, end=end, files=files, stdin=stdin, cwd=self.cwd))
            self._flows.append(CLEAN)
        return self._redirected(self._compound(stage, stdin, piped=piped), files)

    def _compound(self, stage: Compound, stdin: Value, *, piped: bool) -> Value:
        before = self.cwd
        values: list[Value] = []
        rounds = self._rounds(stage)
        outer, self._looping = self._looping, self._looping or len(rounds) > 1
        for fields in rounds:
            if fields is not None:
                self.environment.set_array(stage.name, fields)
            values += [self._run(script, stdin, piped=piped) for script in stage.scripts]
        self._looping = outer
        if stage.kind == "(":
            self.cwd = before
        return Value("".join([value.text for value in values]), union(values))

    def _rounds(self, stage: Compound) -> list[list[Field] | None]:
        """What a loop's variable holds each time its body is followed; None where nothing is said of it."""
        if not stage.name or not stage.words:
            return [None]
        fields = [field for word in stage.words for field in self.environment.fields(word)]
        return [[field] for field in fields] if 0 < len(fields) <= _LOOPED and not self._looping else [fields]

    # Commands

    def _simple(self, stage: Simple, stdin: Value, *, piped: bool, background: bool) -> Value:
        environment = self.environment
        outer, environment.sinks = environment.sinks, []
        for each in stage.assignments:
            if len(each.values) == 1:
                environment.set(each.name, environment.value(each.values[0]), adds=each.adds)
            else:
                environment.set_array(each.name, [field for word in each.values for field in environment.fields(word)])
        fields = [field for word in stage.words for field in environment.fields(word)]
        files = self._targets(stage.redirects)
        stdin, piped = self._input(stage.redirects, files, stdin, piped=piped)
        sinks, environment.sinks = environment.sinks, outer
        written = self._program(fields, stage, files, stdin, piped=piped, background=background)
        for sink in sinks:
            self._run(sink, written, piped=True)
        return self._redirected(written, files)

    def _targets(self, redirects: Sequence[Redirect]) -> Files:
        """Where redirects lead; here-documents and here-strings lead nowhere."""
        files: list[tuple[str, Field]] = []
        for each in redirects:
            fields = self.environment.fields(each.word) if each.op not in _DOCUMENTS else []
            files += [(each.op, field) for field in fields[:1]]
        return tuple(files)

    def _input(self, redirects: Sequence[Redirect], files: Files, stdin: Value, *, piped: bool) -> tuple[Value, bool]:
        """What the command reads, and whether it is given anything to read."""
        for each in redirects:
            if each.op in _DOCUMENTS:
                value = self.environment.value(each.word)
                stdin = Value(f"{value.text}\n", value.taints) if each.op == "<<<" else value
                piped = True
        for op, field in files:
            if op in _READS and not field.text.isdigit():
                kept = kept_in(field.text, self.cwd)
                known = self.content(field)
                stdin = Value(known.text, known.taints | only(kept)) if kept else known
                piped = True
        return stdin, piped

    def _redirected(self, written: Value, files: Files) -> Value:
        """What is left on the output once files have taken it."""
        for op, field in files:
            if op in _WRITES and not field.text.isdigit() and field.text != "-":
                path = normal(field.text, self.cwd)
                before = self._files.get(path, EMPTY) if op.endswith(">>") else EMPTY
                text = before.text + written.text
                kept = text if self._room.take(text) else UNKNOWN
                self._keep(path, Value(kept, before.taints | written.taints))
                written = EMPTY
        return written

    def _program(
        self, fields: list[Field], place: Simple, files: Files, stdin: Value, *, piped: bool, background: bool = False
    ) -> Value:
        """Follows one program, started by whatever stands before it; what it writes."""
        while len(fields) > 1 and fields[0].text == UNKNOWN:
            fields = fields[1:]  # a variable that is not set leaves no word
        fields, through = started(fields, stdin)
        if not fields and not files:
            return EMPTY
        if self._file_names:
            fields = [self._filled(field) for field in fields]
        start, end = self._place or (place.start, place.end)
        invocation = Invocation(
            name=base_name(fields[0]) if fields else "",
            args=tuple(fields[1:]),
            words=[literal(field.text) for field in fields[1:]],
            start=start,
            end=end,
            pipe_start=min(start, self._pipe_start),
            stdin=stdin,
            piped=piped,
            files=files,
            through=through,
            written=fields[0].text if fields else "",
            cwd=self.cwd,
            background=background,
        )
        self._invocations.append(invocation)
        return self._followed(invocation)

    def _keep(self, path: str, value: Value) -> None:
        self._files[path] = value
        self._file_names.add(path.rpartition("/")[2])

    def _filled(self, field: Field) -> Field:
        """A field that names a file holds what flowed into that file."""
        path = field.text.rpartition("=")[2].removeprefix("@")
        if path.rpartition("/")[2] not in self._file_names:
            return field
        known = self._files.get(normal(path, self.cwd))
        return Field(field.text, field.taints | known.taints) if known and known.taints else field

    def _followed(self, invocation: Invocation) -> Value:
        taints = flow(invocation)
        self._flows.append(taints)
        for path, value in copies(invocation, self._files, taints).items():
            self._keep(path, value)
        if invocation.name in self._functions and invocation.name not in self._calling:
            return self._called(invocation)
        follower = FOLLOWERS.get(invocation.name)
        if follower is not None:
            written = follower(self, invocation)
            if written is not None:
                return written
        elif "/" in invocation.written and (known := self._files.get(normal(invocation.written, self.cwd))):
            self.hand(invocation, known, "file")
        if not self._room.take(invocation.stdin.text):
            return Value(UNKNOWN, taints)
        return output(invocation, self._files, taints)

    def _called(self, invocation: Invocation) -> Value:
        """Follows a call of a function that the script defines."""
        if self._depth >= _DEEPEST:
            return Value(UNKNOWN, invocation.taints)
        before, self._place = self._place, (invocation.start, invocation.end)
        self._depth += 1
        self._calling.add(invocation.name)
        self.positional(invocation.args)
        written = self._run(self._functions[invocation.name], invocation.stdin, piped=invocation.piped)
        self._calling.discard(invocation.name)
        self._depth -= 1
        self._place = before
        return written
