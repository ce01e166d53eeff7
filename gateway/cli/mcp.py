"""`stepwarden mcp`."""

import asyncio
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from gateway.cli.options import KEY_VARIABLE, config_option, load_config, reach, reach_options

LONGEST = 16 << 20
"""Bytes of a line, where no configuration here says otherwise."""


class _Mcp(click.Group):
    """A group that keeps what follows `--` as a program to run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See `click.Command.parse_args`."""
        command: tuple[str, ...] = ()
        if "--" in args:
            at = args.index("--")
            command, args = tuple(args[at + 1 :]), args[:at]
        ctx.obj = command
        return super().parse_args(ctx, args)


@click.group(cls=_Mcp, invoke_without_command=True, subcommand_metavar="[-- PROGRAM...] | tools ... | login | logout")
@click.option("--server", metavar="NAME", help="The [mcp.NAME] table whose server is run.")
@click.option("--session", metavar="ID", help="The session its messages belong to, where nothing else tells.")
@click.option("--url", metavar="U", help="Judged by the gateway at this address, with the key in STEPWARDEN_KEY.")
@config_option
@click.pass_context
def mcp(
    ctx: click.Context, server: str | None, session: str | None, url: str | None, config_file: Path | None
) -> int | None:
    """Run an MCP server over stdio, with every message judged by a running gateway.

    Give this as the command of a server to an MCP client. The program is the `command` of the table, or follows `--`
    where this machine has no table of that name. No gateway, no messages: it then ends at once and says so.
    """
    if ctx.invoked_subcommand is not None:
        return None
    if server is None:
        raise click.UsageError("Name the server: --server NAME.", ctx)
    from gateway.mcp.bridge import bridged

    config = load_config(config_file)
    command, longest = _program(config, server, ctx.obj or ())
    key = os.environ.get(KEY_VARIABLE, "").strip()
    headers = [(b"content-type", b"application/x-ndjson")]
    if key:
        headers.append((b"stepwarden-key", key.encode("latin-1", "replace")))
    if session is not None:
        headers.append((b"stepwarden-session", session.encode("latin-1", "replace")))
    return asyncio.run(
        bridged(url or _listening(config), server, command, headers=headers, environ=os.environ, longest=longest)
    )


def _program(config: Any, server: str, given: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """The program to run and the longest line; a table's own program is not to be replaced."""
    table = config.mcp.get(server)
    if table is None:
        if not given:
            raise click.UsageError(f"There is no [mcp.{server}] here; write the program after `--`.")
        return given, LONGEST
    if not table.command:
        raise click.UsageError(f"[mcp.{server}] has a `url`: point the client at /mcp/{server} of the gateway.")
    if given and given != table.command:
        raise click.UsageError(f"[mcp.{server}] names another program; leave out what follows `--`.")
    return table.command, table.message_bytes


def _listening(config: Any) -> str:
    """The address of the gateway that runs on this configuration. Raises `NoGateway`."""
    from gateway import sockets
    from gateway.cli import client
    from gateway.mcp.bridge import NoGateway

    if not client.answers(config.gateway.data_dir / sockets.CONTROL):
        raise NoGateway(f"No gateway runs on {config.gateway.data_dir}, so nothing would judge what passes.")
    with client.here(config) as api:
        return str(api.get("/api/status")["listening"])


@mcp.group()
def tools() -> None:
    """Tools of MCP servers as they were first seen, and those that have changed since."""


@tools.command("list")
@click.option("--changed", is_flag=True, help="Only those that wait for a person.")
@reach_options
def list_tools(changed: bool, config_file: Path | None, url: str | None, as_json: bool) -> None:  # noqa: FBT001 - flags by nature
    """Every tool seen, what changed of it, and the tags that its server proposes for it."""
    from gateway.cli.screen import err, out, print_json
    from gateway.cli.tables import pin_table

    with reach(config_file, url) as api:
        listed = api.get("/api/mcp/tools", only="changed" if changed else None)
    if as_json:
        print_json(listed)
    elif listed["tools"]:
        out().print(pin_table(listed["tools"]))
    else:
        err().print("nothing has changed" if changed else "no tools were seen yet")


@tools.command("approve")
@click.argument("server", metavar="SERVER")
@click.argument("tool", metavar="TOOL")
@click.option("--by", metavar="WHO", help="Who decides [default: the key, or the owner of this machine].")
@reach_options
def approve_tool(
    server: str,
    tool: str,
    by: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Accept a tool as it is now; `list --changed --json` shows what it was and what it is."""
    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        place = f"/api/mcp/tools/{quote(server, safe='')}/{quote(tool, safe='')}/approve"
        approved = api.post(place, {} if by is None else {"by": by})
    if as_json:
        print_json(approved)
        return
    err().print(
        f"accepted {clean(approved['tool'])} of {clean(approved['server'])}, by {clean(approved['approved_by'])}"
    )


@mcp.command("login")
@click.argument("server", metavar="SERVER")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="Where the browser comes back to [default: any]."
)
@click.option("--by", metavar="WHO", help="Who logs in [default: the key, or the owner of this machine].")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@reach_options
def log_in(
    server: str,
    port: int,
    by: str | None,
    no_browser: bool,  # noqa: FBT001 - a flag by nature
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Let the gateway in at an MCP server with `oauth = "login"`, in your browser.

    The gateway gets and keeps the tokens; this command sees none. Where the browser is on another machine, give a
    `--port` and forward it there.

    Tokens of a login before serve for up to a minute more, where they still do.
    """
    from gateway.cli.callback import Callback
    from gateway.cli.screen import clean, err, print_json

    place = f"/api/mcp/servers/{quote(server, safe='')}/login"
    with Callback(port) as callback, reach(config_file, url) as api:
        body = {"redirect_uri": callback.redirect_uri} | ({} if by is None else {"by": by})
        where = str(api.post(place, body)["url"])
        err().print(f"log in here: {clean(where)}", soft_wrap=True, highlight=False)
        if not no_browser:
            click.launch(where)
        done = api.post(f"{place}/finish", callback.wait())
    if as_json:
        print_json(done)
    else:
        err().print(f"the gateway is logged in at {clean(done['server'])}")


@mcp.command("logout")
@click.argument("server", metavar="SERVER")
@click.option("--by", metavar="WHO", help="Who decided [default: the key, or the owner of this machine].")
@reach_options
def log_out(
    server: str,
    by: str | None,
    config_file: Path | None,
    url: str | None,
    as_json: bool,  # noqa: FBT001 - a flag by nature
) -> None:
    """Destroy the gateway's tokens for an MCP server; within a minute no worker uses them any more."""
    from gateway.cli.screen import clean, err, print_json

    with reach(config_file, url) as api:
        done = api.post(f"/api/mcp/servers/{quote(server, safe='')}/logout", {} if by is None else {"by": by})
    if as_json:
        print_json(done)
    else:
        err().print(f"the gateway has no tokens for {clean(done['server'])} any more; end its access there too")
