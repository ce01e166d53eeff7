"""`stepwarden check`."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from gateway.cli.options import CONFIG_FILE, config_option, json_option, load_config

if TYPE_CHECKING:
    from gateway.config import Config
    from policies.guards.judge import Judge
    from policies.mistakes import Mistake
    from supervisors.panel import Panel


class Checked(msgspec.Struct, kw_only=True):
    """What was found in one file."""

    mistakes: list["Mistake"] = msgspec.field(default_factory=list["Mistake"])
    notes: list[str] = msgspec.field(default_factory=list[str])


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[F...]")
@click.option(
    "--ask", is_flag=True, help="Also run examples whose guards have to be asked: services, libraries, a model."
)
@config_option
@json_option
def check(
    files: tuple[Path, ...],
    ask: bool,  # noqa: FBT001 - a flag by nature
    config_file: Path | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> int:
    """Check configuration and policy files: every error with its file, line and remedy.

    A file with a [policy] table is a policy, every other a configuration, which is checked with all the policies
    it names. Each clause's examples are run, and the set is looked at as a whole: clauses that never apply, that
    shadow or contradict each other, tools without tags, tools that nobody watches.

    Examples of a clause with an `external`, `validator` or `judge` guard are run with --ask alone, since that sends
    them to the service or the supervisor's model, or loads the library; without it a warning says that they were not
    run. Those of the monitor are not run here: it reads recorded sessions.

    Without F, the configuration this directory would run with, environment included. Exits 1 where there is an
    error; warnings are shown and change nothing.
    """
    from gateway.cli.screen import print_json

    found = [_examine(file, ask=ask) for file in files or (config_file,)]
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


def _examine(file: Path | None, *, ask: bool) -> Checked:
    text = None if file is None else _policy_text(file)
    return _configuration(file, ask=ask) if file is None or text is None else _policy(file, text, ask=ask)


def _policy_text(file: Path) -> str | None:
    """The text of a file that says it is a policy; None for every other, and for what cannot be read."""
    from policies.loader import LARGEST

    try:
        if file.stat().st_size > 4 * LARGEST:
            return None
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    heads = {line.split("#", 1)[0].strip() for line in text.splitlines() if line.lstrip().startswith("[")}
    return text if heads & {"[policy]", "[[clause]]"} else None


def _policy(file: Path, text: str, *, ask: bool) -> Checked:
    """One policy by itself: its types, its examples, and what can be said without knowing any tool."""
    from gateway.asking import lacking
    from policies.analysis import analyse
    from policies.examples import ask_examples, asked_kinds, run_examples
    from policies.loader import load
    from policies.mistakes import BadPolicy

    try:
        loaded = load(text, str(file))
    except BadPolicy as bad:
        return Checked(mistakes=list(bad.mistakes))
    clauses = loaded.policy.clause
    ran = sum(len(clause.example) for clause in clauses if ask or not asked_kinds(clause))
    note = f"policy {loaded.policy.policy.id}: {_count(len(clauses), 'clause')}, {_count(ran, 'example')} run"
    found = [*lacking([loaded]), *run_examples(loaded)]
    if ask:
        found = _with_asked(found, lambda panel: ask_examples(loaded, panel))
    return Checked(mistakes=[*found, *analyse([loaded], {}, place=str(file))], notes=[note])


def _with_asked(
    found: "list[Mistake]", examples: "Callable[[Panel], Awaitable[tuple[Mistake, ...]]]"
) -> "list[Mistake]":
    """What was found; with what asking brings in place of the warnings that examples were not run."""
    from policies.examples import UNRUN

    async def asked() -> "tuple[Mistake, ...]":
        from gateway.in_force import panel_of

        panel = panel_of(os.environ)
        try:
            return await examples(panel)
        finally:
            await panel.close()

    if any(mistake.severity == "error" for mistake in found):
        return found
    return [*[mistake for mistake in found if mistake.remedy != UNRUN], *asyncio.run(asked())]


async def _supervised(
    config: "Config", examples: "Callable[[Judge | None], Awaitable[tuple[Mistake, ...]]]"
) -> "tuple[Mistake, ...]":
    """What examples come to with the configured supervisor asked; its calls are no gateway's, and in no ledger."""
    if config.supervisor.model is None:
        return await examples(None)
    from gateway.supervisor import PassingCalls, open_supervisor

    supervisor = open_supervisor(config, PassingCalls(), os.environ)
    try:
        return await examples(supervisor.gate)
    finally:
        await supervisor.close()


def _configuration(file: Path | None, *, ask: bool) -> Checked:
    """A configuration with every policy it names."""
    from gateway.config.written import ConfigError
    from gateway.supervision import asked, examined
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
    if ask:
        mistakes = _with_asked(mistakes, lambda panel: _supervised(config, lambda judge: asked(config, panel, judge)))
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
