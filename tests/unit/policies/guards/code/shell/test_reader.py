"""The shell reader finds the commands that a grammar finds, and those that errors hide from one."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter
import tree_sitter_bash
from hypothesis import given
from hypothesis import strategies as st

from policies.guards.code.shell.reader import read
from policies.guards.code.shell.syntax import Compound, Literal, Process, Script, Simple, Substitution, Variable, Word

CORPUS = Path(__file__).parents[5] / "corpus" / "commands"
SCRIPTS = sorted(
    [each for file in CORPUS.glob("*.txt") if file.stem != "hidden" for each in file.read_text().strip().split("\n\n")]
)
"""Commands as people write them: the grammar has its own words for some of the others."""
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bash.language()))
OTHERWISE = {"export", "declare", "local", "readonly", "typeset", "unset", "[", "[[", "1"}
"""What the grammar calls by other names than a command."""


def of_grammar(text: str) -> list[str] | None:
    """Names of all commands by tree-sitter's grammar of Bash; None where it finds an error."""
    root = PARSER.parse(text.encode()).root_node
    names: list[str] = []
    left = [root]
    while left:
        node = left.pop()
        name = node.child_by_field_name("name") if node.type == "command" else None
        if name is not None and name.text is not None:
            names.append(name.text.decode())
        left += node.children
    return None if root.has_error else sorted(names)


def simple(script: Script) -> Iterator[Simple]:
    for pipeline in script.pipelines:
        for stage in pipeline.stages:
            words = [*stage.words, *(redirect.word for redirect in stage.redirects)]
            if isinstance(stage, Simple):
                yield stage
                words += [word for each in stage.assignments for word in each.values]
            else:
                assert isinstance(stage, Compound)
                for inner in stage.scripts:
                    yield from simple(inner)
            yield from inside(words)


def inside(words: list[Word]) -> Iterator[Simple]:
    for word in words:
        for piece in word.pieces:
            if isinstance(piece, (Substitution, Process)):
                yield from simple(piece.script)
            elif isinstance(piece, Variable) and piece.operand is not None:
                yield from inside([piece.operand])


def names(text: str) -> list[str]:
    found = [text[each.words[0].start : each.words[0].end] for each in simple(read(text)) if each.words]
    return sorted(name for name in found if name not in OTHERWISE)


def test_the_commands_of_a_script_are_those_of_the_grammar() -> None:
    compared = {text: of_grammar(text) for text in SCRIPTS if "`" not in text}
    read_by_both = {text: expected for text, expected in compared.items() if expected is not None}
    assert len(read_by_both) > 0.98 * len(compared)
    assert {text: names(text) for text in read_by_both} == read_by_both


@given(st.lists(st.sampled_from([text for text in SCRIPTS if "<<" not in text and "`" not in text]), max_size=4))
def test_scripts_one_after_the_other_hold_all_their_commands(texts: list[str]) -> None:
    assert names("\n".join(texts)) == sorted(name for text in texts for name in names(text))


@pytest.mark.parametrize(
    "text",
    [
        "x; ))))))\ny",
        "x\n( y",
        "if x\ny",
        "for\nx; y",
        "case a in\nb) x;; c) y",
        "fi done esac }; x; y",
        "x && || y",
        "x > ; y",
        "f( x; y",
        "[[ a\nx; y",
        "x ${; y",
        "x $((1<<2)); y",
        "x <<A; y\nbody\nA",
        "x `y",
        "x $(y",
    ],
)
def test_no_error_hides_a_command(text: str) -> None:
    assert {"x", "y"} <= {word.plain for each in simple(read(text)) for word in each.words}


def test_pieces_of_a_word_keep_what_is_quoted_apart() -> None:
    (command,) = simple(read("echo a'*'\"$x\"*\\*"))
    pieces = command.words[1].pieces
    assert [type(piece) for piece in pieces] == [Literal, Literal, Variable, Literal, Literal]
    assert [piece.quoted for piece in pieces] == [False, True, True, False, True]
    assert [piece.text for piece in pieces if isinstance(piece, Literal)][1] != "*"


def test_a_document_is_the_body_of_its_own_command() -> None:
    text = "cat <<A <<-'B' | x\none $y\nA\n\ttwo $y\n\tB\nz"
    commands = list(simple(read(text)))
    assert [each.words[0].plain for each in commands] == ["cat", "x", "z"]
    first, second = (redirect.word.pieces for redirect in commands[0].redirects)
    assert [type(piece) for piece in first] == [Literal, Variable, Literal]
    assert [piece.text for piece in second if isinstance(piece, Literal)] == ["two $y\n"]


UNITS = [
    "(",
    ")",
    "$(",
    '"$(',
    "cat <<A\n",
    "{ ",
    "$((",
    "a && ",
    "if a; then ",
    "case a in b) ",
    "`",
    "\\`",
    "&",
    "a | ",
]
UNITS += [
    "] ) } ",
    "'",
    "${a",
    "${a:-",
    "[[ ",
    "\0",
    "> ",
    "<(",
    '"$a" ',
    "\\\n",
    "a!(",
    "f() ",
    "a=(",
    "$(<<A\n",
    "\u00e9",
]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: re.sub(r"\W", "_", unit))
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    short, long = unit * (1024 // len(unit)), unit * (16384 // len(unit))
    assert spent(long) < 16 * 4 * max(spent(short), 0.002)


def spent(text: str) -> float:
    """Seconds of CPU, the best of three."""
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        read(text)
        best = min(best, time.process_time() - began)
    return best


@given(st.text() | st.text(alphabet="ab $(){}[]'\"`\\;|&<>\n\t=#*?!~-fidonesac"))
def test_any_text_is_a_script(text: str) -> None:
    for each in simple(read(text)):
        assert 0 <= each.start <= each.end <= len(text)
