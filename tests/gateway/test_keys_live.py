"""Gateway keys on a running gateway: who gets in, whose key the provider sees, and that a budget is never overspent."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anthropic
import openai
import pytest

from gateway.demo.answers import Answer, SeenRequest
from tests.fakes.gateway import ROOT, config_text, free_port, running_gateway
from tests.fakes.provider import always, running_provider
from tests.gateway.house import (
    ANTHROPIC,
    CANARIES,
    CHAT,
    DIALECTS,
    JSON,
    PATIENT,
    Dialect,
    House,
    fresh,
    standing,
    waited,
)
from tests.gateway.rawhttp import Pairs, Wire, request

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.fixture(scope="module")
def guarded_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("guarded")) as house:
        house.key(name="the first")
        yield house


@pytest.fixture
def guarded(guarded_house: House) -> House:
    return fresh(guarded_house)


@pytest.fixture(scope="module")
def secret(guarded_house: House) -> str:
    return guarded_house.key(name="good", app="acme")["secret"]


def call(dialect: Dialect, headers: Pairs, *, target: bytes | None = None) -> bytes:
    return request(target or dialect.target, dialect.request_body(stream=False), headers=[JSON, *headers])


def credentials(seen: SeenRequest) -> list[tuple[bytes, bytes]]:
    named = {b"authorization", b"x-api-key", b"stepwarden-key"}
    return [(name.lower(), value) for name, value in seen.headers if name.lower() in named]


def expiring_key(house: House) -> tuple[str, datetime]:
    """A key that expires soon, and when. A moment that has passed already is refused, and machines are busy."""
    for seconds in (1, 5, 30):
        soon = datetime.now(UTC) + timedelta(seconds=seconds)
        body = {"name": "expiring", "role": "app", "expires_at": soon.isoformat()}
        status, made = house.control("/api/keys", method="POST", body=body)
        if status == 201:
            return json.loads(made)["secret"], soon
    pytest.fail("no moment to come is one to this gateway")


def bad_keys(house: House) -> dict[str, Pairs]:
    expiring, soon = expiring_key(house)
    revoked = house.key(name="revoked")
    house.control(f"/api/keys/{revoked['key']['key_id']}/revoke", method="POST")
    viewer = house.key(name="viewer", role="viewer", app="acme")["secret"]
    admin = house.key(name="admin", role="admin", app="*")["secret"]
    good = house.key(name="altered")["secret"]
    altered = good[:-1] + ("0" if good[-1] != "0" else "1")
    while datetime.now(UTC) < soon:
        house.status()
    return {
        "none": [],
        "the caller's own": [(b"x-api-key", b"sk-ant-own"), (b"authorization", b"Bearer sk-own")],
        "unknown": [(b"stepwarden-key", b"swk_" + b"A" * 49)],
        "altered": [(b"stepwarden-key", altered.encode())],
        "revoked": [(b"stepwarden-key", revoked["secret"].encode())],
        "expired": [(b"authorization", b"Bearer " + expiring.encode())],
        "viewer": [(b"x-api-key", viewer.encode())],
        "admin": [(b"stepwarden-key", admin.encode())],
        "empty": [(b"stepwarden-key", b"")],
        "sql": [(b"stepwarden-key", b"swk_' OR 1=1; --")],
        "latin": [(b"stepwarden-key", "swk_é".encode())],
    }


def test_every_bad_key_is_a_401_in_the_dialect_that_tells_nothing(guarded: House) -> None:
    before = guarded.reached()
    said: dict[str, set[str]] = {"shown": set(), "not shown": set()}
    for name, headers in bad_keys(guarded).items():
        for dialect in DIALECTS:
            got = guarded.ask(call(dialect, headers))
            assert got.status == 401, name
            assert got.all(b"x-should-retry") == [b"false"]
            message = json.loads(got.body)["error"]["message"]
            said["not shown" if name in {"none", "the caller's own"} else "shown"].add(message)
            assert not any(value and value in got.body for _, value in headers)
    assert [len(words) for words in said.values()] == [1, 1]
    assert guarded.reached() == before


@pytest.mark.parametrize("slot", ["x-api-key", "authorization", "stepwarden-key"])
@every_dialect
def test_the_providers_key_takes_the_gateway_keys_place(
    guarded: House, secret: str, dialect: Dialect, slot: str
) -> None:
    shown = f"Bearer {secret}" if slot == "authorization" else secret
    got = guarded.ask(call(dialect, [(slot.encode(), shown.encode())]))
    assert got.status == 200
    seen = guarded.forwarded()
    expected = CANARIES["ANTHROPIC_API_KEY" if dialect is ANTHROPIC else "OPENAI_API_KEY"].encode()
    usual = {"stepwarden-key": "x-api-key" if dialect is ANTHROPIC else "authorization"}.get(slot, slot).encode()
    assert credentials(seen) == [(usual, expected if usual == b"x-api-key" else b"Bearer " + expected)]
    assert not [pair for pair in seen.headers if secret.encode() in pair[1]]
    assert guarded.facts(got.exchange)["app"] == "acme"


@pytest.mark.parametrize("version", [b"2023-06-01", b"2026-10-21"])
def test_a_login_of_ones_own_stays_beside_a_gateway_key(guarded: House, secret: str, version: bytes) -> None:
    own = (b"authorization", b"Bearer sk-ant-oat01-own-login")
    got = guarded.ask(call(ANTHROPIC, [(b"stepwarden-key", secret.encode()), own, (b"anthropic-version", version)]))
    assert got.status == 200
    assert credentials(guarded.forwarded()) == [own]


def test_a_gateway_key_in_two_places_reaches_the_provider_in_none(guarded: House, secret: str) -> None:
    headers = [(b"x-api-key", secret.encode()), (b"authorization", b"Bearer " + secret.encode())]
    guarded.ask(call(ANTHROPIC, headers))
    seen = guarded.forwarded()
    assert not [pair for pair in seen.headers if b"swk_" in pair[1]]
    assert len(credentials(seen)) == 1


def test_the_vendors_sdks_work_with_a_gateway_key(guarded: House, secret: str) -> None:
    url = guarded.gateway.url
    with anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=secret) as client:
        assert client.messages.create(**ANTHROPIC.body).content
    with openai.OpenAI(base_url=f"{url}/openai/v1", api_key=secret) as client:
        assert client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}]).choices


def test_a_provider_without_a_key_is_said_to_have_none(guarded: House, secret: str) -> None:
    before = guarded.reached()
    got = guarded.ask(request(b"/raw/v1/x", b"{}", headers=[(b"stepwarden-key", secret.encode())]))
    assert got.status == 500
    assert b"key" in got.body
    assert guarded.reached() == before


def test_without_keys_the_callers_own_key_passes_through(house: House) -> None:
    for dialect in DIALECTS:
        house.ask(dialect.call())
        assert credentials(house.forwarded()) == [dialect.key]


def test_a_gateway_open_to_strangers_without_keys_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "stepwarden.toml"
    text = config_text(port=free_port(), folder=tmp_path, providers={"anthropic": "http://127.0.0.1:9"})
    config.write_text(text.replace('host = "127.0.0.1"', 'host = "0.0.0.0"'))
    command = [sys.executable, "-m", "gateway.cli.main", "serve", "--config", str(config)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 3, ended.stderr
    assert "stepwarden keys create" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_gateway_open_to_strangers_starts_with_a_key(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.cli.main", "keys", "create", "--role", "app"]
    config = tmp_path / "stepwarden.toml"
    config.write_text(config_text(port=1, folder=tmp_path, providers={"anthropic": "http://127.0.0.1:9"}))
    made = subprocess.run(
        [*command, "--config", str(config)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("swk_")
    key = made.stdout.strip().encode()
    with running_provider() as provider:
        everywhere = ("--host", "0.0.0.0")
        with running_gateway(tmp_path, {"raw": provider.url}, options=everywhere) as gateway:
            with Wire(gateway.address) as wire:
                assert wire.send(request(b"/raw/v1/x", b"{}")).response().status == 401
            with Wire(gateway.address) as wire:
                login = (b"authorization", b"Bearer own-login")
                got = wire.send(request(b"/raw/v1/x", b"{}", headers=[(b"stepwarden-key", key), login])).response()
                assert got.exchange
                assert credentials(provider.requests[-1]) == [login]


# budgets

PRICED = {"model": "gpt-4.1-mini", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def cheap(spent: dict[str, int] | None = None) -> Answer:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15} if spent is None else spent
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    body = {"id": "c", "object": "chat.completion", "model": "gpt-4.1-mini", "choices": [choice], "usage": usage}
    return Answer(headers=(JSON,), body=(json.dumps(body).encode(),))


def under(secret: str, body: bytes | None = None, target: bytes = CHAT.target) -> bytes:
    body = json.dumps(PRICED).encode() if body is None else body
    return request(target, body, headers=[JSON, (b"authorization", b"Bearer " + secret.encode())])


def spent(house: House, key_id: str) -> int:
    keys = json.loads(house.control("/api/keys")[1])["keys"]
    return next(key["spent_micro_usd"] for key in keys if key["key_id"] == key_id)


def test_a_thousand_calls_at_once_never_overspend_one_budget(guarded: House) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    guarded.provider.script = always(cheap(usage))
    key = guarded.key(name="bound", budget_usd=0.05)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(guarded.ask, [under(key["secret"])] * 1000))
    passed = [got for got in answers if got.status == 200]
    refused = [got for got in answers if got.status == 429]
    assert len(passed) + len(refused) == 1000
    assert passed
    assert refused
    assert all(got.all(b"x-should-retry") == [b"false"] for got in refused)
    costs = [guarded.facts(got.exchange)["cost_micro_usd"] for got in passed]
    assert sum(costs) <= 50_000
    assert waited(lambda: spent(guarded, key["key"]["key_id"]) == sum(costs) or None)
    print(f"{len(passed)} passed, {sum(costs)} of 50,000 micro-USD spent")


NO_PRICE = {
    "an unknown model": {**PRICED, "model": "somebody-elses-model"},
    "no model": {key: value for key, value in PRICED.items() if key != "model"},
    "a model that is no text": {**PRICED, "model": ["gpt-4.1-mini"]},
    "a tier that costs more than the list says": {**PRICED, "service_tier": "priority"},
}


@pytest.mark.parametrize("name", NO_PRICE)
def test_what_has_no_price_is_refused_under_a_budget(guarded: House, name: str) -> None:
    key = guarded.key(name="bound", budget_usd=1000)
    before = guarded.reached()
    got = guarded.ask(under(key["secret"], json.dumps(NO_PRICE[name]).encode()))
    assert (got.status, json.loads(got.body)["error"]["code"]) == (429, "limit_reached")
    assert guarded.reached() == before


def test_what_a_provider_bills_by_another_tier_counts_in_full_and_has_no_made_up_cost(guarded: House) -> None:
    answer = json.loads(b"".join(each for each in cheap().body if isinstance(each, bytes)))
    told = json.dumps({**answer, "service_tier": "priority"}).encode()
    guarded.provider.script = always(Answer(headers=(JSON,), body=(told,)))
    key = guarded.key(name="bound", budget_usd=1)
    got = guarded.ask(under(key["secret"]))
    assert got.status == 200
    assert guarded.facts(got.exchange)["cost_micro_usd"] is None
    assert waited(lambda: spent(guarded, key["key"]["key_id"]) or None) > 100


def test_what_cannot_be_read_is_refused_under_a_budget(guarded: House) -> None:
    key = guarded.key(name="bound", budget_usd=1000)
    assert guarded.ask(under(key["secret"], b"not JSON")).status == 429


def test_a_batch_is_refused_under_a_budget(guarded: House) -> None:
    key = guarded.key(name="bound", budget_usd=1000)
    got = guarded.ask(under(key["secret"], b'{"input_file_id": "file-1"}', b"/openai/v1/batches"))
    assert got.status == 429


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 100},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/"}}]}]},
        {"max_tokens": 30_000},
    ],
    ids=["choices", "an image elsewhere", "a long answer"],
)
def test_a_budget_counts_what_a_request_may_cost_at_most(guarded: House, changes: dict[str, object]) -> None:
    guarded.provider.script = always(cheap())
    key = guarded.key(name="bound", budget_usd=0.01)
    assert guarded.ask(under(key["secret"])).status == 200
    assert guarded.ask(under(key["secret"], json.dumps({**PRICED, **changes}).encode())).status == 429


def test_a_failed_call_gives_its_reservation_back(guarded: House) -> None:
    guarded.provider.script = always(Answer(status=500, headers=(JSON,), body=(b'{"error": {"message": "x"}}',)))
    key = guarded.key(name="bound", budget_usd=0.002)
    for _ in range(30):
        assert guarded.ask(under(key["secret"])).status == 500


def test_spend_survives_a_restart(tmp_path: Path) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    with standing(tmp_path) as house:
        house.provider.script = always(cheap(usage))
        key = house.key(name="bound", budget_usd=0.003)
        answers = [house.ask(under(key["secret"])) for _ in range(10)]
        assert answers[-1].status == 429
        before = sum(house.facts(got.exchange)["cost_micro_usd"] for got in answers if got.status == 200)
        assert before > 0
    with standing(tmp_path, more=PATIENT) as house:
        assert spent(house, key["key"]["key_id"]) == before
        assert house.ask(under(key["secret"])).status == 429
