"""`stepwarden`: the command's entry. Subcommands are imported when they are called, so that help comes at once."""

import importlib
import sys
from typing import Any

import click

from policies.errors import StepwardenError

COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("gateway.cli.serve:serve", "Run the gateway."),
    "demo": ("gateway.cli.demo:demo", "See an agent's run pass through a gateway; needs no API key."),
    "init": ("gateway.cli.init:init", "Write a commented stepwarden.toml and a policy to start from."),
    "check": ("gateway.cli.check:check", "Check configuration and policies: errors with file, line and remedy."),
    "doctor": ("gateway.cli.doctor:doctor", "Find what is wrong on this machine, and how to mend it."),
    "bench": ("gateway.cli.bench:bench", "Measure what a gateway adds on this machine."),
    "tail": ("gateway.cli.tail:tail", "Follow steps and verdicts as they happen."),
    "sessions": ("gateway.cli.sessions:sessions", "List, show and terminate sessions."),
    "exchanges": ("gateway.cli.exchanges:exchanges", "List and show exchanges: timings, join evidence, usage, cost."),
    "search": ("gateway.cli.search:search", "Look for words in recorded contents, where an app allows it."),
    "explain": ("gateway.cli.explain:explain", "Why a step was stopped, and what to do about it."),
    "holds": ("gateway.cli.holds:holds", "Steps waiting for a person: list, approve, reject."),
    "critique": ("gateway.cli.critique:critique", "Let a supervisor read a recorded session now."),
    "label": ("gateway.cli.label:label", "A person's judgement of a step."),
    "clauses": ("gateway.cli.clauses:clauses", "Clauses in force."),
    "backtest": ("gateway.cli.backtest:backtest", "Hold recorded history against a candidate policy."),
    "optimize": ("gateway.cli.optimize:optimize", "Propose better guards from what was said of recorded steps."),
    "proposals": ("gateway.cli.proposals:proposals", "Proposed changes and their evidence: list, approve, reject."),
    "revisions": ("gateway.cli.revisions:revisions", "What is and was in force; activate, roll back."),
    "keys": ("gateway.cli.keys:keys", "Create, list and revoke gateway keys."),
    "audit": ("gateway.cli.audit:audit", "Verify the audit log, show its head, erase what was recorded."),
    "retention": ("gateway.cli.retention:retention", "Keep a session beyond its time."),
    "witness": ("gateway.cli.witness:witness", "Cosign the audit logs of other gateways."),
    "mcp": ("gateway.cli.mcp:mcp", "Run an MCP server with every message judged; its tools and their changes."),
}
"""Name, where it lives, and its line in the help."""

FAILED = 3
"""Exit code of a command that could not run."""

INTERRUPTED = 130


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command."""
        del ctx
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command itself, imported now."""
        del ctx
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        module, _, attribute = found[0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and lines, without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """The command, or a usage error that names the nearest one."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            import difflib

            close = difflib.get_close_matches(name, [*COMMANDS], n=1)
            hint = f" Did you mean `{close[0]}`?" if close else " See `stepwarden --help`."
            raise click.UsageError(f"No command `{_plain(name)}`.{hint}", ctx)
        return super().resolve_command(ctx, args)


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:  # noqa: FBT001 - click's signature
    if asked and not ctx.resilient_parsing:
        from storage.release import release

        click.echo(f"stepwarden {release()}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 the thing checked does not hold, 2 usage, 3 could not run.",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def stepwarden() -> None:
    """A process supervision gateway: records and judges every step an agent takes through an LLM API.

    Point an SDK at http://127.0.0.1:8787/anthropic or http://127.0.0.1:8787/openai/v1, then ask
    `stepwarden sessions list` what happened.
    """


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code and lets no failure out as a traceback."""
    try:
        outcome = stepwarden.main(args=arguments, prog_name="stepwarden", standalone_mode=False)
    except click.ClickException as error:
        return _misused(error, as_json=_wants_json(arguments))
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _close_stdout()
        return 0
    except StepwardenError as error:
        return _say(error, as_json=_wants_json(arguments))
    except Exception as error:  # noqa: BLE001 - the last resort: a traceback may hold content or secrets
        return _say(_unforeseen(error), as_json=_wants_json(arguments))
    return outcome if isinstance(outcome, int) else 0


def _wants_json(arguments: list[str]) -> bool:
    """Whether one JSON document was asked for; what follows `--` belongs to another program."""
    return "--json" in arguments[: arguments.index("--") if "--" in arguments else None]


def _misused(error: click.ClickException, *, as_json: bool) -> int:
    """Show how a command is used: on stderr, and as the one JSON document where that was asked for."""
    error.show()
    if as_json:
        context = getattr(error, "ctx", None)
        command = "stepwarden" if context is None else context.command_path
        _print_fault(type(error).__name__, error.format_message(), f"See `{command} --help`.")
    return error.exit_code


def _unforeseen(error: Exception) -> StepwardenError:
    """A bug of ours, as its kind and place alone."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return StepwardenError(f"internal failure: {type(error).__name__}{place}")


def _say(error: StepwardenError, *, as_json: bool) -> int:
    """Show an expected failure and its remedy: on stderr, and as the one JSON document where that was asked for."""
    if as_json:
        _print_fault(type(error).__name__, str(error), error.remedy())
    else:
        click.echo(f"stepwarden: {_lines(str(error))}\n  {_lines(error.remedy())}", err=True)
    return FAILED


def _print_fault(kind: str, message: str, remedy: str) -> None:
    import json

    click.echo(json.dumps({"error": {"type": kind, "message": message, "remedy": remedy}}))


def _lines(text: str) -> str:
    return "\n".join(_plain(line) for line in text.split("\n"))


def _close_stdout() -> None:
    """The reader went away (`| head`): nothing more can be said, and Python must not try at exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
