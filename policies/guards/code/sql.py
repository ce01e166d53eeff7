"""SQL: statements that destroy, open up, or reach beyond the data.

Statements are split and told apart by their first words, which all dialects share; what deletes or updates is parsed
by sqlglot, in whatever dialect reads it, to see which rows it is bounded to.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

from policies.guards.code.match import Match
from policies.possessive import compiled

_PARSED_LENGTH: Final = 4096
"""Characters of a statement that is parsed: sqlglot takes 6 ms for as many. A longer one is judged by its words."""

_MOST_PARSED: Final = 16
"""Statements of one text that are parsed."""

_DEEPEST: Final = 2
"""Statements in the text literals of statements."""

_HEAD: Final = 1024
"""Characters in which the beginning of a statement shows itself."""

_BLANKS: Final = compiled(r"(?:\s|--[^\n]*+(?:\n|\Z)|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|[(;])*+")
_VERB: Final = re.compile(r"[A-Za-z]+")
_OBJECT: Final = (
    r"(?:temp(?:orary)?\s+|foreign\s+|external\s+|materialized\s+|unique\s+|or\s+replace\s+|public\s+)*+"
    r"(?:table|database|schema|tablespace|owned|user|role|login|view|index|function|procedure|trigger|sequence|type|policy"
    r"|extension|event|column|server|synonym|package|constraint|system|default|group|statistics|domain)"
)
_NAME: Final = r"[\w.$#@\"`\[\]]+"
_GOES_ON: Final = (
    r"(?:$|[;,(]|--|/\*|(?:where|using|output|returning|order|limit|join|inner|left|cross|cascade|restrict|purge|on"
    r"|from|with)\b)"
)
_PRIVILEGE: Final = (
    r"(?:all|select|insert|update|delete|usage|execute|create|connect|temporary|references|trigger|truncate|alter|drop|index"
    r"|super|process|file|reload|admin|dba)\b[^;]*\b(?:on|to|from)\b"
)
_SHAPES: Final = compiled(
    "|".join(
        (
            rf"delete\s+(?:top\s*\(\S+\s+)?from\s+(?:only\s+)?{_NAME}(?:\s+(?:as\s+)?\w+)?\s*{_GOES_ON}",
            rf"delete\s+{_NAME}\s*{_GOES_ON}",
            rf"delete\s+{_NAME}(?:\s*,\s*{_NAME})*+\s+from\s+{_NAME}",
            rf"update\s+(?:only\s+|low_priority\s+|ignore\s+|top\s*\(\S+\s+)?{_NAME}[^;]*?\sset\b",
            rf"drop\s+{_OBJECT}\s+(?:if\s+exists\s+|by\s+)?{_NAME}(?:\s*,\s*{_NAME})*+\s*{_GOES_ON}",
            rf"alter\s+{_OBJECT}\s+(?:if\s+exists\s+|only\s+)*+{_NAME}\s+\w+",
            r"alter\s+(?:system|default\s+privileges)\b",
            rf"create\s+{_OBJECT}\b",
            rf"truncate\s+(?:table\s+)?{_NAME}\s*(?:$|;|,|cascade\b|restart\b)",
            rf"(?:grant|revoke)\s+(?:{_PRIVILEGE}|(?!access|permissions?\b){_NAME}\s+(?:to|from)\s+{_NAME}\s*{_GOES_ON})",
            r"rename\s+table\b",
            r"reassign\s+owned\b",
            rf"merge\s+(?:into\s+)?{_NAME}",
            r"(?:insert|replace)\s+(?:into|overwrite|ignore)\b",
            r"with\s+(?:recursive\s+)?\w+[^;]*?\bas\s*(?:materialized\s*)?\(",
            r"exec(?:ute)?(?:\s+immediate)?\s*(?:[\w.\[\]]+|\()",
            r"copy\s+\S+\s*(?:\([^)]*\)\s*)?(?:from|to)\b",
            r"attach\s+(?:database\b|['\"])",
            r"call\s+[\w.]+\s*\(",
            r"do\s+[$']",
            r"load\s+data\b",
            r"shutdown\s*(?:$|;|with\b|immediate\b)",
            r"prepare\s+\w+\s+(?:from|as)\b",
            r"(?:set|use)\s+\S",
            r"kill\s+\d",
            r"(?:select|begin|explain|declare|pragma|show|describe)\b",
        )
    ),
    re.IGNORECASE,
)
"""How statements begin, by their verb: prose that begins with the same word goes on in another way."""

_RISKY: Final = re.compile(
    r"\b(?:drop|truncate|alter|delete|update|grant|revoke|rename|outfile|dumpfile|load_\w+|xp_\w+|copy|attach|shutdown|exec\w*"
    r"|prepare|pg_\w+|lo_\w+|sp_\w+|openrowset|infile|utl_\w+|dbms_\w+|user|role|login|kill|reassign|merge|declare|do"
    r"|create|insert|replace)\b",
    re.IGNORECASE,
)
"""Without any of these words there is nothing to be found."""

_CONDITIONAL: Final = compiled(r"/\*!\d*+((?:[^*]|\*(?!/))*+)\*/")
"""MySQL runs what stands in such comments."""

_REACHES: Final = re.compile(
    r"\b(?:into\s+(?:out|dump)file|load_file\s*\(|xp_cmdshell|xp_reg(?:write|delete)\w*"
    r"|copy\b[^;]{0,1024}?\b(?:from|to)\s+program\b|pg_read_(?:binary_)?file\s*\(|lo_(?:ex|im)port\s*\(|sp_oacreate"
    r"|openrowset\s*\(|load\s+data\s+(?:local\s+)?infile|utl_(?:http|file)|dbms_scheduler|load_extension\s*\()",
    re.IGNORECASE,
)
_STANDARD: Final = r"'(?:[^']|'')*+(?:'|\Z)"
_ESCAPING: Final = r"'(?:[^'\\]|\\.|'')*+(?:'|\Z)"
_REST: Final = (
    r"|\"[^\"]*+(?:\"|\Z)|`[^`]*+(?:`|\Z)|\$([A-Za-z_]*)\$.*?(?:\$\1\$|\Z)"
    r"|--[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|(;)"
)
_SPLITTERS: Final = (compiled(_STANDARD + _REST, re.DOTALL), compiled(_ESCAPING + _REST, re.DOTALL))
"""Two readings of a backslash before a quote: dialects differ, and what hides from one shows in the other."""

_COMMENT: Final = compiled(r"--[^\n]*+|/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)")
_PROCEDURAL: Final = re.compile(
    r"\s*(?:begin(?!\s*(?:tran|work|immediate|exclusive|deferred|$))|then|else|loop|declare)\b\s*", re.IGNORECASE
)
_TEXT: Final = compiled(r"'((?:[^']|'')*+)'|\$([A-Za-z_]*)\$(.*?)\$\2\$", re.DOTALL)
_TEMPORARY: Final = re.compile(
    r"drop\s+(?:temp(?:orary)?\s+table\b|table\s+(?:if\s+exists\s+)?[\"`\[]?(?:#|te?mp_|\w+_te?mp\b))", re.IGNORECASE
)
_WHERE: Final = re.compile(r"\bwhere\b", re.IGNORECASE)
_DROPS: Final = re.compile(r"\bdrop\b", re.IGNORECASE)
_WRITES_INSIDE: Final = re.compile(r"\b(?:delete|update|merge)\b", re.IGNORECASE)
_BY_FIRST_WORDS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), score, label)
    for pattern, score, label in (
        (r"drop\s+(?:database|schema|tablespace|owned)\b", 95, "drop"),
        (r"drop\s+(?:user|role|login)\b", 75, "privileges"),
        (r"drop\s+(?:table|foreign\s+table|external\s+table)\b", 90, "drop"),
        (r"drop\b", 60, "drop"),
        (r"truncate\b", 90, "truncate"),
        (r"grant\b[^;]*\b(?:all|superuser|admin|dba|grant\s+option)\b", 90, "privileges"),
        (
            r"(?:grant|(?:create|alter)\s+(?:user|role|login)|alter\s+(?:system|default\s+privileges))\b",
            75,
            "privileges",
        ),
        (r"revoke\b", 60, "privileges"),
        (r"alter\s+database\b", 60, "alter"),
        (r"create\s+or\s+replace\s+table\b", 60, "drop"),
        (r"shutdown\b", 90, "shutdown"),
        (r"kill\b", 50, "shutdown"),
        (r"(?:rename\s+table|reassign\s+owned)\b", 60, "alter"),
        (r"attach\s+(?:database\s+)?['\"]", 50, "external"),
    )
)
_RUNS_TEXT: Final = re.compile(r"(?:exec(?:ute)?|prepare|do|call|declare)\b", re.IGNORECASE)
_READS: Final = frozenset({"select", "show", "describe", "explain", "with"})
_KEEPS: Final = _READS | {"set", "use", "pragma", "begin", ""}


def looks_like_sql(text: str) -> bool:
    """Whether a text begins as a statement does."""
    opening = _BLANKS.match(text)
    at = opening.end() if opening else 0
    return bool(_SHAPES.match(text[at : at + _HEAD].replace("/**/", " ")))


def matches(text: str, start: int, end: int, depth: int = 0) -> Iterator[Match]:
    """What the statements of a text do; the range given is that of every match."""
    if "/*!" in text:
        text = _CONDITIONAL.sub(r" \1 ", text)
    if not _RISKY.search(text):
        return
    found: set[tuple[int, str]] = {(90, "external")} if _REACHES.search(text) else set()
    for splitter in _SPLITTERS if "\\'" in text else _SPLITTERS[:1]:
        found.update(_judged(_statements(splitter, text)))
    for score, label in sorted(found, reverse=True):
        yield Match("sql", f"sql_{label}", score, start, end)
    if depth < _DEEPEST and _RUNS_TEXT.search(text):
        for inner in _TEXT.finditer(text):
            yield from matches((inner[1] or inner[3] or "").replace("''", "'"), start, end, depth + 1)


def _statements(splitter: re.Pattern[str], text: str) -> Iterator[str]:
    """The statements of a text, comments taken out."""
    begun = 0
    for found in splitter.finditer(text):
        if found[2]:
            yield text[begun : found.start()]
            begun = found.end()
    yield text[begun:]


def _judged(statements: Iterable[str]) -> Iterator[tuple[int, str]]:
    verbs: list[str] = []
    parsed = 0
    for written in statements:
        statement = _COMMENT.sub(" ", written) if "--" in written or "/*" in written else written
        while opening := _PROCEDURAL.match(statement):
            statement = statement[opening.end() :]
        statement = statement.strip(" \t\r\n(")
        if not _SHAPES.match(statement[:_HEAD]):
            continue
        verb = _VERB.match(statement)
        verbs.append(verb[0].lower() if verb else "")
        if _TEMPORARY.match(statement):
            yield 40, "drop"
            continue
        yield from _by_first_words(statement)
        if verbs[-1] in ("delete", "update", "with", "merge", "explain") and _WRITES_INSIDE.search(statement):
            parsed += 1
            short = len(statement) <= _PARSED_LENGTH and parsed <= _MOST_PARSED
            yield from _parsed(statement) if short else _unparsed(statement, 75)
    if verbs and verbs[0] in _READS and any(verb not in _KEEPS for verb in verbs[1:]):
        yield 60, "stacked"


def _by_first_words(statement: str) -> Iterator[tuple[int, str]]:
    known = next(((score, label) for pattern, score, label in _BY_FIRST_WORDS if pattern.match(statement)), None)
    if known:
        yield known
    elif statement[:5].lower() == "alter":
        yield (75, "alter") if _DROPS.search(statement) else (50, "alter")


def _unparsed(statement: str, score: int) -> Iterator[tuple[int, str]]:
    """By its words alone: no bound at all is still seen."""
    if not _WHERE.search(statement):
        yield score, "unbounded_write"


def _parsed(statement: str) -> Iterator[tuple[int, str]]:
    dialects = _door()
    tree = dialects.parse(statement)
    if tree is None:
        yield from _unparsed(statement, 60)  # prose can begin as a statement does
        return
    for node in dialects.writes(tree):
        bound = dialects.bound(node)
        if bound == "none":
            yield (90, "unbounded_delete") if dialects.deletes(node) else (75, "unbounded_update")
        elif bound == "always":
            yield 75, "unbounded_where"


@cache
def _door() -> "_Dialects":
    return _Dialects()


class _Dialects:
    """sqlglot, imported when the first statement needs it: 0.1 s that most processes never spend."""

    def __init__(self) -> None:
        import logging  # noqa: PLC0415 - beside the import it silences

        import sqlglot  # noqa: PLC0415 - see the class
        from sqlglot import exp  # noqa: PLC0415 - see the class

        # It warns of every statement it only half understands, by quoting it: content does not belong in a log.
        logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
        self._sqlglot: Any = sqlglot
        self._exp: Any = exp

    def parse(self, statement: str) -> Any:
        """The tree of one statement in the first dialect that reads it; None where none does."""
        for dialect in _dialects(statement):
            try:
                trees = self._sqlglot.parse(statement, read=dialect)
            except (self._sqlglot.errors.SqlglotError, RecursionError, ValueError):
                continue
            if trees and trees[0] is not None and not isinstance(trees[0], self._exp.Command):
                return trees[0]
        return None

    def writes(self, tree: Any) -> list[Any]:
        """Every deletion and update in a tree."""
        return list(tree.find_all(self._exp.Delete, self._exp.Update))

    def deletes(self, node: Any) -> bool:
        """Whether a node deletes."""
        return isinstance(node, self._exp.Delete)

    def bound(self, node: Any) -> str:
        """What bounds a deletion or an update: `none`, `always` (a condition that always holds) or `rows`."""
        where = node.args.get("where")
        if where is not None:
            return "always" if self._always(where.this, 0) else "rows"
        joined = node.args.get("using") or node.args.get("from_") or node.args.get("from") or node.find(self._exp.Join)
        limited = node.args.get("limit")
        inside_merge = node.find_ancestor(self._exp.Merge)
        return "rows" if joined or limited or inside_merge else "none"

    def _always(self, condition: Any, depth: int) -> bool:
        exp = self._exp
        if depth > 32:  # noqa: PLR2004 - brackets and connectives that are followed
            return False
        if isinstance(condition, exp.Paren):
            return self._always(condition.this, depth + 1)
        if isinstance(condition, (exp.Or, exp.And)):
            both = self._always(condition.left, depth + 1), self._always(condition.right, depth + 1)
            return any(both) if isinstance(condition, exp.Or) else all(both)
        return self._holds(condition)

    def _holds(self, condition: Any) -> bool:
        """Whether a condition without connectives holds for every row."""
        exp = self._exp
        if isinstance(condition, exp.Boolean):
            return bool(condition.this)
        if isinstance(condition, exp.Literal):
            return condition.this not in ("0", "")
        if isinstance(condition, (exp.EQ, exp.LTE, exp.GTE)):
            return condition.left == condition.right
        if isinstance(condition, exp.NEQ):
            both = isinstance(condition.left, exp.Literal) and isinstance(condition.right, exp.Literal)
            return both and condition.left != condition.right
        if isinstance(condition, exp.Like) and isinstance(condition.expression, exp.Literal):
            return condition.expression.this.strip("%") == ""
        return False


def _dialects(statement: str) -> list[str | None]:
    """Dialects to try, the likeliest first."""
    if "`" in statement:
        return ["mysql", "bigquery", None]
    if "[" in statement or "@" in statement:
        return ["tsql", "postgres", None]
    return [None, "mysql", "tsql"]
