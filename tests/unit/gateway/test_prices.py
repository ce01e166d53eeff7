"""What an exchange costs, and when that is not known."""

import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.prices import SHIPPED, PriceFileInvalid, Prices
from policies.vocabulary.usage import Usage

PRICES = Prices.load()

ROW = """
[[model]]
id = "tiny"
aliases = ["tiny-latest"]
provider = "acme"
input = 3
output = 15.00
cache_read = 0.3
cache_write = 3.75
cache_write_1h = 6
context_window = 1_000
max_output = 100
source = "https://acme.example/prices"
date = 2026-01-02
"""


def price_list(tmp_path: Path, rows: str, head: str = 'schema = 1\ncurrency = "USD"\ndate = 2026-01-03\n') -> Prices:
    path = tmp_path / "prices.toml"
    path.write_text(head + rows)
    return Prices.load(path)


def used(input_tokens: int | None, output_tokens: int | None, **more: int | bool) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, **more)


@pytest.mark.parametrize(
    ("model", "usage", "provider", "micro_usd"),
    [
        # 1,000 x $1 + 100 x $5 per million
        ("claude-haiku-4-5", used(1_000, 100), "anthropic", 1_500),
        # the input total includes what was read from and written to the cache
        ("claude-opus-5-5", used(10_000, 1_000, cache_read_tokens=8_000), "anthropic", 2_000 * 4 + 1_600 + 20_000),
        (
            "claude-opus-5",
            used(3_000, 0, cache_write_tokens=2_000, cache_write_1h_tokens=500),
            "anthropic",
            1_000 * 5 + 500 * 10 + 9_375,
        ),
        ("gpt-6.2-sol", used(1_000, 1_000, reasoning_tokens=900, cache_read_tokens=500), "openai", 1_000 + 50 + 10_000),
        ("text-embedding-3-small", used(1_000_000 // 200, None), "openai", 100),
    ],
)
def test_a_cost_is_the_published_rates_times_the_counts(
    model: str, usage: Usage, provider: str, micro_usd: int
) -> None:
    assert PRICES.cost(model, usage, provider) == micro_usd


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-opus-4-20250514", "claude-opus-4"),
        ("claude-opus-4-0", "claude-opus-4"),
        ("gpt-4.1-2025-04-14", "gpt-4.1"),
        ("gpt-6.1-sol-2026-09-29", "gpt-6.1-sol"),
    ],
)
def test_a_dated_snapshot_and_a_listed_alias_have_their_models_price(model: str, same_as: str) -> None:
    provider = "anthropic" if model.startswith("claude") else "openai"
    usage = used(12_345, 678)
    assert PRICES.cost(model, usage, provider) == PRICES.cost(same_as, usage, provider) is not None


def test_a_snapshot_listed_by_itself_keeps_its_own_price() -> None:
    usage = used(1_000_000 // 10, 0)
    assert PRICES.cost("gpt-4o-2024-05-13", usage, "openai") == 500_000
    assert PRICES.cost("gpt-4o-2024-08-06", usage, "openai") == 250_000


@pytest.mark.parametrize(
    "model",
    [
        None,
        "",
        "claude",
        "claude-opus-5-5-thinking",
        "claude-opus-50",
        "claude-haiku-4-5-20259901",
        "claude-haiku-4-5-2025-1001",
        "anthropic/claude-haiku-4-5",
        "CLAUDE-HAIKU-4-5",
        "claude-haiku-4-5 ",
        "claude-haiku-4-5-20251001-20251001",
        "ft:gpt-4o-2024-08-06:acme",
        "gpt-4o-mini-search-preview",
        "gpt-5.6-sol",
        "-20251001",
    ],
)
def test_a_name_nobody_listed_has_no_price(model: str | None) -> None:
    assert PRICES.cost(model, used(1, 1), "anthropic") is None
    assert PRICES.cost(model, used(1, 1), "openai") is None
    assert PRICES.ceiling(model, 100, 100) is None


def test_the_same_name_at_another_provider_has_no_price() -> None:
    assert PRICES.cost("gpt-4o", used(1, 1), "my-vllm") is None


@pytest.mark.parametrize(
    "usage",
    [
        used(None, 5),
        used(5, None),
        used(5, 5, estimated=True),
        used(5, 5, cache_read_tokens=6),
        used(5, 5, cache_write_tokens=2),  # 5 minutes or an hour: two prices
        used(5, 5, cache_write_tokens=2, cache_write_1h_tokens=3),
        used(1_001, 5),  # longer than the model can read
    ],
)
def test_a_count_that_is_unknown_or_cannot_be_makes_the_cost_unknown(tmp_path: Path, usage: Usage) -> None:
    assert price_list(tmp_path, ROW).cost("tiny", usage, "acme") is None


def test_a_rate_nobody_published_makes_the_cost_unknown_only_where_it_is_needed() -> None:
    assert PRICES.cost("gpt-5.4-pro", used(1_000, 10, cache_read_tokens=0), "openai") == 31_800
    assert PRICES.cost("gpt-5.4-pro", used(1_000, 10, cache_read_tokens=1), "openai") is None
    assert PRICES.cost("gpt-6.2-astra", used(272_000, 0), "openai") == 272_000 * 8
    assert PRICES.cost("gpt-6.2-astra", used(272_001, 0), "openai") is None


def test_a_long_request_is_billed_whole_at_the_long_rates() -> None:
    assert PRICES.cost("claude-haiku-5-5", used(100_000, 10), "anthropic") == 10_005
    assert PRICES.cost("claude-haiku-5-5", used(100_001, 10), "anthropic") == 50_026  # 50,025.5 rounded half up


def test_reasoning_with_a_price_of_its_own_is_billed_apart(tmp_path: Path) -> None:
    prices = price_list(tmp_path, ROW.replace("output = 15.00", "output = 15.00\nreasoning = 30"))
    assert prices.cost("tiny", used(0, 10, reasoning_tokens=4), "acme") == 6 * 15 + 4 * 30
    assert prices.cost("tiny", used(0, 10), "acme") is None
    assert prices.ceiling("tiny", 0, 10) == 1_000 * 6 + 10 * 30


def test_half_a_micro_dollar_is_rounded_up(tmp_path: Path) -> None:
    prices = price_list(tmp_path, ROW.replace("input = 3", "input = 0.5"))
    assert [prices.cost("tiny", used(n, 0), "acme") for n in (0, 1, 2, 3)] == [0, 1, 1, 2]


def test_a_row_for_any_provider_holds_everywhere_but_a_providers_own_row_comes_first(tmp_path: Path) -> None:
    prices = price_list(tmp_path, ROW + ROW.replace('"acme"', '"*"').replace("input = 3\n", "input = 7\n"))
    assert prices.cost("tiny", used(1, 0), "acme") == 3
    assert prices.cost("tiny", used(1, 0), "elsewhere") == 7
    assert prices.ceiling("tiny", 1, 0) == 7_000


@given(
    body_bytes=st.integers(0, 2_000_000),
    max_tokens=st.integers(0, 128_000),
    share=st.tuples(*(st.floats(0, 1),) * 4),
    model=st.sampled_from(["claude-haiku-5-5", "claude-sonnet-4-5", "gpt-6.2-sol", "gpt-4o", "claude-opus-5-5"]),
)
def test_no_cost_exceeds_its_ceiling(
    body_bytes: int, max_tokens: int, share: tuple[float, float, float, float], model: str
) -> None:
    total = int(body_bytes * share[0])
    read = int(total * share[1])
    written = int((total - read) * share[2])
    usage = Usage(
        input_tokens=total,
        output_tokens=max_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=int(written * share[3]),
    )
    provider = "anthropic" if model.startswith("claude") else "openai"
    cost = PRICES.cost(model, usage, provider)
    ceiling = PRICES.ceiling(model, body_bytes, max_tokens, provider)
    assert ceiling is not None
    assert cost is None or cost <= ceiling


def test_without_a_limit_the_models_longest_answer_is_the_ceiling(tmp_path: Path) -> None:
    prices = price_list(tmp_path, ROW)
    assert prices.ceiling("tiny", 0, None) == 1_000 * 6 + 100 * 15
    assert price_list(tmp_path, ROW.replace("max_output = 100", "")).ceiling("tiny", 0, None) is None


def test_input_that_is_not_in_the_body_is_bounded_by_the_context_window(tmp_path: Path) -> None:
    assert price_list(tmp_path, ROW).ceiling("tiny", sys.maxsize, 10) == 1_000 * 6 + 150
    assert PRICES.ceiling("gpt-6.2-astra", sys.maxsize, 10) is None


def test_every_shipped_row_names_a_source_and_a_day() -> None:
    text = SHIPPED.read_text()
    assert text.count("[[model]]") == text.count("\nsource = ") > 50
    assert text.count("[[model]]") + 1 == text.count("\ndate = ")


def test_the_version_names_the_day_and_the_exact_file(tmp_path: Path) -> None:
    version = price_list(tmp_path, ROW).version
    assert version.startswith("2026-01-03+")
    assert len(version) == len("2026-01-03+12345678")
    assert price_list(tmp_path, ROW + "# changed").version != version


def test_an_operators_file_replaces_the_shipped_one(tmp_path: Path) -> None:
    prices = price_list(tmp_path, ROW)
    assert prices.cost("claude-haiku-4-5", used(1, 1), "anthropic") is None
    assert prices.cost("tiny-latest", used(1, 0), "acme") == 3


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ("[[model", "Expected"),
        (ROW.replace("source", "sauce"), "sauce"),
        (ROW.replace("https://acme.example/prices", "a friend"), "source"),
        (ROW.replace("date = 2026-01-02", ""), "date"),
        (ROW.replace("input = 3", "input = -3"), "input of 'tiny' is -3"),
        (ROW.replace("input = 3", "input = nan"), "input"),
        (ROW.replace("input = 3", "input = inf"), "input"),
        (ROW.replace("input = 3", 'input = "cheap"'), "input"),
        (ROW + ROW, "priced twice"),
        (ROW.replace('["tiny-latest"]', '["tiny"]'), "priced twice"),
        (ROW.replace("max_output = 100", "max_output = 0"), "max_output"),
        (ROW + "[model.long]\nabove = 5\ninput = 1\n", "output"),
        ("x = " + "[" * 5_000, "price file"),
        ("x = 1" + "0" * 5_000, "price file"),
    ],
)
def test_a_bad_file_is_refused_with_what_is_wrong_and_what_to_do(tmp_path: Path, rows: str, says: str) -> None:
    with pytest.raises(PriceFileInvalid, match=says) as caught:
        price_list(tmp_path, rows)
    assert str(tmp_path / "prices.toml") in caught.value.remedy()


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceFileInvalid, match="No such file"):
        Prices.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PriceFileInvalid, match="utf-8"):
        Prices.load(tmp_path / "binary.toml")


def test_a_price_list_of_another_currency_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PriceFileInvalid, match="currency"):
        price_list(tmp_path, ROW, 'schema = 1\ncurrency = "EUR"\ndate = 2026-01-03\n')


def test_rates_are_read_as_written() -> None:
    row = PRICES.find("gpt-6-luna", "openai")
    assert row is not None
    assert row.cache_write == Decimal("0.125")
