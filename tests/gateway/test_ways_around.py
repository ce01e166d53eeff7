"""Ways around a check that were open once: names that begin alike, headers named away, paths that climb."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.stations.ingress import check
from tests.fakes.gateway import running_gateway
from tests.fakes.provider import running_provider
from tests.gateway.house import ANTHROPIC, CHAT, JSON, PATIENT, House, standing
from tests.gateway.rawhttp import Pairs, Response, request

ALIKE = """
[provider.open]
dialect = "raw"
base_url = "{other}/open"

[provider.openai-eu]
dialect = "openai"
base_url = "{other}/eu"

[provider.apiary]
dialect = "raw"
base_url = "{other}/apiary"
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_provider_whose_name_begins_like_anothers_gets_its_own_requests_only(tmp_path: Path, workers: str) -> None:
    with running_provider() as one, running_provider() as other:
        more = PATIENT + ALIKE.format(other=other.url)
        options = ("--workers", workers)
        with running_gateway(tmp_path, {"openai": one.url}, more=more, options=options) as gateway:
            house = House(one, gateway)
            headers = [(b"authorization", b"Bearer sk-of-openai")]
            for name in ("openai", "openai-eu", "open", "apiary"):
                assert house.ask(request(f"/{name}/v1/models".encode(), method=b"GET", headers=headers)).exchange
            for name in ("openaix", "openai-", "ope", "open%2fai", "apix", "anthropic-x", "openai\\x", "healthzz"):
                got = house.ask(request(f"/{name}/v1/models".encode(), method=b"GET", headers=headers))
                assert got.status == 404, name
            assert [seen.target for seen in one.requests] == ["/v1/models"]
            paths = [f"/{name}/v1/models" for name in ("eu", "open", "apiary")]
            assert [seen.target for seen in other.requests] == paths


@pytest.mark.parametrize("name", ["a", "ap", "health", "m"])
def test_a_provider_that_would_take_the_control_planes_paths_is_refused(name: str, tmp_path: Path) -> None:
    from gateway.config import Config  # noqa: PLC0415 - no gateway is started here
    from gateway.config.written import ConfigError  # noqa: PLC0415

    file = tmp_path / "stepwarden.toml"
    file.write_text(f'[provider.{name}]\ndialect = "raw"\nbase_url = "https://x.test"\n')
    with pytest.raises(ConfigError, match="beginning of a reserved one"):
        Config.load(file, environ={})


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def keyless(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with standing(tmp_path_factory.mktemp("keyless"), workers=request.param) as house:
        yield house


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([(b"connection", b"x-forwarded-for"), (b"x-forwarded-for", b"203.0.113.9")], 401),
        ([(b"connection", b"origin"), (b"origin", b"https://evil.test")], 403),
        ([(b"connection", b"sec-fetch-site"), (b"sec-fetch-site", b"cross-site")], 403),
        ([(b"connection", b"host, stepwarden-peer"), (b"via", b"1.1 evil")], 401),
        ([(b"host", b"evil.test")], 400),
        ([(b"x-%d" % number, b"") for number in range(150)], 431),
    ],
)
def test_no_header_takes_another_from_the_control_planes_check(keyless: House, headers: Pairs, status: int) -> None:
    host = keyless.gateway.url.removeprefix("http://").encode()
    assert keyless.ask(request(b"/api/keys", method=b"GET", host=host)).status == 200
    got = keyless.ask(request(b"/api/keys", method=b"GET", host=host, headers=headers))
    assert got.status == status
    assert set(json.loads(got.body)["error"]) == {"type", "message", "remedy"}


def test_nobody_but_a_worker_names_the_address_a_caller_comes_from(keyless: House) -> None:
    host = keyless.gateway.url.removeprefix("http://").encode()
    forged = [(b"stepwarden-peer", b"203.0.113.9")]
    assert keyless.ask(request(b"/api/keys", method=b"GET", host=host, headers=forged)).status == 200


@pytest.mark.parametrize("path", [b"/healthz", b"/readyz"])
def test_health_is_told_without_a_body_too_and_the_connection_goes_on(keyless: House, path: bytes) -> None:
    with keyless.wire() as wire:
        wire.send(request(path, method=b"HEAD") + request(path, method=b"GET"))
        first, second = wire.response(bodiless=True), wire.response()
    assert (first.status, first.body, second.status) == (200, b"", 200)
    assert second.body in (b"ok\n", b"ready\n")


def test_a_terminated_session_is_refused_and_no_other(keyless: House) -> None:
    def said(words: str) -> Response:
        body = ANTHROPIC.request_body(stream=False, messages=[{"role": "user", "content": words}])
        return keyless.ask(ANTHROPIC.call(body=body, headers=[(b"stepwarden-session", words.encode())]))

    ended, other = said("to-be-ended"), said("to-go-on")
    session = ended.one(b"stepwarden-session").decode()
    keyless.facts(ended.exchange)
    assert keyless.control(f"/api/sessions/{session}/terminate", method="POST")[0] == 200
    refused = said("to-be-ended")
    assert (refused.status, json.loads(refused.body)["error"]["type"]) == (400, "session_terminated")
    assert [got.all(b"stepwarden-verdict") for got in (other, refused)] == [[b"allow"], [b"terminate"]]
    assert refused.all(b"stepwarden-session") == [session.encode()]
    assert len([seen for seen in keyless.provider.requests if b"to-be-ended" in seen.body]) == 1
    assert said("to-go-on").one(b"stepwarden-session") == other.one(b"stepwarden-session")


def test_an_absolute_target_reaches_no_control_plane(keyless: House) -> None:
    host = keyless.gateway.url.removeprefix("http://").encode()
    assert keyless.ask(request(b"http://evil.test/api/keys", method=b"GET", host=host)).status == 400


CLIMBING = [
    b"/openai/../admin",
    b"/openai/..",
    b"/openai/v1/../../admin",
    b"/openai/%2e%2e/admin",
    b"/openai/%252e./admin",
    b"/openai/v1//../../admin",
    b"/openai/..;a=b/admin",
    b"/openai/v1/..\\..\\admin",
    b"/openai/..%2fadmin",
]


@pytest.mark.parametrize("target", CLIMBING)
def test_no_path_climbs_above_the_base_url(house: House, target: bytes) -> None:
    mark = (b"x-mark", target)
    got = house.ask(request(target, method=b"GET", headers=[mark]))
    assert (got.status, json.loads(got.body)["error"]["code"]) == (400, "bad_framing")
    assert got.all(b"stepwarden-verdict") == []
    assert not [seen for seen in house.provider.requests if mark in seen.headers]
    # Had it gone on, the mark would have, too.
    assert house.ask(request(b"/openai/v1/models", method=b"GET", headers=[mark])).status == 200
    assert [seen.target for seen in house.provider.requests if mark in seen.headers] == ["/v1/models"]


@pytest.mark.parametrize("path", [b"/openai/v1/x/../models", b"/openai/a..b/%2e", b"/openai/100%25", b"/openai/..."])
def test_a_path_that_stays_below_its_base_url_passes(path: bytes) -> None:
    scope = {"extensions": {"stepwarden.door": _Door()}, "headers": [], "raw_path": path}
    assert check(scope) is scope["extensions"]["stepwarden.door"]


class _Door:
    fault = oversize = None


KEYS_IN_QUERIES = {
    b"pageSize=5&key=canary&access_token=canary&x=1": "pageSize=5&key=***&access_token=***&x=***",
    b"accessToken=canary&jwt=canary&authorization=Bearer%20canary": "accessToken=***&jwt=***&authorization=***",
    b"limit=5;key=canary": "limit=5;key=***",
    b"%6bey=canary": "%6bey=***",
    b"canary": "***",
    b"=canary": "=***",
    b"limit=5%26key%3Dcanary&after=a%3bcanary": "limit=***&after=***",
    b"api-version=2024-10-21&beta=true&&Order=desc": "api-version=2024-10-21&beta=true&&Order=desc",
    b"key=a?canary=b&limit=": "key=***&limit=",
    b"": "",
    b"?": "***",
}


@pytest.mark.parametrize(("query", "recorded"), KEYS_IN_QUERIES.items())
def test_a_query_travels_as_it_is_and_no_key_in_it_is_in_a_record(house: House, query: bytes, recorded: str) -> None:
    target, mark = b"/raw/v1beta/models?" + query, (b"x-mark", b"asks for " + query)
    got = house.ask(request(target, method=b"GET", headers=[mark]))
    (seen,) = [seen for seen in house.provider.requests if mark in seen.headers]
    assert seen.target.encode() == target.removeprefix(b"/raw")
    assert house.facts(got.exchange)["path"] == "/v1beta/models?" + recorded


def test_a_budget_is_not_left_by_a_path_that_is_not_understood(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        secret = house.key(name="bound", budget_usd=1000)["secret"]
        headers = [JSON, (b"authorization", b"Bearer " + secret.encode())]
        for path in (b"/openai/v1/images/generations", b"/openai/v1/completions", b"/anthropic/v1/complete"):
            got = house.ask(request(path, b"{}", headers=headers))
            assert got.status == 429, path
        assert house.ask(request(b"/openai/v1/models", method=b"GET", headers=headers)).status == 200
        assert house.ask(request(b"/openai/v1/files", b"{}", headers=headers)).status == 200


def test_an_upgrade_is_refused_as_upgrades_are_and_with_no_advice_that_would_not_help(house: House) -> None:
    got = house.ask(request(b"/openai/v1/responses", method=b"GET", headers=[(b"upgrade", b"websocket")]))
    assert (got.status, got.all(b"upgrade")) == (426, [b"HTTP/1.1"])
    assert b"upgrade" in got.all(b"connection")
    assert json.loads(got.body)["error"]["message"].endswith("use HTTP with server-sent events.")


@pytest.mark.parametrize("target", [b"/openai:8080/v1/chat", b"/openaiapi/v1", b"/openai-eu/api"])
def test_a_path_that_only_begins_like_a_provider_is_named_whole(house: House, target: bytes) -> None:
    got = house.ask(request(target, method=b"GET"))
    error = json.loads(got.body)["error"]
    assert (got.status, error["code"]) == (404, "unknown_provider")
    assert repr(target.decode()) in error["message"]


def test_a_provider_key_from_a_file_with_its_newline_works(tmp_path: Path) -> None:
    with standing(tmp_path, environment={"OPENAI_API_KEY": "sk-with-newline\n"}) as house:
        secret = house.key(name="k")["secret"]
        got = house.ask(request(CHAT.target, CHAT.request_body(stream=False), headers=[(b"api-key", secret.encode())]))
        assert got.status == 200
        assert house.provider.requests[-1].header("api-key") == "sk-with-newline"
