"""`stepwarden search`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.options import TIME, reach, reach_options
from policies.errors import StepwardenError

if TYPE_CHECKING:
    from rich.text import Text


class NothingSearchable(StepwardenError):
    """No app allows it."""

    def remedy(self) -> str:
        """What allows it."""
        return "Set `search = true` in [app.NAME] of stepwarden.toml, and start the gateway again."


@click.command()
@click.argument("words", required=False)
@click.option("--app", metavar="A", help="Only this app's contents [default: every app that allows it].")
@click.option("--since", type=TIME, metavar="T", help="Only what came since then: RFC 3339, or `2h` back from now.")
@click.option(
    "--most", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, metavar="N",
    help="About how many exchanges are read, sessions with newest activity first.",
)  # fmt: skip
@click.option(
    "--places", type=click.IntRange(1, 1000), default=200, show_default=True, metavar="N", help="Steps that are shown."
)
@reach_options
def search(
    words: str | None,
    app: str | None,
    since: str | None,
    most: int,
    places: int,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> int:
    """Look for WORDS in recorded contents, in any case of letters; a blank stands for any run of white space.

    Only apps with `search = true` are searched, for the roles auditor, operator and admin. The search is an entry in
    the audit log, without the words, and so is every exchange of which something is shown. Without WORDS they are asked
    for, or read from standard input, and stand in no list of processes and no shell history.

    Exit codes: 0 something was found, 1 nothing was.
    """
    from gateway.cli.following import followed
    from gateway.cli.screen import out, print_json

    if words is None:
        words = _asked_for()
    ask = {"words": words.strip(), "app": app, "since": since, "most": most, "places": places}
    found: list[dict[str, Any]] = []
    with reach(config_file, url) as api:
        if app is None and not api.get("/api/search")["apps"]:
            raise NothingSearchable("no app that anything was recorded of allows its contents to be searched")
        report = followed(api, "/api/search", ask, doing="searching", quiet=as_json, found=found.append)
    if as_json:
        print_json({"found": found, "report": report})
    else:
        console = out()
        for line in _told(found, report):
            console.print(line)
    return 0 if found else 1


def _asked_for() -> str:
    """The words from whoever sits there, unseen, or from standard input."""
    if sys.stdin.isatty():
        typed: str = click.prompt("Words", hide_input=True, err=True)
        return typed
    return sys.stdin.read()


def _told(found: Sequence[dict[str, Any]], report: dict[str, Any]) -> "list[Text]":
    """Each place with what stands around the words, under what it stands in; and how far was read."""
    from rich.text import Text

    from gateway.cli.screen import clean, local
    from gateway.cli.tree import SYMBOLS

    lines: list[Text] = []
    for each in found:
        symbol, style = SYMBOLS.get(each["kind"], ("?", ""))
        tool = f" {clean(each['tool'])}" if each["tool"] else ""
        times = f"  {each['times']} times" if each["times"] > 1 else ""
        place = f"  {clean(each['session_id'] or '-')}  {clean(each['step_id'])}{times}"
        kind = f"{symbol} {each['kind']}{tool}"
        head = Text.assemble((f"{local(each['at'])} ", "dim"), (kind, style), (place, "cyan"))
        around = [(_line(each["before"]), "dim"), (_line(each["words"]), "bold"), (_line(each["after"]), "dim")]
        lines += [head, Text.assemble("  ", *around)]
    whole = ", which is all there is" if report["whole"] else "; there is more: narrow it by --app or --since"
    unread = f", {report['unread']} steps that could not be read" if report["unread"] else ""
    lines.append(Text(f"{report['places']} found in {report['exchanges']} exchanges read{unread}{whole}", "dim"))
    return lines


def _line(text: str) -> str:
    """A piece of a line, with the blanks at its ends."""
    from gateway.cli.screen import clean

    return clean(f"|{text}|")[1:-1]
