"""`stepwarden check`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.cli.options import CONFIG_FILE, config_option, json_option, load_config

if TYPE_CHECKING:
    from policies.mistakes import Mistake


class Checked(msgspec.Struct, kw_only=True):
    """What was found in one file."""

    mistakes: list["Mistake"] = msgspec.field(default_factory=list["Mistake"])
    notes: list[str] = msgspec.field(default_factory=list[str])


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[F...]")
@config_option
@json_option
def check(files: tuple[Path, ...], config_file: Path | None, as_json: bool) -> int:  # noqa: FBT001 - a flag by nature
    """Check configuration and policy files: every error with its file, line and remedy.

    A file with a [policy] table is a policy, every other a configuration, which is checked with all the policies
    it names. Each clause's examples are run, and the set is looked at as a whole: clauses that never apply, that
    shadow or contradict each other, tools without tags, tools that nobody watches.

    Without F, the configuration this directory would run with, environment included. Exits 1 where there is an
    error; warnings are shown and change nothing.
    """
    from gateway.cli.screen import print_json

    found = [_examine(file) for file in files or (config_file,)]
    mistakes = list(dict.fromkeys(mistake for each in found for mistake in each.mistakes))
    notes = list(dict.fromkeys(note for each in found for note in each.notes))
    good = all(mistake.severity != "error" for mistake in mistakes)
    if as_json:
        document: dict[str, Any] = {"ok": good, "mistakes": msgspec.to_builtins(mistakes), "notes": notes}
        print_json(document)
    else:
        where = config_file or (CONFIG_FILE if CONFIG_FILE.is_file() else None)
        _print(mistakes, notes, ", ".join(str(file) for file in files) or str(where or "configuration"))
    return 0 if good else 1


def _examine(file: Path | None) -> Checked:
    text = None if file is None else _policy_text(file)
    return _configuration(file) if file is None or text is None else _policy(file, text)


def _policy_text(file: Path) -> str | None:
    """The text of a file that says it is a policy; None for every other, and for what cannot be read."""
    from policies.loader import LARGEST

    try:
        if file.stat().st_size > 4 * LARGEST:
            return None
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    heads = {line.split("#", 1)[0].strip() for line in text.splitlines() if line.lstrip().startswith("[")}
    return text if heads & {"[policy]", "[[clause]]"} else None


def _policy(file: Path, text: str) -> Checked:
    """One policy by itself: its types, its examples, and what can be said without knowing any tool."""
    from policies.analysis import analyse
    from policies.examples import run_examples
    from policies.loader import load
    from policies.mistakes import BadPolicy

    try:
        loaded = load(text, str(file))
    except BadPolicy as bad:
        return Checked(mistakes=list(bad.mistakes))
    clauses = loaded.policy.clause
    examples = _count(sum(len(clause.example) for clause in clauses), "example")
    note = f"policy {loaded.policy.policy.id}: {_count(len(clauses), 'clause')}, {examples} run"
    return Checked(mistakes=[*run_examples(loaded), *analyse([loaded], {}, place=str(file))], notes=[note])


def _configuration(file: Path | None) -> Checked:
    """A configuration with every policy it names."""
    from gateway.config_file import ConfigError
    from gateway.supervision import examined
    from policies.mistakes import Mistake

    try:
        config = load_config(file)
    except ConfigError as error:
        return Checked(
            mistakes=[
                Mistake(place=each.place, line=each.line, message=each.message, remedy=each.remedy)
                for each in error.mistakes
            ]
        )
    mistakes = list(examined(config))
    wrong = any(mistake.severity == "error" for mistake in mistakes)
    return Checked(mistakes=mistakes, notes=[*config.notes, *(() if wrong else _in_force(config))])


def _in_force(config: Any) -> Iterator[str]:
    """What each app would be held to."""
    for app in config.apps.values():
        if app.policy:
            does = "enforced" if app.enforce else "observed and flagged only (enforce = false)"
            yield f"app {app.name}: {', '.join(app.policy)}; {does}"


def _count(number: int, one: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def _print(mistakes: list["Mistake"], notes: list[str], what: str) -> None:
    from gateway.cli.screen import clean

    for mistake in mistakes:
        click.echo(clean(str(mistake)))
    for note in notes:
        click.echo(clean(f"note: {note}"))
    errors = sum(mistake.severity == "error" for mistake in mistakes)
    warnings = len(mistakes) - errors
    beside = f", {_count(warnings, 'warning')}" if warnings else ""
    if not errors:
        click.echo(f"{clean(what)}: ok{beside}")
    else:
        click.echo(f"{clean(what)}: {_count(errors, 'error')}{beside}", err=True)
