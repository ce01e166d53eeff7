"""A request to count tokens puts its steps before the provider like any other: judged, and recorded as judged."""

import json
from collections.abc import Iterator

import pytest

from tests.fakes.provider import TURN, always, say
from tests.gateway.house import ANTHROPIC, JSON, RESPONSES, Dialect, House, fresh, standing
from tests.gateway.rawhttp import Response, request
from tests.gateway.test_never_off import judged
from tests.gateway.test_policies import settings

COUNTS = {ANTHROPIC.name: b"/count_tokens", RESPONSES.name: b"/input_tokens"}
every_count = pytest.mark.parametrize("dialect", [ANTHROPIC, RESPONSES], ids=lambda dialect: dialect.name)


@pytest.fixture(scope="module")
def strict_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("counts")
    with standing(folder, more=settings(folder)) as house:
        yield house


@pytest.fixture
def strict(strict_house: House) -> House:
    return fresh(strict_house)


def counted(house: House, dialect: Dialect, text: str) -> Response:
    told = [{"role": "user", "content": "Hello."}, {"role": "user", "content": text}]
    body = {"model": "m", "input" if dialect is RESPONSES else "messages": told}
    target = dialect.target + COUNTS[dialect.name]
    house.provider.script = always(say(dialect.name, TURN))
    return house.ask(request(target, json.dumps(body).encode(), headers=[JSON, dialect.key]))


@every_count
def test_what_was_said_of_a_counted_request_is_recorded_where_it_stands(strict: House, dialect: Dialect) -> None:
    got = counted(strict, dialect, "It is bluebird-1234.")
    assert b"bluebird-1234" not in strict.provider.requests[-1].body
    record = judged(strict, got.exchange)
    assert record["exchange"]["operation"] == "count_tokens"
    assert record["steps"] == []  # it belongs to no session
    first, second = record["judged"]["steps"]
    assert (first["verdict"]["name"], second["verdict"]["name"]) == ("allow", "redact")
    assert second["where"]["kind"] == "user_input"
    assert [edit["text"] for edit in second["edits"]] != []
    assert {row["clause"] for row in first["coverage"]} >= {"house/no-code-name"}
    assert all(row["seq"] == second["seq"] for row in second["coverage"])


@every_count
def test_an_explanation_reads_the_range_back_from_the_kept_request(strict: House, dialect: Dialect) -> None:
    got = counted(strict, dialect, "It is bluebird-4321.")
    judged(strict, got.exchange)
    said = json.loads(strict.control(f"/api/exchanges/{got.exchange}/explanation")[1])["steps"]
    assert [(step["kind"], step["side"]) for step in said] == [("user_input", "request")]
    assert [match["text"] for match in said[0]["matches"]] == ["bluebird-4321"]
