"""`stepwarden doctor`."""

import os
import shutil
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import msgspec

from gateway.cli.options import config_option, json_option, load_config
from policies.errors import StepwardenError

if TYPE_CHECKING:
    from gateway.canaries import Canary
    from gateway.config import Config

_SAFE_SQLITE = (3, 51, 3)
_SCARCE = 2 << 30
_EMPTY = 200 << 20
_FILES_AN_EXCHANGE = 2
_BUILT = 1_767_225_600
"""2026-01-01: no honest clock stands before it."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at."""

    name: str
    state: Literal["ok", "note", "wrong"]
    message: str
    mend: str | None = None
    """What to do; None where there is nothing to do."""


def _ok(name: str, message: str) -> Finding:
    return Finding(name=name, state="ok", message=message)


def _note(name: str, message: str, mend: str | None = None) -> Finding:
    return Finding(name=name, state="note", message=message, mend=mend)


def _wrong(name: str, message: str, mend: str) -> Finding:
    return Finding(name=name, state="wrong", message=message, mend=mend)


@click.command()
@click.option("--canaries", is_flag=True, help="Send each clause its own violations through every path.")
@config_option
@json_option
def doctor(canaries: bool, config_file: Path | None, as_json: bool) -> int:  # noqa: FBT001 - flags by nature
    """Find what is wrong here, and how to mend it. Exits 1 where something is.

    With --canaries the violating examples of all clauses in force are put on every wire that can carry them, as
    requests, replies and streams, and judged as the gateway would: nothing is sent to a provider and nothing costs
    anything. A canary that passes unseen is something wrong.
    """
    from gateway.cli.screen import out, print_json

    found = list(examine(config_file))
    if canaries:
        found += _canaries(config_file)
    wrong = any(finding.state == "wrong" for finding in found)
    if as_json:
        print_json({"ok": not wrong, "findings": found})
    else:
        console = out()
        for finding in found:
            console.print(_line(finding))
    return 1 if wrong else 0


def _line(finding: Finding) -> Any:
    from rich.text import Text

    from gateway.cli.screen import clean

    symbol, style = {"ok": ("✓", "green"), "note": ("•", "yellow"), "wrong": ("✗", "bold red")}[finding.state]
    line = Text.assemble((f"{symbol} ", style), (f"{finding.name:<12} ", "bold"), clean(finding.message))
    if finding.mend:
        line.append(f"\n{'':15}→ {clean(finding.mend)}", style)
    return line


def examine(config_file: Path | None) -> Iterator[Finding]:
    """Everything that is looked at, in order; a configuration that does not load ends it early."""
    from gateway.config.written import ConfigError

    yield from _python()
    yield from _clock()
    try:
        config = load_config(config_file)
    except ConfigError as error:
        for mistake in error.mistakes:
            place = mistake.place if mistake.line is None else f"{mistake.place}:{mistake.line}"
            yield _wrong("config", f"{place}: {mistake.message}", mistake.remedy)
        return
    yield _ok("config", str(config.file) if config.file else "no file; defaults and environment")
    for note in config.notes:
        yield _note("config", note)
    yield from _policies(config)
    yield from _directory(config)
    yield from _disk(config)
    yield from _files(config)
    yield from _providers(config)
    yield from _supervisor(config)
    yield from _gateway(config)


def _policies(config: "Config") -> Iterator[Finding]:
    from gateway.supervision import examined

    for mistake in examined(config):
        if mistake.severity == "error":
            place = mistake.place if mistake.line is None else f"{mistake.place}:{mistake.line}"
            yield _wrong("policy", f"{place}: {mistake.message}", mistake.remedy)
    for app in config.apps.values():
        does = "enforced" if app.enforce else "observed and flagged only"
        if app.policy:
            yield _ok("policy", f"app {app.name}: {', '.join(app.policy)}, {does}")
        else:
            mend = f'Name one in [app.{app.name}]: `policy = ["agent-baseline"]`.'
            yield _note("policy", f"app {app.name}: no policy; steps are recorded, not judged", mend)


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield _ok("python", version)
    message = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < _SAFE_SQLITE:
        # Two connections that checkpoint one file can lose writes there; the store uses one.
        yield _note("sqlite", f"{message}: its WAL-reset bug is avoided, each file has one connection that checkpoints")
    else:
        yield _ok("sqlite", message)


def _clock() -> Iterator[Finding]:
    if time.time() < _BUILT:
        yield _wrong("clock", "the clock stands before 2026", "Set the clock; ids and retention follow it.")
    else:
        yield _ok("clock", time.strftime("%Y-%m-%d %H:%M:%S %Z"))


def _canaries(config_file: Path | None) -> Iterator[Finding]:
    """What became of the known-bad examples of each app's clauses, path by path."""
    import asyncio

    from gateway.canaries import send_canaries
    from gateway.config.written import ConfigError
    from gateway.supervision import rulesets_of
    from policies.mistakes import BadPolicy

    try:
        rulesets = rulesets_of(load_config(config_file))
    except (ConfigError, BadPolicy):  # told above, with every mistake
        yield _note("canaries", "not sent: the configuration does not check", "Mend it, then try again.")
        return
    if not rulesets:
        yield _note("canaries", "not sent: no app names a policy")
    for app, ruleset in rulesets.items():
        yield from _flown(app, [rule.name for rule in ruleset.rules], asyncio.run(send_canaries(app, ruleset)))


def _flown(app: str, clauses: list[str], canaries: "list[Canary]") -> Iterator[Finding]:
    """What is to be said of one app's canaries."""
    seen = [each for each in canaries if each.state == "seen"]
    guards = ", ".join(sorted({guard for each in seen for guard in each.guards}))
    if seen:
        yield _ok("canaries", f"app {app}: {len(seen)} seen on their way, by clauses with {guards}")
    for clause in clauses:
        mine = [each for each in canaries if each.clause == clause]
        if not mine:
            mend = 'Add [[clause.example]] with expect = "violation".'
            yield _note("canaries", f"app {app}: {clause} has no violating example that a wire can carry", mend)
        elif any(each.state == "unasked" for each in mine):
            mend = "Run `stepwarden check --ask`, which asks them."
            yield _note("canaries", f"app {app}: {clause} was not tried: its guards are asked elsewhere", mend)
        elif any(each.state == "silent" for each in mine):
            yield _note("canaries", f"app {app}: {clause} says nothing of its own example in this app")
        missed = sorted({each.path for each in mine if each.state == "unseen"})
        if missed:
            mend = "Please report this as a bug, with the clause."
            yield _wrong("canaries", f"app {app}: {clause} missed its example on {', '.join(missed)}", mend)


def _directory(config: "Config") -> Iterator[Finding]:
    path = config.gateway.data_dir
    if not path.exists():
        parent = next(each for each in path.absolute().parents if each.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield _ok("data", f"{path} will be made by the first start")
        else:
            yield _wrong("data", f"{path} cannot be made: {parent} is not writable", "Set `data_dir` in [gateway].")
        return
    if not path.is_dir():
        yield _wrong("data", f"{path} is not a directory", "Move it away, or set `data_dir` in [gateway].")
        return
    yield from _rights(path)


def _rights(path: Path) -> Iterator[Finding]:
    exposed = [each for each in (path, *sorted(path.iterdir())) if _others_may(each)]
    foreign = [each for each in (path, *sorted(path.iterdir())) if _owner(each) not in (None, os.geteuid())]
    future = [each for each in sorted(path.iterdir()) if each.stat().st_mtime > time.time() + 300]
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        yield _wrong("data", f"{path} is not writable", f"Run `chown -R $(id -un) {path}`.")
    elif exposed:
        names = ", ".join(each.name for each in exposed[:5])
        yield _wrong("data", f"others may read {names} in {path}", f"Run `chmod -R go= {path}`.")
    elif foreign:
        names = ", ".join(each.name for each in foreign[:5])
        yield _wrong("data", f"{names} belong to another user", f"Run `chown -R $(id -un) {path}`.")
    elif any(each.suffix == ".db" for each in path.iterdir()) and not (path / "seal.key").exists():
        yield _wrong("data", f"{path} has no seal.key", "Restore it from its backup; contents are sealed under it.")
    else:
        yield _ok("data", f"{path}, readable by you alone")
    if future:
        yield _wrong("clock", f"{future[0].name} was written in the future", "Set the clock; it went backwards.")


def _others_may(path: Path) -> bool:
    mode = path.lstat().st_mode
    return not stat.S_ISSOCK(mode) and bool(mode & (stat.S_IRWXG | stat.S_IRWXO)) and path.name != "lock"


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None


def _disk(config: "Config") -> Iterator[Finding]:
    from gateway.cli.screen import size

    place = next(
        each for each in (config.gateway.data_dir, *config.gateway.data_dir.absolute().parents) if each.exists()
    )
    free = shutil.disk_usage(place).free
    mend = "Free some, lower `retention_days` in [capture], or move `data_dir`."
    if free < _EMPTY:
        yield _wrong("disk", f"only {size(free)} free under {place}", mend)
    elif free < _SCARCE:
        yield _note("disk", f"{size(free)} free under {place}", mend)
    else:
        yield _ok("disk", f"{free / (1 << 30):.0f} GiB free")


def _files(config: "Config") -> Iterator[Finding]:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = config.limits.in_flight * _FILES_AN_EXCHANGE + 100
    if soft != resource.RLIM_INFINITY and soft < needed:
        mend = f"Run `ulimit -n {min(needed, hard) if hard > 0 else needed}` before `serve`, or lower `in_flight`."
        yield _note(
            "files", f"{soft} open files allowed, {config.limits.in_flight} exchanges at once need {needed}", mend
        )
    else:
        yield _ok("files", f"{soft if soft > 0 else 'unlimited'} open files allowed")


def _providers(config: "Config") -> Iterator[Finding]:
    for provider in config.providers.values():
        where = f"{provider.name} → {provider.base_url}"
        if provider.key(os.environ):
            yield _ok("provider", f"{where}; {provider.key_env} is set, for callers with a gateway key")
        else:
            why = f"{provider.key_env} is not set" if provider.key_env else "no `key_env`"
            yield _ok("provider", f"{where}; {why}: serves callers with a provider key of their own")


def _supervisor(config: "Config") -> Iterator[Finding]:
    settings = config.supervisor
    if settings.model is None:
        yield _ok("supervisor", "none: local guards only")
        return
    from gateway.prices import Prices
    from gateway.supervisor import limits_of, pricing_of

    where = f"{settings.model} at {settings.address or settings.provider}"
    if settings.key_env and not os.environ.get(settings.key_env, "").strip():
        mend = f"Set {settings.key_env} where the gateway is started."
        yield _wrong("supervisor", f"{where}: {settings.key_env} is not set, so nothing is judged by it", mend)
        return
    limits = limits_of(settings)
    if not pricing_of(settings, Prices.load(config.prices.file)).known and limits.counts_money:
        mend = "Give input_usd_per_million and output_usd_per_million"
        if limits.counts_tokens:
            said = f"{where}: it has no known price, so its budget in tokens alone holds"
            yield _note("supervisor", said, f"{mend}.")
        else:
            said = f"{where}: it has no known price, so its budget in dollars refuses every call"
            yield _note("supervisor", said, f"{mend}, or a budget in tokens.")
        return
    yield _ok("supervisor", where)


def _gateway(config: "Config") -> Iterator[Finding]:
    from gateway import sockets
    from gateway.cli import client

    if client.answers(config.gateway.data_dir / sockets.CONTROL):
        yield from _running(config)
        return
    found = list(_store(config))
    yield from found
    unwell = any(each.state == "wrong" for each in found)
    address = f"{config.gateway.host}:{config.gateway.port}"
    reason = _cannot_listen(config.gateway.host, config.gateway.port)
    if reason is None:
        yield _ok("port", f"{address} is free; no gateway runs on this data directory")
    else:
        yield _wrong("port", f"{address}: {reason}", "Stop what listens there, or set `port` in [gateway].")
    yield from _exposure(config)
    if not unwell and (config.gateway.data_dir / "ledger.db").exists():
        yield from _sight(config)


def _store(config: "Config") -> Iterator[Finding]:
    """What is wrong with the files, where nobody writes to them."""
    from storage.checkup import ailments

    path = config.gateway.data_dir
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        return
    found = list(ailments(path))
    for each in found:
        yield _wrong("store", str(each), each.remedy())
    if not found:
        yield _ok("store", "every file opens; the audit log ends as its head says")


def _cannot_listen(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        return (error.strerror or "cannot be listened on").lower()
    return None


def _exposure(config: "Config") -> Iterator[Finding]:
    from gateway.cli import client
    from gateway.config import is_loopback

    if is_loopback(config.gateway.host):
        return
    try:
        with client.here(config) as api:
            roles = [key["role"] for key in api.get("/api/keys")["keys"] if key["revoked_at"] is None]
    except StepwardenError:
        roles = []
    if "app" in roles:
        yield _ok("keys", f"{config.gateway.host} can be reached from outside, and gateway keys exist")
    else:
        mend = "Run `stepwarden keys create --role app`, or listen on 127.0.0.1."
        yield _wrong("keys", f"{config.gateway.host} can be reached from outside, and there is no gateway key", mend)


def _running(config: "Config") -> Iterator[Finding]:
    from gateway.cli import client

    try:
        with client.here(config) as api:
            status = api.get("/api/status")
    except StepwardenError as error:
        yield _wrong("gateway", f"it runs but does not answer: {error}", error.remedy())
        return
    counters = status["counters"]
    yield _ok(
        "gateway", f"runs at {status['listening']}, version {status['version']}, {counters.get('recorded', 0)} recorded"
    )
    if status["failing"]:
        mend = (
            f"See its log and `stepwarden audit verify {config.gateway.data_dir}`; what waits is kept, and tried again."
        )
        yield _wrong("gateway", status["failing"], mend)
    if counters.get("dropped"):
        mend = "See its log for the reason; raise `queue_exchanges` and `queue_bytes` in [limits], or free the disk."
        yield _wrong("recorder", f"{counters['dropped']} exchanges were not recorded since it started", mend)
    yield from _sight(config)
    if status["store"]["kept_whole"]:
        yield _note("store", f"{status['store']['kept_whole']} bodies are stored uncut", "Please report this as a bug.")


def _sight(config: "Config") -> Iterator[Finding]:
    """What steps of a known label say of the supervisor, seat by seat."""
    from gateway.cli import client

    if config.supervisor.model is None:
        return
    with client.here(config) as api:
        seats = api.get("/api/supervision")["canaries"]
    if not seats and config.supervisor.canary_every:
        yield _note("supervisor", "no canary was read yet: nothing tells whether it sees")
    for each in seats:
        wrong = each["missed"] + each["cried"]
        message = (
            f"{each['seat']}: of the newest canaries {each['missed']} of {each['violations']} violations passed, "
            f"{each['cried']} of {each['harmless']} steps in order did not"
        )
        if each["blind"]:
            clauses = ", ".join(each["clauses"])
            mend = f"Ask another model, or mend the words of {clauses}; till then let it decide nothing."
            yield _wrong("supervisor", f"{message}: it is blind", mend)
        elif wrong:
            yield _note("supervisor", f"{message} ({', '.join(each['clauses'])})")
        else:
            yield _ok("supervisor", message)
