"""`stepwarden backtest`."""

from pathlib import Path

import click

from gateway.cli.options import TIME, reach, reach_options
from policies.errors import StepwardenError


class NothingReplayed(StepwardenError):
    """Not one exchange could be judged anew, so that no flip means nothing."""

    def remedy(self) -> str:
        """What to look at."""
        return "Widen --since or name other --sessions; `stepwarden sessions list` shows what is kept."


class NoSuchPolicy(StepwardenError):
    """A candidate policy cannot be read."""

    def remedy(self) -> str:
        """What can be named."""
        return "Name a file, or a shipped policy: `stepwarden backtest --policy agent-baseline`."


@click.command()
@click.option(
    "--policy", "policies", multiple=True, required=True, metavar="F",
    help="The candidate: a policy file, or the name of a shipped one. Repeat it for a set of several.",
)  # fmt: skip
@click.option("--since", type=TIME, metavar="T", help="Only what came since then: RFC 3339, or `2h` back from now.")
@click.option("--sessions", multiple=True, metavar="ID", help="Only these sessions; repeat it, or separate by commas.")
@click.option("--app", metavar="A", help="Only this app's.")
@click.option("--observe", is_flag=True, help="Judge as an app with `enforce = false`: everything flags at most.")
@click.option(
    "--most", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, metavar="N",
    help="About how many exchanges are replayed, sessions with newest activity first.",
)  # fmt: skip
@click.option(
    "--examples", type=click.IntRange(0, 50), default=3, show_default=True, metavar="N",
    help="How many flips are shown for each clause and change.",
)  # fmt: skip
@reach_options
def backtest(  # noqa: PLR0913, PLR0917 - the options of one command, as click hands them over
    policies: tuple[str, ...],
    since: str | None,
    sessions: tuple[str, ...],
    app: str | None,
    observe: bool,  # noqa: FBT001 - a flag by nature
    most: int,
    examples: int,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> int:
    """Hold recorded history against a candidate policy. Nothing is activated.

    The recorded bodies go through the gateway's own judging once more, in the order in which they came, as if the
    candidate were all that is in force and enforced. Reported is each step whose verdict would be another: a flip. What
    came after a flip that stops or changes something is hypothetical, for the agent would have gone on differently.

    Guards that are asked elsewhere are not asked: the steps they would decide are left out and listed.

    Exit codes: 0 the candidate judges all that could be replayed as it was judged, 1 it does not, 3 nothing could be
    replayed.
    """
    from gateway.cli.flips import told
    from gateway.cli.following import followed
    from gateway.cli.screen import out, print_json

    ask = {
        "policies": [{"name": name, "text": _text(name)} for name in policies],
        "since": since,
        "sessions": [one for each in sessions for one in each.split(",") if one],
        "app": app,
        "enforce": not observe,
        "most": most,
        "examples": examples,
    }
    with reach(config_file, url) as api:
        report = followed(api, "/api/backtests", ask, doing="replaying", quiet=as_json)
    if not report["exchanges"] and not report["unreplayed"]:
        raise NothingReplayed("nothing is recorded that could be replayed")
    if as_json:
        print_json(report)
    else:
        console = out()
        for part in told(report):
            console.print(part)
    if not report["steps"] and not report["flips"]:
        raise NothingReplayed("nothing of what is recorded could be replayed")
    return 1 if report["flipped"] or report["hypothetical"] else 0


def _text(name: str) -> str:
    """The text of a shipped policy or of a file. Raises `NoSuchPolicy`."""
    from policies.shipped import shipped

    path = Path(name)
    known = shipped().get(name)
    if known is not None and not path.is_file():
        return known
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise NoSuchPolicy(f"the policy {name[:200]!r} cannot be read: {why}") from None
