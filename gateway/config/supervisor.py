"""The section `[supervisor]`: the model that judges beside the guards."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.config.addresses import is_plain, url_fault
from gateway.config.gateway import Gateway
from gateway.config.table import Table
from gateway.config.units import Dollars, Tokens
from gateway.config.variables import variable_mistakes
from gateway.config.written import Given, Mistake, mistaken

_ADDRESSES = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1", "scripted": ""}


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


def supervisor_mistakes(supervisor: Supervisor, table: Table, gateway: Gateway | None) -> Iterator[Mistake]:
    """What is wrong beyond the types of the settings; `gateway` is None where it could not be read."""
    somewhere = table.somewhere
    if supervisor.model is None:
        if table.settings:
            yield mistaken(somewhere, "[supervisor] needs `model`", "Add model = ..., or remove the section.")
        return
    if supervisor.provider == "anthropic" and supervisor.key_env is None:
        yield mistaken(somewhere, "[supervisor] needs `key_env`", "Name the variable that holds the key.")
    if (supervisor.input_usd_per_million is None) != (supervisor.output_usd_per_million is None):
        remedy = "Give input_ and output_usd_per_million together."
        yield mistaken(somewhere, "[supervisor] gives half a price", remedy)
    yield from variable_mistakes(table.get("key_env"), supervisor.key_env, "`key_env` in [supervisor]")
    yield from _address_mistakes(supervisor, table.get("base_url"), gateway)


def _address_mistakes(supervisor: Supervisor, given: Given | None, gateway: Gateway | None) -> Iterator[Mistake]:
    label, url = "`base_url` in [supervisor]", supervisor.base_url
    if url is None:
        return
    if fault := url_fault(url):
        yield mistaken(given, f"{label} {fault}", "Write it like https://api.example.com/v1.")
    elif gateway is not None and gateway.is_at(url):
        remedy = "Give the model's own address: what judges must not pass what it judges."
        yield mistaken(given, f"{label} is this gateway itself", remedy)
    elif supervisor.key_env is not None and is_plain(url):
        remedy = "Use https, or leave `key_env` out."
        yield mistaken(given, f"{label}: the key would travel in the clear", remedy)
