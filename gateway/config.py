"""The one frozen configuration value of a process, read once: flags over environment over file over defaults.

Runs with no file at all. Secrets never stand in it: it holds the names of environment variables, which are
read when a secret is used. Every mistake is collected and shown with its file, line and remedy.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.config_file import (
    ConfigError,
    Given,
    Mistake,
    Origin,
    choices,
    mistaken,
    nearest,
    read_environment,
    read_file,
    read_value,
)
from policies.errors import StepwardenError
from policies.tools import ToolTag

DialectName: TypeAlias = Literal["anthropic", "openai", "raw"]

RESERVED = ("api", "mcp", "v1", "metrics", "healthz", "readyz", "assets")
"""First path segments of the gateway itself; no provider may be called so."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TOOL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_ORIGIN = re.compile(r"(?=.{1,255}\Z)[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*")
"""A log's name (C2SP tlog-checkpoint): an address without scheme; as a key's name (C2SP signed-note) without a plus."""

_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")
_HEADER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_NOT_FOR_TOKENS = frozenset({"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"})
_LARGEST_PORT = 65535

Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400)]
Bytes: TypeAlias = Annotated[int, Meta(ge=1024, le=1 << 40)]


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Where the gateway listens and keeps its data."""

    host: str = "127.0.0.1"
    """Interface to listen on. Beyond loopback the server refuses to start without gateway keys."""

    port: Annotated[int, Meta(ge=0, le=_LARGEST_PORT)] = 8787
    """TCP port; 0 takes a free one."""

    data_dir: Path = Path("stepwarden-data")
    """Directory of the embedded store; made if missing, readable by its owner alone."""

    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """Processes that relay; one of them, or the parent, keeps the store."""

    allowed_hosts: tuple[str, ...] = ()
    """Further `host[:port]` names under which callers may reach the control plane (behind a proxy, say)."""


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One LLM provider: `/{name}/REST` is relayed to `{base_url}/REST`."""

    name: str
    """The table's own name."""

    dialect: DialectName
    """Wire format; `raw` is relayed and recorded without being understood."""

    base_url: str
    """http or https URL without user, query, fragment or trailing slash."""

    key_env: str | None = None
    """Name of the environment variable with the provider's key; used only for callers who showed a gateway key."""

    enabled: bool = True
    """False takes a shipped provider away."""

    def key(self, environ: Mapping[str, str]) -> str | None:
        """The provider's key, read now, without the newline a secret file ends in; None where there is none.

        Never keep or print it.
        """
        return (environ.get(self.key_env, "").strip() or None) if self.key_env else None


class App(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for the callers of one app (tenant)."""

    name: str
    policy: tuple[str, ...] = ()
    """Policies in force, in order: names of shipped ones, or paths of your own files ending in `.toml`."""

    enforce: bool = False
    """Whether policies act; false lets them observe and flag."""

    unseen: Literal["flag", "reject"] = "flag"
    """What becomes of steps no guard can read (images, encrypted reasoning, server-side history, batches)."""

    audit: Literal["buffered", "strict"] = "buffered"
    """`strict`: the audit log holds a request, durably, before it is forwarded, and a receipt comes with the answer;
    where the log cannot be written the request is refused. `buffered`: nobody waits for the log."""

    search: bool = False
    """Whether recorded contents may be searched for words (`POST /api/search`, roles auditor and above)."""

    export_content: bool = False
    """Whether spans that go to the collector of [telemetry] hold the text of steps. What a clause redacted, held or
    refused never goes."""

    instructions: Annotated[str, Meta(pattern=r"^none$|\.toml$")] = "none"
    """An instruction set that is added to the app's own instructions and that revisions may improve: the path of a
    file of `[[line]]` items, which may be empty; `none`: nothing is ever added. The app has to name a policy too."""

    tool_descriptions: Literal["as_sent", "revised"] = "as_sent"
    """`revised`: revisions may describe the app's tools otherwise to the model, which changes what the app does."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a tool that agents call."""

    name: str
    """The tool's name as agents call it."""

    tags: tuple[ToolTag, ...] = ()
    """What it can do; a tool without tags counts as one that writes."""


class McpServer(msgspec.Struct, frozen=True, kw_only=True):
    """One MCP server that agents reach through this gateway: `/mcp/{name}`, or `stepwarden mcp --server {name}`."""

    name: str
    """The table's own name."""

    url: str | None = None
    """Address of a server over streamable HTTP: http or https URL without user, query or fragment."""

    command: tuple[str, ...] = ()
    """Program and arguments of a server over stdio, run by `stepwarden mcp` where the agent runs."""

    apps: tuple[str, ...] = ()
    """Apps whose callers may use it; none named: every app."""

    tools: tuple[str, ...] = ("*",)
    """Tools that may be listed and called; `*` stands for any run of characters."""

    key_env: str | None = None
    """Name of the environment variable with the server's token; used only for callers who showed a gateway key."""

    key_header: str = "authorization"
    """Header that carries the token; in `authorization` it is a bearer token."""

    oauth: Literal["login", "client_credentials"] | None = None
    """How the gateway itself gets tokens for this server: by a person's `stepwarden mcp login`, or as itself."""

    client_id: str | None = None
    """Who the gateway is at the authorization server; without one it registers itself at each login."""

    client_secret_env: str | None = None
    """Name of the environment variable with the secret that goes with `client_id`; sent to `issuer` alone."""

    scopes: tuple[str, ...] = ()
    """What is asked for; none named: what the server itself asks for."""

    issuer: str | None = None
    """The only authorization server that is believed; without one, whichever the tool server names."""

    pins: Literal["hold", "flag"] = "hold"
    """`hold`: a tool whose definition changed is neither shown nor called until a person approves it."""

    idle_seconds: Seconds = 300.0
    """Longest silence of the server while somebody waits for its answer."""

    message_bytes: Bytes = 16 << 20
    """Largest message read from it or for it."""

    def key(self, environ: Mapping[str, str]) -> str | None:
        """The server's token, read now; None where there is none. Never keep or print it."""
        return (environ.get(self.key_env, "").strip() or None) if self.key_env else None

    def client_secret(self, environ: Mapping[str, str]) -> str | None:
        """The secret of `client_id`, read now; None where there is none. Never keep or print it."""
        return (environ.get(self.client_secret_env, "").strip() or None) if self.client_secret_env else None


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """What of the traffic is kept, and how long."""

    content: Literal["encrypted", "digest"] = "encrypted"
    """`encrypted` keeps bodies sealed; `digest` keeps only their hashes."""

    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 190
    """Days after which what was recorded is deleted, day by day."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what one caller, provider or queue may cost. Bytes and seconds."""

    body_bytes: Bytes = 32 << 20
    """Largest request body on paths that carry steps; other bodies stream through."""

    header_bytes: Bytes = 64 << 10
    """Largest request head."""

    header_count: Annotated[int, Meta(ge=10, le=10_000)] = 100
    """Most header lines of a request."""

    header_seconds: Seconds = 10.0
    """How long a request head may take to arrive."""

    body_seconds: Seconds = 30.0
    """Longest silence while a request body arrives."""

    connect_seconds: Seconds = 10.0
    """How long a connection to a provider may take."""

    idle_seconds: Seconds = 600.0
    """Longest silence of a provider, before or between bytes."""

    keepalive_seconds: Seconds = 75.0
    """How long an idle connection of a caller stays open."""

    drain_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    """How long open streams may go on after SIGTERM."""

    hold_seconds: Seconds = 240.0
    """How long a step that needs a person waits before it counts as rejected."""

    in_flight: Annotated[int, Meta(ge=1, le=100_000)] = 1024
    """Exchanges at once, a worker; the next one is answered 503 with Retry-After."""

    decoded_bytes: Bytes = 64 << 20
    """Largest body after content decoding."""

    ratio: Annotated[int, Meta(ge=2, le=100_000)] = 100
    """Largest factor by which content decoding may swell a body."""

    queue_exchanges: Annotated[int, Meta(ge=16, le=1_000_000)] = 8192
    """Finished exchanges that may wait for the recorder; beyond it they are dropped, counted and logged."""

    queue_bytes: Bytes = 64 << 20
    """The same, in bytes of bodies. Reported spans have as much room of their own; beyond it they are answered 429."""


class Telemetry(msgspec.Struct, frozen=True, kw_only=True):
    """Export of spans to an OpenTelemetry collector."""

    otlp_endpoint: str | None = None
    """OTLP/HTTP base URL; `/v1/traces` is added unless it ends so. None exports nothing."""

    otlp_headers_env: str | None = None
    """Name of the environment variable that holds `name=value,name=value` headers for the collector."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Where prices come from."""

    file: Path | None = None
    """A price file of your own instead of the shipped one."""


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit log is called, and who watches over it."""

    origin: str | None = None
    """The log's name in its checkpoints and keys, an address of yours without scheme: `logs.example.com/gateway`. It is
    taken when the log begins and stays for good; without it the name is a random one."""

    witnesses: tuple[str, ...] = ()
    """Witnesses that every head of the log is shown to, each as `URL VKEY`; see docs/AUDIT.md."""


AskingOptimizer: TypeAlias = Literal["analysis", "reflective", "back-propagation", "trace-propagation"]


class Optimizer(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a change before it is in force, on record and on live traffic; see docs/OPTIMIZING.md."""

    holdout: Annotated[int, Meta(ge=5, le=100_000)] = 50
    """Labelled sessions kept back from optimizers, below which nothing is said of a change."""

    share: Annotated[float, Meta(ge=0.1, le=0.9)] = 0.4
    """Of the labelled sessions, how many are kept back."""

    budget: Annotated[float, Meta(gt=0, le=0.5)] = 0.01
    """Share of honest sessions that one change may disturb: the upper bound at 95 %, which 1 % needs 300 for."""

    principals: Annotated[int, Meta(ge=1, le=100)] = 2
    """Different persons or keys on whose word a change must stand."""

    sessions: Annotated[int, Meta(ge=1, le=1000)] = 3
    """Different sessions it must stand on."""

    ask: tuple[AskingOptimizer, ...] = ()
    """Optimizers that ask the model of `[supervisor]`, on its budget, beside those that ask none: `analysis`,
    `reflective`, `back-propagation`, `trace-propagation`. They read evidence and answer in typed edits."""

    calls_per_run: Annotated[int, Meta(ge=1, le=100_000)] = 400
    """Calls to the model that one run may make for one app; those that fail count too."""

    tokens_per_run: Annotated[int, Meta(ge=1000, le=1 << 40)] = 1_000_000
    """Tokens, in and out together, that one run may take for one app."""

    schedule: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None = None
    """When the gateway proposes by itself, every night: `HH:MM`, UTC. None: on `stepwarden optimize` alone."""

    shadow_requests: Annotated[int, Meta(ge=0, le=1_000_000)] = 500
    shadow_hours: Annotated[float, Meta(ge=0, le=720)] = 4.0
    """A change is judged beside what is in force, without acting, for so many requests and so long."""

    by_itself: Annotated[int, Meta(ge=0, le=100)] = 3
    """Changes that only tighten and may begin to act in a day without a person, after the first; 0: none."""

    canary_share: Annotated[float, Meta(ge=0.01, le=0.9)] = 0.1
    """Of the sessions that begin, how many run under a change in its canary."""

    canary_margin: Annotated[float, Meta(ge=0.005, le=0.3)] = 0.02
    """How much more often sessions may come to harm, as a difference of rates, before a change is taken back."""

    session_minutes: Annotated[float, Meta(ge=0, le=1440)] = 15.0
    """How long after its beginning a session is looked at, once, for what a change does or did to it."""

    sticky_hours: Annotated[float, Meta(ge=0, le=8760)] = 24.0
    """How long after its beginning a session goes on under what it began under."""


_ADDRESSES = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1", "scripted": ""}

Dollars: TypeAlias = Annotated[float, Meta(ge=0, le=1_000_000)]
Tokens: TypeAlias = Annotated[int, Meta(ge=0, le=1 << 50)]


class Supervisor(msgspec.Struct, frozen=True, kw_only=True):
    """The model that judges steps beside the guards; without `model` nobody is asked, and every coverage says so.

    Budgets hold calls of the gate and the monitor together. A call that may cost more than is left is not made, and
    the clause's `on_error` decides.
    """

    model: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """The model's name at its provider."""

    provider: Literal["anthropic", "openai", "scripted"] = "anthropic"
    """`anthropic`; `openai` for everything that speaks `/chat/completions`, a local model included; `scripted` for a
    few rules that stand in for a model in tests and the demo."""

    base_url: str | None = None
    """Where the model is, without `/chat/completions` or `/v1/messages`; the vendor's own address unless given. Never
    this gateway."""

    key_env: str | None = None
    """Name of the environment variable with the key; a local model may need none."""

    deadline_seconds: Annotated[float, Meta(gt=0, le=60)] = 10.0
    """How long a proposed call waits for the gate at most; then the clause's `on_error` decides."""

    budget_usd_per_day: Dollars | None = 5.0
    """US dollars a day (UTC), all apps together."""

    budget_usd_per_app: Dollars | None = None
    """US dollars a day for each app."""

    budget_usd_per_session: Dollars | None = None
    """US dollars for each session."""

    budget_tokens_per_day: Tokens | None = None
    """Tokens a day (UTC), input and output together, all apps together. Where tokens are limited, a model without a
    known price may be asked; where money alone is, it is not."""

    budget_tokens_per_app: Tokens | None = None
    """Tokens a day for each app."""

    budget_tokens_per_session: Tokens | None = None
    """Tokens for each session."""

    monitor_sessions: Annotated[int, Meta(ge=1, le=64)] = 4
    """Sessions that the monitor reads at the same time."""

    monitor_room: Annotated[int, Meta(ge=100, le=1_000_000)] = 10_000
    """Steps that may wait for the monitor; what comes beyond sheds the least risky, which is recorded."""

    canary_every: Annotated[int, Meta(ge=0, le=100_000)] = 20
    """At each seat one question in so many goes with a step whose label is known, out of the clauses' own examples, to
    find out whether the model still sees; 0 for none."""

    input_usd_per_million: Dollars | None = None
    """US dollars per million input tokens, for a model that the price file does not know; with the next one."""

    output_usd_per_million: Dollars | None = None
    """US dollars per million output tokens."""

    @property
    def address(self) -> str:
        """Where calls go, without a trailing slash."""
        return (self.base_url or _ADDRESSES[self.provider]).rstrip("/")


Occasion: TypeAlias = Literal[
    "hold", "flag", "redact", "rewrite", "reject", "terminate", "failed", "spent", "budget", "guard_not_run", "dropped",
    "audit_failing", "not_verified", "supervisor_blind",
]  # fmt: skip


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to tell of what. Messages hold names, ids and codes, never content."""

    name: str
    """The table's own name."""

    on: tuple[Occasion, ...]
    """What to tell of: `hold` (a step waits), a verdict (`flag redact rewrite reject terminate`), `failed` (a call had
    no whole answer), `spent` (see `over_usd`), `budget` (a call was refused: its key's budget does not cover it),
    `guard_not_run`, `dropped` (something could not be recorded), `audit_failing`, `not_verified`
    (`POST /api/audit/verify` found something), `supervisor_blind` (it judges canaries wrongly)."""

    apps: tuple[str, ...] = ()
    """Only of these apps; empty is every app."""

    to: Literal["webhook", "slack", "email"] = "webhook"
    """`webhook`: JSON, signed as Standard Webhooks has it; `slack`: Slack and what takes its format; `email`."""

    url_env: str | None = None
    """Name of the environment variable with the address to post to: such addresses are often secrets."""

    secret_env: str | None = None
    """Name of the environment variable with the secret that webhooks are signed with."""

    mail_from: str | None = None
    """Sender, for `email`."""

    mail_to: tuple[str, ...] = ()
    """Receivers, for `email`."""

    smtp: str | None = None
    """`smtp://HOST:PORT` (STARTTLS, but on loopback) or `smtps://HOST:PORT`, for `email`."""

    smtp_user: str | None = None
    """User name at the mail server."""

    smtp_password_env: str | None = None
    """Name of the environment variable with its password."""

    at: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """How many must happen within `within_seconds`, in one app, before anybody is told."""

    within_seconds: Seconds = 60.0
    """The time in which they count, and in which `spent` adds up."""

    quiet_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    """How long nothing more is said of the same in the same app; then comes one message with all there was."""

    over_usd: Annotated[float, Meta(gt=0, le=1_000_000_000)] | None = None
    """For `spent`: US dollars within `within_seconds`."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one process was told."""

    gateway: Gateway
    providers: Mapping[str, Provider]
    apps: Mapping[str, App]
    tools: Mapping[str, Tool]
    capture: Capture
    limits: Limits
    telemetry: Telemetry
    prices: Prices
    audit: Audit = Audit()
    supervisor: Supervisor = Supervisor()
    optimizer: Optimizer = Optimizer()
    alerts: Mapping[str, Alert] = msgspec.field(default_factory=dict[str, Alert])
    mcp: Mapping[str, McpServer] = {}

    file: Path | None = None
    notes: tuple[str, ...] = ()
    """Sentences worth a warning at start-up; never secrets."""

    @classmethod
    def load(
        cls, path: Path | None = None, *, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None
    ) -> Self:
        """Read the configuration, or raise `ConfigError` with every mistake found.

        `overrides` are flags by dotted name, `{"gateway.port": 9000}`; None means the flag was not given.
        """
        here = Path.cwd()
        mistakes: list[Mistake] = []
        given: list[Given] = []
        if path is not None:
            given, mistakes = read_file(path)
        given += read_environment(environ, base=here)
        given += [
            Given(path=tuple(name.split(".")), value=value, origin=Origin(place=f"command line {name}", base=here))
            for name, value in (overrides or {}).items()
            if value is not None
        ]
        reading = _Reading(given, mistakes, here)
        config = reading.config(path)
        if mistakes:
            raise ConfigError(mistakes)
        assert config is not None
        return cls(**{name: getattr(config, name) for name in cls.__struct_fields__})

    def app(self, name: str) -> App:
        """The settings of an app; apps nobody configured follow `default`."""
        return self.apps.get(name) or msgspec.structs.replace(self.apps["default"], name=name)


_PLAIN: dict[str, type[msgspec.Struct]] = {
    "gateway": Gateway,
    "capture": Capture,
    "limits": Limits,
    "telemetry": Telemetry,
    "prices": Prices,
    "audit": Audit,
    "supervisor": Supervisor,
    "optimizer": Optimizer,
}
_NAMED: dict[str, type[msgspec.Struct]] = {
    "provider": Provider,
    "app": App,
    "tool": Tool,
    "alert": Alert,
    "mcp": McpServer,
}
_NEEDED: Mapping[str, tuple[str, ...]] = {
    "webhook": ("url_env",),
    "slack": ("url_env",),
    "email": ("smtp", "mail_from", "mail_to"),
}
_LATER_SECTIONS = ("policy", "clause")
_SHIPPED: dict[str, dict[str, Any]] = {
    "anthropic": {
        "dialect": "anthropic",
        "base_url": "https://api.anthropic.com",
        "key_env": "ANTHROPIC_API_KEY",
    },
    "openai": {"dialect": "openai", "base_url": "https://api.openai.com", "key_env": "OPENAI_API_KEY"},
}


def settings_of(section: type[msgspec.Struct]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The settings of a section, without the name a table header gives."""
    return tuple(field for field in msgspec.structs.fields(section) if field.name != "name")


def sections() -> Mapping[str, type[msgspec.Struct]]:
    """Every section by its table header, for documentation: `gateway`, `provider.NAME`, ..."""
    return {**_PLAIN, **{f"{name}.NAME": section for name, section in _NAMED.items()}}


class _Reading:
    """One pass over everything given: sorts it into sections, then builds them, noting mistakes on the way."""

    def __init__(self, given: list[Given], mistakes: list[Mistake], here: Path) -> None:
        self._mistakes = mistakes
        self._here = here
        self._plain: dict[str, dict[str, Given]] = {name: {} for name in _PLAIN}
        self._named: dict[str, dict[str, dict[str, Given]]] = {name: {} for name in _NAMED}
        self._named["app"]["default"] = {}
        self._headers: dict[tuple[str, str], Given] = {}
        shipped = Origin(place="shipped", base=here)
        for name, table in _SHIPPED.items():
            self._named["provider"][name] = {
                key: Given(path=("provider", name, key), value=value, origin=shipped) for key, value in table.items()
            }
        for item in given:
            self._sort(item)

    def _say(self, given: Given | None, message: str, remedy: str) -> None:
        self._mistakes.append(mistaken(given, message, remedy))

    def _sort(self, given: Given) -> None:
        section = given.path[0]
        if section in _LATER_SECTIONS:
            if len(given.path) == 1 or given.text:
                self._say(given, f"[{section}] is not built yet", "Remove it; it arrives with a later version.")
        elif section in _PLAIN:
            self._sort_plain(given, section)
        elif section in _NAMED:
            self._sort_named(given, section)
        elif len(given.path) == 1 or given.text:
            known = (*_PLAIN, *_NAMED)
            self._say(given, f"unknown section [{section}]", nearest(section, known) + self._elsewhere(section))

    def _sort_plain(self, given: Given, section: str) -> None:
        if len(given.path) == 1:
            if given.value != {} or given.text:
                self._say(given, f"`{section}` must be a table", f"Write [{section}] on a line of its own.")
            return
        key = given.path[1]
        known = [field.name for field in settings_of(_PLAIN[section])]
        if key not in known:
            if len(given.path) == 2 or given.text:  # noqa: PLR2004 - section and key
                self._say(given, f"unknown setting `{key}` in [{section}]", nearest(key, known) + self._elsewhere(key))
        elif len(given.path) > 2 or given.value == {}:  # noqa: PLR2004 - a table where a value belongs
            if len(given.path) == 2 or given.text:  # noqa: PLR2004 - said once, at its header
                self._say(given, f"`{key}` in [{section}] must be a value, not a table", "Write one value.")
        else:
            self._plain[section][key] = given

    def _sort_named(self, given: Given, section: str) -> None:
        if len(given.path) == 1:
            if given.value != {} or given.text:
                self._say(given, f"`{section}` must be a table", f"Write [{section}.NAME] on a line of its own.")
            return
        name = self._known_name(section, given)
        if len(given.path) == 2:  # noqa: PLR2004 - the header [section.name]
            if given.value != {} or given.text:
                self._say(given, f"`{name}` stands in [{section}] itself", f"Write [{section}.NAME] above it.")
                return
            self._headers[section, name] = given
            self._named[section].setdefault(name, {})
            return
        key = given.path[2]
        known = [field.name for field in settings_of(_NAMED[section])]
        if key not in known or len(given.path) > 3:  # noqa: PLR2004 - section, name, key
            where = f"[{section}.{name}]"
            self._say(given, f"unknown setting `{key}` in {where}", nearest(key, known) + self._elsewhere(key))
            return
        if not isinstance(given.value, dict):
            self._named[section].setdefault(name, {})[key] = given
        else:
            self._say(given, f"`{key}` in [{section}.{name}] must be a value, not a table", "Write one value.")

    def _known_name(self, section: str, given: Given) -> str:
        """The table a variable means: no shell lets a variable's name hold the hyphen of `my-provider`."""
        name = given.path[1]
        if given.text and name not in self._named[section]:
            return next((known for known in self._named[section] if known.replace("-", "_") == name), name)
        return name

    def _elsewhere(self, key: str) -> str:
        """A hint where a setting of this name does exist."""
        homes = [
            f"[{header}]"
            for header, section in sections().items()
            if key in {field.name for field in settings_of(section)}
        ]
        return f" `{key}` is a setting of {' and '.join(homes)}." if homes else ""

    def config(self, path: Path | None) -> Config | None:
        """The whole; or None with every mistake noted, those of values that are of the right type too."""
        plain = {name: self._build(section, name, self._plain[name], {}) for name, section in _PLAIN.items()}
        providers = {name: each for name, each in self._build_named("provider") if each.enabled}
        apps = dict(self._build_named("app"))
        tools = dict(self._build_named("tool"))
        alerts = dict(self._build_named("alert"))
        for name, alert in alerts.items():
            self._examine_alert(name, alert)
        for name, app in apps.items():
            self._examine_app(name, app)
        servers = dict(self._build_named("mcp"))
        notes = (*self._examined(plain, providers), *self._examined_servers(servers, apps, plain["gateway"]))
        if self._mistakes:
            return None
        gateway: Any = plain["gateway"]
        return Config(
            gateway=msgspec.structs.replace(gateway, data_dir=self._here / gateway.data_dir),
            providers={
                name: msgspec.structs.replace(each, base_url=each.base_url.rstrip("/"))
                for name, each in providers.items()
            },
            apps=apps,
            tools=tools,
            capture=_as(Capture, plain["capture"]),
            limits=_as(Limits, plain["limits"]),
            telemetry=_as(Telemetry, plain["telemetry"]),
            prices=_as(Prices, plain["prices"]),
            audit=_as(Audit, plain["audit"]),
            supervisor=_as(Supervisor, plain["supervisor"]),
            optimizer=_as(Optimizer, plain["optimizer"]),
            alerts=alerts,
            mcp=servers,
            file=path,
            notes=notes,
        )

    def _build_named(self, section: str) -> Iterator[tuple[str, Any]]:
        for name, table in self._named[section].items():
            somewhere = self._headers.get((section, name)) or next(iter(table.values()), None)
            if section == "tool" and not _TOOL.fullmatch(name):
                remedy = "Write the name agents call it by: letters, digits, `_`, `.`, `:`, `/` and `-`."
                self._say(somewhere, "[tool] name is no tool's", remedy)
            elif section != "tool" and not _NAME.fullmatch(name):
                remedy = "Use lower-case letters, digits, `_` and `-`, starting with a letter or digit."
                self._say(somewhere, f"[{section}] name is not usable in a URL or header", remedy)
            elif section == "provider" and name in RESERVED:
                self._say(somewhere, f"provider name `{name}` is reserved", f"Reserved: {', '.join(RESERVED)}.")
            elif section == "provider" and any(reserved.startswith(name) for reserved in RESERVED):
                # Whoever reads `/ap/sessions/ID` should not wonder whether `/api/sessions/ID` was meant.
                remedy = f"Choose a longer one; reserved are {', '.join(RESERVED)}."
                self._say(somewhere, f"provider name `{name}` is the beginning of a reserved one", remedy)
            else:
                built = self._build(_NAMED[section], f"{section}.{name}", table, {"name": name}, somewhere)
                if built is not None:
                    yield name, built

    def _build(
        self,
        section: type[msgspec.Struct],
        header: str,
        table: Mapping[str, Given],
        values: dict[str, Any],
        somewhere: Given | None = None,
    ) -> msgspec.Struct | None:
        """A section from its settings, or None with the mistakes noted."""
        before = len(self._mistakes)
        for field in settings_of(section):
            given = table.get(field.name)
            if given is not None:
                self._read(field, header, given, values)
            elif field.required:
                self._say(somewhere, f"[{header}] needs `{field.name}`", f"Add {field.name} = ... to [{header}].")
        return section(**values) if len(self._mistakes) == before else None

    def _read(self, field: msgspec.structs.FieldInfo, header: str, given: Given, values: dict[str, Any]) -> None:
        label = f"`{field.name}` in [{header}]"
        try:
            value = read_value(given, field.type)
        except (msgspec.ValidationError, ValueError, RecursionError) as error:
            admitted = choices(field.type)
            remedy = f"Use one of: {', '.join(admitted)}." if admitted else "See docs/CONFIG.md for what it takes."
            reason = "has no such value" if admitted else str(error).replace("`", "'").rstrip(".")
            self._say(given, f"{label}: {reason}", remedy)
            return
        values[field.name] = value

    def _examined(
        self, plain: Mapping[str, msgspec.Struct | None], providers: Mapping[str, Provider]
    ) -> tuple[str, ...]:
        """What values mean beyond their types, in every section that could be built; notes for the start."""
        gateway, telemetry = plain["gateway"], plain["telemetry"]
        if isinstance(gateway, Gateway):
            self._examine_gateway(gateway)
        if isinstance(telemetry, Telemetry):
            self._examine_telemetry(telemetry)
        if isinstance(plain["audit"], Audit):
            self._examine_audit(plain["audit"])
        optimizer, supervisor = plain["optimizer"], plain["supervisor"]
        if isinstance(optimizer, Optimizer) and optimizer.ask and getattr(supervisor, "model", None) is None:
            remedy = "Name a model in [supervisor], or leave the line out."
            self._say(self._plain["optimizer"].get("ask"), "`ask` in [optimizer] has no model to ask", remedy)
        if isinstance(plain["supervisor"], Supervisor):
            self._examine_supervisor(plain["supervisor"], gateway if isinstance(gateway, Gateway) else None)
        notes = [] if providers else ["every provider is disabled: nothing can be relayed"]
        for name, provider in providers.items():
            notes += self._examine_provider(name, provider, gateway if isinstance(gateway, Gateway) else None)
        return tuple(notes)

    def _examine_app(self, name: str, app: App) -> None:
        if app.policy:
            return
        for setting, idle in (("instructions", "none"), ("tool_descriptions", "as_sent")):
            if getattr(app, setting) != idle:
                given = self._named["app"][name].get(setting)
                remedy = "Name a policy for it, too: what revisions change begins with one."
                self._say(given, f"`{setting}` of app `{name}` has no policy beside it", remedy)

    def _examine_gateway(self, gateway: Gateway) -> None:
        table = self._plain["gateway"]
        if not _is_host(gateway.host):
            self._say(table.get("host"), "`host` in [gateway] is no address or host name", "Write 127.0.0.1, say.")
        for allowed in gateway.allowed_hosts:
            if _host_and_port(allowed) is None:
                remedy = "Write a name as callers type it: gateway.example.com or gateway.example.com:8443."
                self._say(table.get("allowed_hosts"), "`allowed_hosts` in [gateway] holds no host name", remedy)

    def _examine_provider(self, name: str, provider: Provider, gateway: Gateway | None) -> Iterator[str]:
        table = self._named["provider"][name]
        label = f"`base_url` of provider `{name}`"
        fault = url_fault(provider.base_url)
        if fault is not None:
            self._say(table["base_url"], f"{label} {fault}", "Write it like https://api.example.com/path.")
        elif gateway is not None and _points_at(provider.base_url, gateway):
            remedy = "Give the provider's own address; requests would go round in circles."
            self._say(table["base_url"], f"{label} is this gateway itself", remedy)
        elif _is_plain(provider.base_url):
            yield f"provider `{name}` is reached without TLS: keys and content travel readable"
        self._examine_variable(table.get("key_env"), provider.key_env, f"`key_env` of provider `{name}`")

    def _examined_servers(
        self, servers: Mapping[str, McpServer], apps: Mapping[str, App], gateway: msgspec.Struct | None
    ) -> list[str]:
        """What is wrong with MCP servers beyond the types of their settings; notes for the start."""
        notes: list[str] = []
        for name, server in servers.items():
            where = self._headers.get(("mcp", name)) or next(iter(self._named["mcp"][name].values()), None)
            if (server.url is None) == (not server.command):
                remedy = (
                    'Write url = "https://..." for streamable HTTP, or command = ["program", "argument"] for stdio.'
                )
                self._say(where, f"[mcp.{name}] needs a `url` or a `command`, and not both", remedy)
            if any(not piece or "\0" in piece for piece in server.command):
                self._say(where, f"`command` of MCP server `{name}` holds an empty text", "Leave it out.")
            notes += self._examine_server_url(server, gateway if isinstance(gateway, Gateway) else None)
            self._examine_access(server, apps)
            self._examine_oauth(server)
        return notes

    def _examine_server_url(self, server: McpServer, gateway: Gateway | None) -> Iterator[str]:
        table, label = self._named["mcp"][server.name], f"`url` of MCP server `{server.name}`"
        if server.url is None:
            return
        if fault := url_fault(server.url):
            self._say(table.get("url"), f"{label} {fault}", "Write it like https://tools.example.com/mcp.")
        elif gateway is not None and _points_at(server.url, gateway):
            self._say(table.get("url"), f"{label} is this gateway itself", "Give the server's own address.")
        elif urlsplit(server.url).scheme == "http" and not is_loopback(urlsplit(server.url).hostname or ""):
            yield f"MCP server `{server.name}` is reached without TLS: tokens and content travel readable"

    def _examine_access(self, server: McpServer, apps: Mapping[str, App]) -> None:
        table, name = self._named["mcp"][server.name], server.name
        self._examine_variable(table.get("key_env"), server.key_env, f"`key_env` of MCP server `{name}`")
        if not _HEADER_NAME.fullmatch(server.key_header) or server.key_header in _NOT_FOR_TOKENS:
            remedy = "Write a header name in lower case, x-api-key say."
            self._say(table.get("key_header"), f"`key_header` of MCP server `{name}` cannot carry a token", remedy)
        if server.key_env is not None and server.url is None:
            remedy = "A server over stdio gets its secrets from the environment it is started in."
            self._say(table.get("key_env"), f"`key_env` of MCP server `{name}` has no `url` to go to", remedy)
        for app in server.apps:
            if app not in apps:
                self._say(
                    table.get("apps"), f"`apps` of MCP server `{name}` names an unknown app", nearest(app, [*apps])
                )

    def _examine_oauth(self, server: McpServer) -> None:
        """What is wrong with the way to tokens."""
        table, name = self._named["mcp"][server.name], server.name
        label = f"`oauth` of MCP server `{name}`"
        self._examine_variable(
            table.get("client_secret_env"), server.client_secret_env, f"`client_secret_env` of MCP server `{name}`"
        )
        if server.oauth is None:
            for setting in ("client_id", "client_secret_env", "scopes", "issuer"):
                if setting in table:
                    remedy = 'Add oauth = "login" or oauth = "client_credentials".'
                    self._say(table[setting], f"`{setting}` of MCP server `{name}` belongs to `oauth`", remedy)
            return
        secret_needs = server.client_secret_env is not None or server.oauth == "client_credentials"
        missing = [each for each in ("client_id", "issuer") if secret_needs and getattr(server, each) is None]
        if server.oauth == "client_credentials" and server.client_secret_env is None:
            missing.append("client_secret_env")
        faults = (
            (server.url is None, f"{label} has no `url` to go to", "Leave it out: stdio has no OAuth."),
            (server.key_env is not None, f"{label} and `key_env` both give a token", "Keep one of the two."),
            (bool(missing), f"{label} needs {' and '.join(missing)}", "A secret goes only to an issuer that is named."),
            (_is_plain(server.url or ""), f"{label}: tokens would travel in the clear", "Use https."),
        )
        for found, fault, remedy in faults:
            if found:
                self._say(table.get("oauth"), fault, remedy)
        if server.issuer is not None and (fault := url_fault(server.issuer)):
            self._say(table.get("issuer"), f"`issuer` of MCP server `{name}` {fault}", "Write its https:// address.")
        if any(not scope or not scope.isprintable() or " " in scope for scope in server.scopes):
            self._say(table.get("scopes"), f"`scopes` of MCP server `{name}` holds no scope", "Write one a text.")

    def _examine_telemetry(self, telemetry: Telemetry) -> None:
        table = self._plain["telemetry"]
        if telemetry.otlp_endpoint is not None and (fault := url_fault(telemetry.otlp_endpoint)):
            remedy = "Write it like http://localhost:4318."
            self._say(table.get("otlp_endpoint"), f"`otlp_endpoint` in [telemetry] {fault}", remedy)
        self._examine_variable(
            table.get("otlp_headers_env"), telemetry.otlp_headers_env, "`otlp_headers_env` in [telemetry]"
        )

    def _examine_supervisor(self, supervisor: Supervisor, gateway: Gateway | None) -> None:
        table = self._plain["supervisor"]
        somewhere = next(iter(table.values()), None)
        if supervisor.model is None:
            if table:
                self._say(somewhere, "[supervisor] needs `model`", "Add model = ..., or remove the section.")
            return
        if supervisor.provider == "anthropic" and supervisor.key_env is None:
            self._say(somewhere, "[supervisor] needs `key_env`", "Name the variable that holds the key.")
        if (supervisor.input_usd_per_million is None) != (supervisor.output_usd_per_million is None):
            self._say(somewhere, "[supervisor] gives half a price", "Give input_ and output_usd_per_million together.")
        self._examine_variable(table.get("key_env"), supervisor.key_env, "`key_env` in [supervisor]")
        label, given = "`base_url` in [supervisor]", table.get("base_url")
        if supervisor.base_url is None:
            return
        if fault := url_fault(supervisor.base_url):
            self._say(given, f"{label} {fault}", "Write it like https://api.example.com/v1.")
        elif gateway is not None and _points_at(supervisor.base_url, gateway):
            remedy = "Give the model's own address: what judges must not pass what it judges."
            self._say(given, f"{label} is this gateway itself", remedy)
        elif supervisor.key_env is not None and _is_plain(supervisor.base_url):
            self._say(given, f"{label}: the key would travel in the clear", "Use https, or leave `key_env` out.")

    def _examine_audit(self, audit: Audit) -> None:
        if audit.origin is not None and not _ORIGIN.fullmatch(audit.origin):
            remedy = "Write an address without scheme, spaces or plus signs, like logs.example.com/gateway."
            self._say(self._plain["audit"].get("origin"), "`origin` in [audit] is no name for a log", remedy)
        given = self._plain["audit"].get("witnesses")
        remedy = 'Write "https://witness.example/w1 witness.example/w1+1a2b3c4d+B..."; `stepwarden witness` prints it.'
        for number, each in enumerate(audit.witnesses, 1):
            label = f"witness {number} in [audit]"
            if fault := url_fault(each.partition(" ")[0]):
                self._say(given, f"the URL of {label} {fault}", remedy)
            elif fault := _address_fault(each):
                self._say(given, f"{label}: {fault}", remedy)

    def _examine_alert(self, name: str, alert: Alert) -> None:
        """Whether it can tell anybody, and will ever."""
        table, label = self._named["alert"][name], f"alert `{name}`"
        if not alert.on:
            self._say(table.get("on"), f"{label} tells of nothing", 'Write on = ["hold", "reject"], say.')
        if ("spent" in alert.on) != (alert.over_usd is not None):
            remedy = 'Write over_usd = 50.0 with on = ["spent"]; leave it out with anything else alone.'
            self._say(table.get("over_usd") or table.get("on"), f"{label}: `spent` and `over_usd` go together", remedy)
        missing = [each for each in _NEEDED[alert.to] if not getattr(alert, each)]
        if missing:
            remedy = f"Add {' and '.join(f'{each} = ...' for each in missing)} to [alert.{name}]."
            self._say(table.get("to") or table.get("on"), f"{label} goes to {alert.to} and says not where", remedy)
        for key in ("url_env", "secret_env", "smtp_password_env"):
            self._examine_variable(table.get(key), getattr(alert, key), f"`{key}` of {label}")
        if alert.smtp is not None and urlsplit(alert.smtp).scheme not in ("smtp", "smtps"):
            self._say(table.get("smtp"), f"`smtp` of {label} is no mail server", "Write smtp://mail.example.com:587.")
        for each in (*alert.mail_to, alert.mail_from or ""):
            if any(ord(character) < ord(" ") for character in each):
                self._say(table.get("mail_to"), f"{label} has an address with a control character", "Take it out.")

    def _examine_variable(self, given: Given | None, name: str | None, label: str) -> None:
        if name is not None and not _VARIABLE.fullmatch(name):
            remedy = "Write the variable's NAME; a secret never belongs in this file."
            self._say(given, f"{label} is not the name of an environment variable", remedy)


def _address_fault(text: str) -> str | None:
    from gateway.witness_address import read_address  # noqa: PLC0415 - only those pay for signatures who name a witness

    try:
        read_address(text)
    except StepwardenError as error:
        return str(error)
    return None


def _as(section: type[Any], value: Any) -> Any:
    assert isinstance(value, section)
    return value


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`. Names other than localhost count as reachable."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name.split("%", 1)[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(_HOST.fullmatch(host))
    return True


def _host_and_port(text: str) -> tuple[str, int | None] | None:
    """`host` or `host:port` or `[v6]:port`, taken apart; None where it is neither."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    plain = parts.netloc == text and "@" not in text and not (parts.path or parts.query or parts.fragment)
    return (host, port) if plain and _is_host(host) else None


def url_fault(url: str) -> str | None:
    """What is wrong with an upstream address, as a verb phrase that never repeats it; None for a usable one."""
    if any(ord(character) <= ord(" ") or ord(character) > ord("~") for character in url):
        return "holds a space, a control character or a letter beyond ASCII"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "is not a URL"
    faults = (
        (parts.scheme not in ("http", "https"), "must start with https:// or http://"),
        ("@" in parts.netloc, "must not hold a user or password"),
        ("?" in url or "#" in url, "must not hold a query or fragment"),
        ("\\" in url or ".." in parts.path.split("/"), "must not hold a backslash or `..`"),
        (not _is_host(host) or port == 0, "needs a host"),
    )
    return next((fault for found, fault in faults if found), None)


def _is_plain(url: str) -> bool:
    """Whether what is sent to an address leaves this machine readable."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _points_at(url: str, gateway: Gateway) -> bool:
    """Whether an upstream address is the gateway's own listener."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    if port != gateway.port:
        return False
    host = (parts.hostname or "").lower()
    anywhere = gateway.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    here = is_loopback(host) or host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return (
        host == gateway.host.lower()
        or (here and (anywhere or is_loopback(gateway.host)))
        or (anywhere and _is_this_machine(host))
    )


def _is_this_machine(host: str) -> bool:
    """Whether a host is this machine by its own name, or an address that can be bound here. Asks no name server."""
    if host == socket.gethostname().lower():
        return True
    try:
        version = ipaddress.ip_address(host).version
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:  # noqa: PLR2004 - IPv4
            probe.bind((host, 0))
    except (ValueError, OSError):
        return False
    return True
