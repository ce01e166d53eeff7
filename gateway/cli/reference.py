"""The reference documents, written from the program itself: `python -m gateway.cli.reference [cli|config]`."""

import ast
import inspect
import sys
from collections.abc import Iterator

import click
import msgspec

from gateway.cli.main import COMMANDS, stepwarden
from gateway.config import sections, settings_of
from gateway.config.written import in_words


def cli() -> str:
    """docs/CLI.md: the help of every command."""
    return "\n".join(_cli())


def _cli() -> Iterator[str]:
    yield "# Command line\n"
    yield "Written by `python -m gateway.cli.reference cli`; a test keeps it current.\n"
    yield _help({"stepwarden": stepwarden})
    for name in COMMANDS:
        command = _command(name)
        yield _help({"stepwarden": stepwarden, name: command})
        if isinstance(command, click.Group):
            for inner, each in command.commands.items():
                yield _help({"stepwarden": stepwarden, name: command, inner: each})


def _command(name: str) -> click.Command:
    found = stepwarden.get_command(click.Context(stepwarden), name)
    assert found is not None
    return found


def _help(path: dict[str, click.Command]) -> str:
    """The help of the last command of a path; each one before it is the context of the next."""
    context: click.Context | None = None
    command: click.Command = stepwarden
    for name, command in path.items():
        context = click.Context(
            command, info_name=name, parent=context, terminal_width=100, help_option_names=["-h", "--help"]
        )
    assert context is not None
    return f"## `{' '.join(path)}`\n\n```text\n{command.get_help(context)}\n```\n"


def configuration() -> str:
    """docs/CONFIG.md: every section and setting with its default, range and environment form."""
    return "\n".join(_configuration())


def _configuration() -> Iterator[str]:
    yield "# Configuration\n"
    yield "Written by `python -m gateway.cli.reference config`; a test keeps it current.\n"
    yield "One TOML file, `./stepwarden.toml` or the one `--config` names; none is needed. Flags win over the"
    yield "environment, the environment over the file, the file over the defaults. Unknown names are errors."
    yield "In a variable, a NAME that is not all in capitals is taken as written: `STEPWARDEN_TOOL__WebFetch__TAGS`.\n"
    for header, section in sections().items():
        yield f"## `[{header}]`\n"
        yield f"{inspect.getdoc(section)}\n"
        yield "| setting | type | default | environment |"
        yield "|---|---|---|---|"
        fields, described = settings_of(section), _field_docs(section)
        for field in fields:
            variable = f"STEPWARDEN_{header.replace('.', '__')}__{field.name}".upper()
            yield f"| `{field.name}` | {in_words(field.type)} | {_default(field)} | `{variable}` |"
        yield ""
        for field in fields:
            if said := described.get(field.name):
                yield f"- `{field.name}`: {said}"
        yield ""


def _field_docs(section: type[msgspec.Struct]) -> dict[str, str]:
    """The sentence under each setting of a section."""
    found: dict[str, str] = {}
    (described,) = ast.parse(inspect.getsource(section)).body
    assert isinstance(described, ast.ClassDef)
    for field, below in zip(described.body, described.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            value = below.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[field.target.id] = " ".join(value.value.split())
    return found


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    if field.default is None:
        return "none"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory
    if isinstance(value, tuple):
        return "`[]`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if isinstance(value, int | float) else f'`"{value}"`'


if __name__ == "__main__":
    sys.stdout.write(configuration() if sys.argv[1:] == ["config"] else cli())
