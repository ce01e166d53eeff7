"""`stepwarden demo`."""

import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.options import json_option, named_config

if TYPE_CHECKING:
    from rich.text import Text

    from gateway.cli.running import RunningGateway

_SETTLE_SECONDS = 10.0
_CANDIDATE = "agent-baseline"
_WATCHING = {
    "STEPWARDEN_GATEWAY__HOST": "127.0.0.1",
    "STEPWARDEN_APP__DEFAULT__ENFORCE": "false",
    "STEPWARDEN_CAPTURE__CONTENT": "encrypted",
}
"""What the first runs need of any configuration: to be lived to their end, and to be read back."""


@click.command()
@click.option("--keep", is_flag=True, help="Leave the gateway running afterwards, until Ctrl-C.")
@named_config("See the first runs under this configuration: its policies watch, and enforce nothing.")
@json_option
def demo(keep: bool, config_file: Path | None, as_json: bool) -> int:  # noqa: FBT001 - flags by nature
    """See agents' runs pass through a gateway, step by step. Needs no API key and no network.

    Recorded model output is played by a local provider; the agent is an unmodified vendor SDK. What you see
    afterwards is what any agent of yours would leave behind. Then the run in which an attack succeeded comes again,
    with policies enforced: its call is held back, a scripted supervisor says what is wrong with it, a secret is taken
    out, a payment waits for a person, and the same letter comes from a tool server. Then labels of two persons become a
    stricter clause, on a third one's word. The audit log is verified from its files alone, and once more after one run
    was erased.

    A configuration that is named has its supervisor asked, its alerts and its collector told as ever.
    """
    from gateway.cli import demo_audit, demo_guarded, demo_learned, demo_witnessed
    from gateway.cli.narrator import Narrator
    from gateway.cli.running import RunningGateway
    from gateway.cli.screen import err, print_json
    from gateway.demo import guarded, refunds, story
    from gateway.demo.background import BackgroundProvider
    from gateway.demo.bank import NAME, Bank

    # Also where a shell started us with SIGINT ignored: the gateway's process must not outlive us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    directory = Path(tempfile.mkdtemp(prefix="stepwarden-demo-"))
    console = err()
    told = story.runs()
    bank = Bank(next(run for run in told if run.name == guarded.POISONED))
    try:
        with story.provider(told) as upstream, BackgroundProvider(bank) as tools:
            settings = {"STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": upstream.url}
            strict, shop = directory / "guarded", directory / "learned"
            strict.mkdir()
            shop.mkdir()
            with (
                RunningGateway(directory, settings | _WATCHING, config_file) as gateway,
                RunningGateway(
                    strict, settings | guarded.SETTINGS | {f"STEPWARDEN_MCP__{NAME.upper()}__URL": f"{tools.url}/mcp"}
                ) as guard,
                RunningGateway(shop, settings | refunds.SETTINGS) as learner,
            ):
                narrator = Narrator(quiet=as_json)
                narrator.opening(gateway.url, upstream.url)
                for event in story.tell(f"{gateway.url}/anthropic", told):
                    narrator.tell(event)
                found = _settled(gateway, narrator.requests)
                found["rebuilt"] = _rebuilt(gateway, [seen.body for seen in upstream.requests])
                found["backtest"] = backtested(gateway)
                if not as_json:
                    _show(found)
                    _show_backtest(found["backtest"])
                second = demo_guarded.play(narrator, guard, upstream, told)
                witnessed = demo_witnessed.play(narrator, guard, bank)
                third = demo_learned.play(narrator, learner)
                log = demo_audit.checked(guard)
                erased = demo_audit.erased(guard)
                if as_json:
                    gone = {"session_id": erased.session, "exchanges": erased.exchanges}
                    audit = demo_audit.document(log), demo_audit.document(erased.log)
                    print_json(
                        {
                            **found,
                            "guarded": second,
                            "witnessed": witnessed,
                            "learned": third,
                            "audit": audit[0],
                            "erased": {**gone, "audit": audit[1]},
                        }
                    )
                else:
                    demo_audit.show(log)
                    demo_audit.show_erased(erased)
                    _close(demo_guarded.closing(second), demo_learned.closing(third))
                if keep:
                    console.print(
                        f"\nStill running. Look at it in a browser: {guard.url} has policies in force, "
                        f"{learner.url} one that was learned, {gateway.url} only records. "
                        f"Ctrl-C ends all three and removes {directory}."
                    )
                    _wait_for_the_end()
                rebuilt = found["rebuilt"]["equal"] == found["rebuilt"]["requests"]
                held = log.report.holds and erased.log.report.holds
                return 0 if rebuilt and second.kept and witnessed.kept and third.kept and held else 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _settled(gateway: "RunningGateway", requests: int) -> dict[str, Any]:
    """What the gateway recorded, once all of it can be read back: newest session first."""
    from gateway.cli import client

    deadline = time.monotonic() + _SETTLE_SECONDS
    with client.here(gateway.config) as api:
        while True:
            listed = api.get("/api/sessions")
            if sum(each["exchanges"] for each in listed["sessions"]) >= requests or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        name = listed["sessions"][0]["session_id"] if listed["sessions"] else None
        shown = api.get(f"/api/sessions/{name}") if name else None
        steps: Any = api.get(f"/api/sessions/{name}/steps", text=400) if name else {"steps": []}
    return {"sessions": listed["sessions"], "shown": shown, "steps": steps["steps"]}


def backtested(gateway: "RunningGateway") -> dict[str, Any]:
    """What the shipped baseline would have made of these runs, which were recorded without any policy."""
    from gateway.cli import client
    from gateway.cli.following import followed
    from policies.shipped import shipped

    ask = {"policies": [{"name": _CANDIDATE, "text": shipped()[_CANDIDATE]}]}
    with client.here(gateway.config) as api:
        return followed(api, "/api/backtests", ask, doing="replaying", quiet=True)


def _rebuilt(gateway: "RunningGateway", arrived: list[bytes]) -> dict[str, int]:
    """How many of the bodies that reached the provider the store gives back byte for byte, and how long they are."""
    from gateway.cli import client

    with client.here(gateway.config) as api:
        exchanges = api.get("/api/exchanges", limit=len(arrived))["exchanges"]
        kept = {api.download(f"/api/exchanges/{each['exchange_id']}/request") for each in exchanges}
    return {
        "requests": len(arrived),
        "bytes": sum(map(len, arrived)),
        "equal": sum(body in kept for body in arrived),
    }


def _show(found: dict[str, Any]) -> None:
    """The lists and trees an operator would look at next, and where to look."""
    from rich.text import Text

    from gateway.cli.screen import out
    from gateway.cli.tables import session_table
    from gateway.cli.tree import session_tree

    console = out()
    console.print()
    console.rule(Text("stepwarden sessions list", style="bold"), align="left")
    console.print(session_table(found["sessions"]))
    if found["shown"] is None:
        return
    console.print()
    console.rule(
        Text(f"stepwarden sessions show {found['shown']['session']['session_id']}", style="bold"), align="left"
    )
    for part in session_tree(found["shown"], found["steps"], full=False, width=console.width):
        console.print(part)
    console.print()
    rebuilt = found["rebuilt"]
    console.print(
        f"{rebuilt['requests']} requests carried {rebuilt['bytes'] / 1000:.0f} KB to the provider, "
        "most of it history sent again.\n"
        "The store keeps each message once, "
        f"and gives {rebuilt['equal']} of {rebuilt['requests']} bodies back to the byte."
    )


def _show_backtest(report: dict[str, Any]) -> None:
    """Which steps of these runs would have been stopped, before anything is put in force."""
    from rich.text import Text

    from gateway.cli.flips import told
    from gateway.cli.screen import out

    console = out()
    console.print()
    console.rule(Text(f"stepwarden backtest --policy {_CANDIDATE}", style="bold"), align="left")
    for part in told(report):
        console.print(part)


def _close(*said: "Text") -> None:
    """What was shown, and where to look next."""
    from rich.text import Text

    from gateway.cli.screen import out

    console = out()
    console.print()
    for each in said:
        console.print(each)
    console.print()
    console.rule(Text("where to look next", style="bold"), align="left")
    for line in (
        "stepwarden serve                      the gateway on 127.0.0.1:8787; then point your agent at it:",
        "  ANTHROPIC_BASE_URL=http://127.0.0.1:8787/anthropic      (Anthropic SDKs, Claude Code)",
        "  OPENAI_BASE_URL=http://127.0.0.1:8787/openai/v1         (OpenAI SDKs, Codex)",
        "http://127.0.0.1:8787/                the dashboard (of this demo's gateways: make demo KEEP=1)",
        "stepwarden init                       a configuration in which agent-baseline watches and flags",
        "stepwarden tail                       steps and verdicts as they happen",
        "stepwarden sessions list / show ID    what your agents did",
        "stepwarden explain EXCHANGE           why a step was stopped",
        "stepwarden critique SESSION           what a supervisor says of a session ([supervisor] in the configuration)",
        "stepwarden backtest --policy F        what a policy would have made of what is recorded",
        "stepwarden label STEP violation       what people say of steps; `optimize` proposes from it",
        "stepwarden audit verify               that nothing was removed from the log, offline",
        "stepwarden doctor                     what is wrong on this machine",
    ):
        console.print(line)


def _wait_for_the_end() -> None:
    try:
        signal.pause()
    except KeyboardInterrupt:
        click.echo("", err=True)
