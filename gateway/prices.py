"""Prices: what an exchange cost, from a file that names a source and a day for every row.

A price that is not known is None, never 0 and never a guess: an unlisted model, a missing rate, or a count the
provider did not give. One US dollar per million tokens is one micro-USD a token, so rates need no conversion.
"""

import datetime as dt
import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from policies.errors import StepwardenError
from policies.vocabulary.usage import Usage

SHIPPED = Path(__file__).with_name("prices.toml")

_SNAPSHOT = re.compile(r"(?P<id>.+)-20\d\d(?P<dash>-?)(?:0[1-9]|1[0-2])(?P=dash)(?:0[1-9]|[12]\d|3[01])", re.ASCII)
"""A dated snapshot: Anthropic writes `-20250929`, OpenAI `-2025-09-29`."""

_ANY_PROVIDER = "*"

_REMEMBERED = 1024
"""Model names whose row is remembered, unknown names included."""

_ADDED_TOKENS = 2_048
"""Room for input tokens a provider adds by itself; Anthropic's prompt for tool use is several hundred."""

_Tokens = Annotated[int, Meta(ge=1)]


class PriceFileInvalid(StepwardenError):
    """The price file cannot be read, or says something it must not."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"price file {path}: {problem}")
        self.path = path

    def remedy(self) -> str:
        """How to get back to a working file."""
        return (
            f"Correct {self.path} (each [[model]] needs id, provider, input, output, source and date; the shipped "
            "gateway/prices.toml is an example), or remove `file` under [prices] to use the shipped prices."
        )


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens, which is micro-USD per token. None: not known."""

    input: Decimal
    """Input tokens that neither came from nor went into the provider's cache."""

    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    """Writes with the provider's default lifetime."""

    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    """Reasoning tokens, where they do not cost the same as other output."""


class LongRates(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rates of a whole request whose input is longer than `above` tokens."""

    above: _Tokens


class Price(Rates, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row: what one model costs at one provider, and who says so."""

    id: Annotated[str, Meta(min_length=1)]
    aliases: tuple[str, ...] = ()
    provider: Annotated[str, Meta(min_length=1)]
    """Name of the provider whose list this is; `*` for any."""

    source: Annotated[str, Meta(pattern=r"^https?://\S+$")]
    date: dt.date
    """The day the source is known to have shown these figures."""

    context_window: _Tokens | None = None
    max_output: _Tokens | None = None
    priced_up_to: _Tokens | None = None
    """Longest input these rates are known to hold for; longer ones have no known price."""

    long: LongRates | None = None

    def rates_for(self, input_tokens: int) -> Rates | None:
        """The rates of a request with this many input tokens; None beyond what the row knows."""
        limit = self.priced_up_to or self.context_window
        if limit is not None and input_tokens > limit:
            return None
        if self.long is not None and input_tokens > self.long.above:
            return self.long
        return self


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file as written."""

    format: Literal[1] = msgspec.field(name="schema")
    currency: Literal["USD"]
    date: dt.date
    model: tuple[Price, ...]


class Prices:
    """A price list, read once. Immutable."""

    __slots__ = ("_rows", "find", "version")

    find: Callable[[str, str], Price | None]

    version: str
    """The file's date and a digest of its bytes, `2026-11-23+1a2b3c4d`: kept with every cost computed from it."""

    def __init__(self, rows: Sequence[Price], version: str) -> None:
        """Rows must not name a model twice for one provider (`Prices.load` checks it)."""
        self._rows = {(row.provider, name): row for row in rows for name in (row.id, *row.aliases)}
        self.version = version
        self.find = lru_cache(_REMEMBERED)(self._find)
        """`find(model, provider) -> Price | None`: the row for this name at this provider, see `_find`."""

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a price file; without a path, the one that is shipped. Raises `PriceFileInvalid`."""
        path = path or SHIPPED
        try:
            raw = path.read_bytes()
            plain = tomllib.loads(raw.decode("utf-8"), parse_float=Decimal)
            file = msgspec.convert(plain, _File)
        except OSError as error:
            raise PriceFileInvalid(path, error.strerror or "cannot be read") from error
        except (ValueError, ArithmeticError, msgspec.ValidationError, RecursionError) as error:
            raise PriceFileInvalid(path, str(error)) from error
        for problem in _problems(file.model):
            raise PriceFileInvalid(path, problem)
        return cls(file.model, f"{file.date.isoformat()}+{hashlib.sha256(raw).hexdigest()[:8]}")

    def _find(self, model: str, provider: str) -> Price | None:
        """The row for this name at this provider: the exact name first, then the model it is a dated snapshot of.

        A provider's own row comes before one for any provider.
        """
        for name in (model, _undated(model)):
            if name is None:
                continue
            row = self._rows.get((provider, name)) or self._rows.get((_ANY_PROVIDER, name))
            if row is not None and name in (model, row.id):
                return row
        return None

    def cost(self, model: str | None, usage: Usage, provider: str) -> int | None:
        """Micro-USD of one exchange, rounded half up; None where the model, a rate or a needed count is unknown.

        An estimated usage has no cost: the provider billed a count we never saw.
        """
        row = None if model is None else self.find(model, provider)
        if row is None or usage.estimated or usage.input_tokens is None:
            return None
        rates = row.rates_for(usage.input_tokens)
        if rates is None:
            return None
        total = Decimal(0)
        for tokens, rate in _charges(usage, rates):
            if tokens == 0:
                continue
            if tokens is None or tokens < 0 or rate is None:
                return None
            total += tokens * rate
        return int(total.to_integral_value(rounding=ROUND_HALF_UP))

    def ceiling(
        self, model: str | None, body_bytes: int, max_tokens: int | None, provider: str | None = None
    ) -> int | None:
        """The most one request can cost, in micro-USD, rounded up; None where that is unknown.

        A token is at least one byte, so a body of n bytes holds at most n tokens, and a model reads no more than
        its context window. What the body only names (images by URL, files, stored conversations, a server-side
        search) has no bytes here: pass `sys.maxsize` as `body_bytes` for such a request, and the context window
        becomes the bound. Pass `max_tokens` times the number of choices asked for. Without a provider, the dearest
        row of that name counts.
        """
        rows = [] if model is None else list(self._candidates(model, provider))
        bounds = [_bound(row, body_bytes, max_tokens) for row in rows]
        known = [bound for bound in bounds if bound is not None]
        return max(known) if known and len(known) == len(bounds) else None

    def _candidates(self, model: str, provider: str | None) -> Iterator[Price]:
        """The rows that may be charged for this name."""
        providers = {provider} if provider is not None else {name for name, _ in self._rows}
        rows = (self.find(model, name) for name in providers)
        return (row for row in rows if row is not None)


def _undated(model: str) -> str | None:
    """The model a dated snapshot belongs to; None where the name carries no date."""
    match = _SNAPSHOT.fullmatch(model)
    return match["id"] if match else None


def _charges(usage: Usage, rates: Rates) -> Sequence[tuple[int | None, Decimal | None]]:
    """What is billed: token counts (None or negative: not known) with their rates.

    A provider that bills cached tokens names them; where it names none there were none.
    """
    read, written = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
    charges: list[tuple[int | None, Decimal | None]] = [
        ((usage.input_tokens or 0) - read - written, rates.input),
        (read, rates.cache_read),
    ]
    if written:
        charges += _writes(usage, written, rates)
    if rates.output == 0:
        return charges
    reasoning = usage.reasoning_tokens if rates.reasoning is not None else 0
    if usage.output_tokens is None or reasoning is None:
        return [*charges, (None, None)]
    return [*charges, (usage.output_tokens - reasoning, rates.output), (reasoning, rates.reasoning)]


def _writes(usage: Usage, written: int, rates: Rates) -> Sequence[tuple[int | None, Decimal | None]]:
    """Cache writes by lifetime; where lifetimes differ in price, a write of unknown lifetime has none."""
    if rates.cache_write_1h is None:
        return [(written, rates.cache_write)]
    longer = usage.cache_write_1h_tokens
    return [(longer, rates.cache_write_1h), (written - (longer or 0), rates.cache_write)]


def _bound(row: Price, body_bytes: int, max_tokens: int | None) -> int | None:
    """The most a request of this size can cost under this row, micro-USD."""
    output = max_tokens if max_tokens is not None else row.max_output
    if output is None and row.output > 0:
        return None
    tokens = body_bytes + _ADDED_TOKENS
    if row.context_window is not None:
        tokens = min(tokens, row.context_window)
    if row.rates_for(tokens) is None:
        return None
    tables: list[Rates] = [row]
    if row.long is not None and tokens > row.long.above:
        tables.append(row.long)
    total = tokens * max(map(_dearest_input, tables)) + (output or 0) * max(map(_dearest_output, tables))
    return int(total.to_integral_value(rounding=ROUND_CEILING))


def _dearest_input(rates: Rates) -> Decimal:
    """The highest rate an input token can have."""
    known = (rates.input, rates.cache_read, rates.cache_write, rates.cache_write_1h)
    return max(rate for rate in known if rate is not None)


def _dearest_output(rates: Rates) -> Decimal:
    """The highest rate an output token can have."""
    return max(rates.output, rates.reasoning or Decimal(0))


def _problems(rows: Sequence[Price]) -> Iterator[str]:
    """What the types do not catch, one sentence each."""
    seen: set[tuple[str, str]] = set()
    for row in rows:
        for name in (row.id, *row.aliases):
            if (row.provider, name) in seen:
                yield f"{name!r} is priced twice for provider {row.provider!r}"
            seen.add((row.provider, name))
        for table in (row, row.long):
            for field, rate in _rates_of(table):
                if not rate.is_finite() or rate < 0:
                    yield f"{field} of {row.id!r} is {rate}; a rate is a number of US dollars, 0 or more"


def _rates_of(table: Rates | None) -> Iterator[tuple[str, Decimal]]:
    """Each rate a table gives, with its name."""
    for name in Rates.__struct_fields__ if table is not None else ():
        value: Any = getattr(table, name)
        if value is not None:
            yield name, value
