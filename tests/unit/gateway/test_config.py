import os
import random
import re
import socket
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.init import template
from gateway.config import RESERVED, Config, is_loopback, sections, settings_of, url_fault
from gateway.config.written import ConfigError, key_lines
from storage.audit.signing_key import WitnessSigner
from storage.secret import Secret
from tests.unit.storage.audit import house

VALID = """
[gateway]
host = "127.0.0.1"
port = 9000
data_dir = "data"
workers = 2
allowed_hosts = ["gateway.example.com:8443"]

[provider.anthropic]
base_url = "https://api.anthropic.com"
key_env = "ANTHROPIC_API_KEY"

[provider.local]
dialect = "openai"
base_url = "http://127.0.0.1:11434/"

[app.default]
enforce = false

[app.mail]
unseen = "flag"

[capture]
content = "digest"
retention_days = 30

[limits]
body_bytes = 1048576
idle_seconds = 5

[telemetry]
otlp_endpoint = "http://localhost:4318"

[prices]
file = "prices.toml"
"""


def written(directory: Path, text: str) -> Path:
    path = directory / "stepwarden.toml"
    path.write_text(text, encoding="utf-8")
    return path


def mistakes(path: Path | None, environ: dict[str, str] | None = None, **overrides: Any) -> tuple[Any, ...]:
    with pytest.raises(ConfigError) as caught:
        Config.load(path, environ=environ or {}, overrides={n.replace("__", "."): v for n, v in overrides.items()})
    assert caught.value.remedy()
    return caught.value.mistakes


def test_no_file_at_all_is_a_whole_configuration() -> None:
    config = Config.load(None, environ={})
    assert (config.gateway.host, config.gateway.port) == ("127.0.0.1", 8787)
    assert config.gateway.data_dir == Path.cwd() / "stepwarden-data"
    assert {each.name: each.base_url for each in config.providers.values()} == {
        "anthropic": "https://api.anthropic.com",
        "openai": "https://api.openai.com",
    }
    assert config.app("anything").enforce is False


def test_a_file_says_what_it_means(tmp_path: Path) -> None:
    config = Config.load(written(tmp_path, VALID), environ={})
    assert (config.gateway.port, config.gateway.workers) == (9000, 2)
    assert config.gateway.data_dir == tmp_path / "data"
    assert config.providers["local"].base_url == "http://127.0.0.1:11434"
    assert config.providers["anthropic"].dialect == "anthropic"
    assert config.capture.content == "digest"
    assert config.limits.idle_seconds == 5.0
    assert config.prices.file == tmp_path / "prices.toml"
    assert set(config.apps) == {"default", "mail"}


def test_flags_win_over_the_environment_and_the_environment_over_the_file(tmp_path: Path) -> None:
    environ = {"STEPWARDEN_GATEWAY__PORT": "9001", "STEPWARDEN_GATEWAY__WORKERS": "3", "STEPWARDEN_KEY": "swk_x"}
    overrides = {"gateway.workers": 4, "gateway.host": None}
    config = Config.load(written(tmp_path, VALID), environ=environ, overrides=overrides)
    assert (config.gateway.port, config.gateway.workers, config.gateway.host) == (9001, 4, "127.0.0.1")


def test_every_setting_has_an_environment_form() -> None:
    environ = {
        "STEPWARDEN_PROVIDER__ANTHROPIC__BASE_URL": "http://127.0.0.1:1",
        "STEPWARDEN_PROVIDER__ANTHROPIC__ENABLED": "true",
        "STEPWARDEN_PROVIDER__OPENAI__ENABLED": "false",
        "STEPWARDEN_PROVIDER__MINE__DIALECT": "raw",
        "STEPWARDEN_PROVIDER__MINE__BASE_URL": "https://example.com/x",
        "STEPWARDEN_LIMITS__IDLE_SECONDS": "1.5",
        "STEPWARDEN_GATEWAY__ALLOWED_HOSTS": "a.example, b.example:81",
        "STEPWARDEN_CAPTURE__CONTENT": "digest",
    }
    config = Config.load(None, environ=environ)
    assert set(config.providers) == {"anthropic", "mine"}
    assert config.limits.idle_seconds == 1.5
    assert config.gateway.allowed_hosts == ("a.example", "b.example:81")


def test_an_environment_form_finds_a_tool_in_the_case_it_is_called_by() -> None:
    environ = {"STEPWARDEN_TOOL__WebFetch__TAGS": "read", "STEPWARDEN_TOOL__SEND_MONEY__TAGS": "money,outbound"}
    tools = Config.load(None, environ=environ).tools
    assert {name: tool.tags for name, tool in tools.items()} == {
        "WebFetch": ("read",),
        "send_money": ("money", "outbound"),
    }


def test_a_variable_with_one_underscore_too_few_is_noted_and_sets_nothing() -> None:
    config = Config.load(None, environ={"STEPWARDEN_GATEWAY_PORT": "tcp://10.0.0.1:8787", "STEPWARDEN_KEY": "swk_x"})
    assert config.gateway.port == 8787
    [note] = [note for note in config.notes if "STEPWARDEN_" in note]
    assert "STEPWARDEN_GATEWAY__PORT" in note
    assert "10.0.0.1" not in note


def test_an_environment_form_finds_a_provider_with_a_hyphen(tmp_path: Path) -> None:
    path = written(tmp_path, '[provider.my-llm]\ndialect = "raw"\nbase_url = "https://a.example"\n')
    config = Config.load(path, environ={"STEPWARDEN_PROVIDER__MY_LLM__BASE_URL": "https://b.example"})
    assert config.providers["my-llm"].base_url == "https://b.example"


@pytest.mark.parametrize(
    ("text", "line", "said", "remedy"),
    [
        ("[gateway]\nprot = 1\n", 2, "unknown setting `prot`", "`port`"),
        ("[gatway]\nport = 1\n", 1, "unknown section [gatway]", "`gateway`"),
        ("[policy]\nid = 'mail'\n", 1, "belongs in a policy's file", "[app.NAME]"),
        ("[[clause]]\nid = 'no-mail'\n", 1, "belongs in a policy's file", "docs/POLICIES.md"),
        ("[gateway]\nbody_bytes = 5000\n", 2, "unknown setting `body_bytes`", "[limits]"),
        ('[gateway]\n\nport = "8787"\n', 3, "`port`", "CONFIG.md"),
        ("[gateway]\nport = 70000\n", 2, "65535", "CONFIG.md"),
        ("[limits]\nidle_seconds = nan\n", 2, "`idle_seconds`", "CONFIG.md"),
        ("[limits]\nin_flight = true\n", 2, "`in_flight`", "CONFIG.md"),
        ('[capture]\ncontent = "plain"\n', 2, "no such value", "encrypted, digest"),
        ("[supervisor]\nmodel = 'x'\n", 2, "needs `key_env`", "holds the key"),
        ("[supervisor]\nprovider = 'openai'\n", 2, "needs `model`", "Add model"),
        (
            "[supervisor]\nmodel = 'x'\nprovider = 'openai'\nbase_url = 'http://127.0.0.1:8787/openai/v1'\n",
            4,
            "itself",
            "own",
        ),
        ("[supervisor]\nmodel = 'x'\nkey_env = 'K'\nbase_url = 'http://x.example'\n", 4, "in the clear", "https"),
        ("[supervisor]\nmodel = 'x'\nprovider = 'openai'\ninput_usd_per_million = 1\n", 2, "half a price", "together"),
        ("[provider.api]\ndialect='raw'\nbase_url='https://x.example'\n", 1, "reserved", "healthz"),
        ("[provider.'A B']\ndialect='raw'\nbase_url='https://x.example'\n", 1, "not usable", "lower-case"),
        ("[provider.x]\ndialect='raw'\n", 1, "needs `base_url`", "Add base_url"),
        ("[provider.x]\ndialect='raw'\nbase_url='ftp://x.example'\n", 3, "http", "https://"),
        ("[provider.x]\ndialect='raw'\nbase_url='https://u:p@x.example'\n", 3, "user or password", "https://"),
        ("[provider.x]\ndialect='raw'\nbase_url='https://x.example/?a=b'\n", 3, "query", "https://"),
        ("[provider.x]\ndialect='raw'\nbase_url='http://localhost:8787'\n", 3, "this gateway itself", "circles"),
        ("[provider.x]\ndialect='raw'\nbase_url='https://x.example'\nkey_env='sk-ant-1'\n", 4, "not the name", "NAME"),
        ("[provider]\nbase_url='https://x.example'\n", 2, "stands in [provider] itself", "[provider.NAME]"),
        ("gateway = 3\n", 1, "must be a table", "[gateway]"),
        ("[gateway.port]\nx = 1\n", 1, "not a table", "one value"),
        ('[gateway]\nhost = "a b"\n', 2, "no address", "127.0.0.1"),
        ("[gateway]\nallowed_hosts = ['http://x']\n", 2, "`allowed_hosts`", "gateway.example.com"),
        ("[mcp.x]\nurl='http://['\noauth='login'\n", 2, "not a URL", "https://"),
        (
            "[alert.x]\non=['hold']\nto='email'\nmail_from='a@x.example'\nmail_to=['b@x.example']\nsmtp='smtp://['\n",
            6,
            "no mail server",
            "smtp://",
        ),
        ("[tool.send]\ntags = ['mony']\n", 2, "`tags` in [tool.send]: has no such value", "money"),
        ("[mcp.x]\nurl = 'https://x.example'\noauth = 'yes'\n", 3, "`oauth` in [mcp.x]: has no such value", "login"),
        ("[gateway]\ndata_dir = '~nobody-is-called-so/x'\n", 2, "home directory", "CONFIG.md"),
        ("# what ends no line here:\u2028 and \x85\n[gateway]\nprot = 1\n", 3, "unknown setting `prot`", "`port`"),
        ("\ufeff[gateway]\nprot = 1\n", 2, "unknown setting `prot`", "`port`"),
        ("[gateway]\nport = \n", 2, "not TOML", "toml.io"),
        ("[gateway]\nport = " + "9" * 5000, None, "not TOML", "toml.io"),
        ("[gateway]\nport = 1\nport = 2\n", 3, "not TOML", "toml.io"),
    ],
)
def test_a_mistake_is_shown_with_its_line_and_its_remedy(
    tmp_path: Path, text: str, line: int | None, said: str, remedy: str
) -> None:
    path = written(tmp_path, text)
    [mistake] = mistakes(path)
    assert (mistake.place, mistake.line) == (str(path), line)
    assert said in mistake.message
    assert remedy in mistake.remedy


@pytest.mark.parametrize("section", ["provider.x", "supervisor"])
def test_no_name_of_this_machine_leads_a_gateway_that_listens_everywhere_to_itself(
    tmp_path: Path, section: str
) -> None:
    more = {"provider.x": 'dialect = "raw"', "supervisor": 'model = "x"\nprovider = "openai"'}[section]
    listening = f'[gateway]\nhost = "0.0.0.0"\n[{section}]\n{more}\n'
    for host in (socket.gethostname(), "127.0.0.1", "127.8.9.1", "localhost", "0.0.0.0"):
        [mistake] = mistakes(written(tmp_path, f'{listening}base_url = "http://{host}:8787/v1"\n'))
        assert "this gateway itself" in mistake.message
    for elsewhere in ("192.0.2.7:8787", "model.example:8787", "127.0.0.1:8788"):
        Config.load(written(tmp_path, f'{listening}base_url = "http://{elsewhere}/v1"\n'), environ={})


def test_all_mistakes_are_shown_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, "[gateway]\nport = 'x'\nprot = 1\n[capture]\ncontent = 'x'\n")
    found = mistakes(path, {"STEPWARDEN_LIMITS__RATIO": ""}, gateway__workers=0)
    assert len(found) == 5
    assert {each.place for each in found} == {
        str(path),
        "environment STEPWARDEN_LIMITS__RATIO",
        "command line gateway.workers",
    }


def test_a_bad_address_is_shown_beside_a_value_of_the_wrong_type(tmp_path: Path) -> None:
    text = "[gateway]\nport = 'x'\n[provider.openai]\nbase_url = 'ftp://a'\nkey_env = 'sk-secret'\n"
    found = mistakes(written(tmp_path, text + "[telemetry]\notlp_endpoint = 'nowhere'\n"))
    assert [each.line for each in found] == [2, 7, 4, 5]


def test_no_value_is_repeated_in_a_mistake(tmp_path: Path) -> None:
    secret = "sk-ant-api03-verysecret"
    text = "\n".join(
        [
            "[provider.x]",
            f"api_key = '{secret}'",
            f"dialect = '{secret}'",
            f"base_url = 'https://{secret}:y@h.example'",
            f"key_env = '{secret}'",
            "[gateway]",
            f"port = '{secret}'",
            "[telemetry]",
            f"otlp_endpoint = '{secret}'",
            "[capture]",
            f"content = '{secret}'",
            "[tool.send]",
            f"tags = ['{secret}']",
            "[alert.x]",
            f"on = ['{secret}']",
            "[mcp.x]",
            f"oauth = '{secret}'",
            "[optimizer]",
            f"ask = ['{secret}']",
        ]
    )
    found = mistakes(written(tmp_path, text), {"STEPWARDEN_GATEWAY__WORKERS": secret})
    assert len(found) >= 5
    assert not any(secret in str(each) for each in found)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x" * (2 << 20)])
def test_a_file_that_cannot_be_read_is_a_mistake(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "stepwarden.toml"
    path.write_bytes(content)
    assert len(mistakes(path)) == 1
    assert len(mistakes(tmp_path / "missing.toml")) == 1
    assert len(mistakes(tmp_path)) == 1


@given(st.text(max_size=200))
def test_any_text_at_all_is_a_configuration_or_mistakes(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text.encode("utf-8", "replace").decode(), encoding="utf-8")
    try:
        Config.load(path, environ={})
    except ConfigError as error:
        assert error.mistakes  # noqa: PT017 - either outcome is right


def mutated(text: str, chance: random.Random) -> str:
    lines = text.splitlines()
    place = chance.randrange(len(lines))
    line = lines[place]
    kind = chance.randrange(6)
    if kind == 0 and line:
        at = chance.randrange(len(line))
        lines[place] = line[:at] + line[at + 1 :]
    elif kind == 1:
        lines.insert(place, line)
    elif kind == 2:
        lines[place] = line.replace("=", "= -", 1)
    elif kind == 3:
        lines[place] = line.replace('"', "", 1)
    elif kind == 4 and "=" in line:
        lines[place] = line.split("=")[0] + "= " + chance.choice(["0", "true", '""', "[]", "{}", "1e400", '"x"'])
    elif line:
        at = chance.randrange(len(line))
        lines[place] = line[:at] + chance.choice("xyz09[]_#\"' ") + line[at:]
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(300))
def test_no_mutated_configuration_starts_with_a_wrong_meaning(tmp_path: Path, seed: int) -> None:
    text = mutated(VALID, random.Random(seed))
    path = written(tmp_path, text)
    try:
        config = Config.load(path, environ={})
    except ConfigError as error:
        assert all(each.remedy and each.place for each in error.mistakes)  # noqa: PT017 - either outcome is right
        return
    # What starts means exactly what an independent TOML reader finds in the file: nothing ignored, nothing invented.
    for section, table in tomllib.loads(text).items():
        entries = table.items() if section in ("provider", "app") else [("", table)]
        for name, settings in entries:
            found: Any = {"provider": config.providers, "app": config.apps}.get(section)
            got = found[name] if found is not None else getattr(config, section)
            for key, value in settings.items():
                meant = getattr(got, key)
                if isinstance(meant, Path):
                    assert str(meant) == os.path.normpath(tmp_path / value) or meant == tmp_path / value
                elif isinstance(meant, tuple):
                    assert list(meant) == value
                else:
                    assert meant == (value.rstrip("/") if key == "base_url" else value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("LOCALHOST.", True),
        ("a.localhost", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.nip.io", False),
        ("", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert is_loopback(host) is expected


@given(st.text(max_size=60))
def test_any_text_is_a_usable_url_or_has_a_fault(url: str) -> None:
    fault = url_fault(f"secret-{url}")
    assert fault is None or (fault and "secret-" not in fault)


def test_reserved_names_are_those_the_gateway_serves_itself() -> None:
    assert set(RESERVED) >= {"api", "mcp", "v1", "metrics", "healthz", "readyz", "assets"}


def test_a_witness_is_named_as_its_key_can_be_and_cosigns_logs_alone(tmp_path: Path) -> None:
    log, cosigner = house.key().verifier.vkey, WitnessSigner("witness.example/w1", Secret(b"w" * 32)).verifier.vkey
    text = f'[witness]\nkey_name = "a+b"\nhost = "a b"\nlogs = ["{log[:-4]}", "{cosigner}", "{log}"]\n'
    with pytest.raises(ConfigError) as caught:
        Config.load(written(tmp_path, text), environ={})
    said = [(mistake.line, mistake.message) for mistake in caught.value.mistakes]
    assert [line for line, _ in said] == [3, 2, 4, 4]
    assert said[1][1].startswith("`key_name` in [witness]: malformed: a key name")
    assert said[2][1].startswith("log 1 in [witness]: malformed: the key in a vkey")
    assert said[3][1].startswith("log 2 in [witness]: a vkey that is a witness's")


def test_a_provider_reached_without_tls_is_noted() -> None:
    environ = {"STEPWARDEN_PROVIDER__OPENAI__BASE_URL": "http://10.0.0.9:8000"}
    [note] = Config.load(None, environ=environ).notes
    assert "without TLS" in note


def test_a_providers_key_is_read_only_when_it_is_used() -> None:
    provider = Config.load(None, environ={"ANTHROPIC_API_KEY": "secret"}).providers["anthropic"]
    assert "secret" not in repr(provider)
    assert provider.key({"ANTHROPIC_API_KEY": "later"}) == "later"
    assert provider.key({"ANTHROPIC_API_KEY": ""}) is None


def test_the_template_is_the_defaults_but_for_a_policy_that_watches_and_names_every_setting(tmp_path: Path) -> None:
    text = template()
    plain = Config.load(written(tmp_path, text), environ={})
    default = plain.apps["default"]
    assert default.policy == ("agent-baseline",)
    assert not default.enforce
    without = {"default": msgspec.structs.replace(default, policy=())}
    assert msgspec.structs.replace(plain, file=None, apps=without) == Config.load(None, environ={})
    for section in sections().values():
        for field in settings_of(section):
            assert f"{field.name} =" in text


def test_the_template_uncommented_is_still_the_defaults(tmp_path: Path) -> None:
    shown = [line.removeprefix("# ") for line in template().splitlines()]
    wanted = {"otlp_endpoint", "otlp_headers_env", "file"}
    lines = [
        line
        for line in shown
        if line.startswith("[") or (line.split(" = ")[0].isidentifier() and line.split(" = ")[0] not in wanted)
    ]
    config = Config.load(written(tmp_path, "\n".join(lines)), environ={})
    defaults = Config.load(None, environ={})
    for name in ("capture", "limits", "telemetry", "prices"):
        assert getattr(config, name) == getattr(defaults, name)
    assert config.providers["anthropic"] == defaults.providers["anthropic"]
    assert config.providers["local"].base_url == "http://127.0.0.1:11434"


def test_lines_are_found_in_any_honest_layout() -> None:
    text = 'a.b = 1\n["x".y]\nz = """\n[not]\nq = 1\n"""\n  w= 2\n[[list]]\nk = 3\n'
    lines = key_lines(text)
    assert lines["a", "b"] == 1
    assert lines["x", "y"] == 2
    assert lines["x", "y", "w"] == 7
    assert lines["list", "k"] == 9
    assert ("not",) not in lines


@pytest.mark.parametrize(
    "origin", ["https://logs.example.com", "a b", "a+b", "", "/path", "a" * 256, "logs.example.com/", "a\\nb", "é"]
)
def test_a_log_is_called_by_an_address_or_not_at_all(tmp_path: Path, origin: str) -> None:
    file = tmp_path / "stepwarden.toml"
    file.write_text(f'[audit]\norigin = "{origin}"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"`origin` in \[audit\] is no name for a log"):
        Config.load(file, environ={})
    file.write_text('[audit]\norigin = "logs.example.com:8443/one_two-3~x"\n', encoding="utf-8")
    assert Config.load(file, environ={}).audit.origin == "logs.example.com:8443/one_two-3~x"


LOGIN = 'url = "https://t.example/mcp"\noauth = "login"\n'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('command = ["x"]\noauth = "login"\n', "no `url`"),
        (LOGIN + 'key_env = "T"\n', "both give a token"),
        ('url = "http://t.example/mcp"\noauth = "login"\n', "in the clear"),
        (
            'url = "https://t.example/mcp"\noauth = "client_credentials"\n',
            "needs client_id and issuer and client_secret_env",
        ),
        (LOGIN + 'client_id = "x"\nclient_secret_env = "S"\n', "needs issuer"),
        (LOGIN + 'client_secret_env = "not a name"\nclient_id = "x"\nissuer = "https://a.example"\n', "not the name"),
        (LOGIN + 'issuer = "a.example"\n', "must start with"),
        (LOGIN + 'scopes = ["a b"]\n', "holds no scope"),
        ('url = "https://t.example/mcp"\nissuer = "https://a.example"\n', "belongs to `oauth`"),
    ],
)
def test_a_way_to_tokens_that_cannot_work_or_would_leak_is_refused(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Config.load(written(tmp_path, VALID + "\n[mcp.t]\n" + table), environ={})
    assert any(said in each.message for each in refused.value.mistakes), refused.value.mistakes


def test_ways_to_tokens_that_work_are_taken(tmp_path: Path) -> None:
    whole = 'oauth = "client_credentials"\nclient_id = "x"\nclient_secret_env = "S"\nissuer = "https://a.example"\n'
    text = VALID + "\n[mcp.one]\n" + LOGIN + '\n[mcp.two]\nurl = "http://127.0.0.1:9/mcp"\n' + whole
    config = Config.load(written(tmp_path, text), environ={})
    assert (config.mcp["one"].oauth, config.mcp["two"].oauth) == ("login", "client_credentials")


def test_lines_and_asking_optimizers_need_what_they_rest_on(tmp_path: Path) -> None:
    path = tmp_path / "stepwarden.toml"
    for text, said in (
        ('[app.a]\ninstructions = "lines.toml"\n', "has no policy beside it"),
        ('[app.a]\ntool_descriptions = "revised"\n', "has no policy beside it"),
        ('[optimizer]\nask = ["reflective"]\n', "has no model to ask"),
        ('[optimizer]\nask = ["guessing"]\n', "has no such value"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            Config.load(path, environ={})


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("[gateway]\nport = 99999", "`port` in [gateway]: is not a whole number ≥ 0, ≤ 65535"),
        ('[app.default]\npolicy = "agent-baseline"', "`policy` in [app.default]: is not a list of text"),
        ('[tool.send]\ntags = "money"', "`tags` in [tool.send]: is not a list of text"),
        ('[app.default]\nenforce = "yes"', "`enforce` in [app.default]: is not true or false"),
        ("[limits]\nhold_seconds = 0", "`hold_seconds` in [limits]: is not a number > 0, ≤ 86400"),
        ("[gateway]\nhost = 1", "`host` in [gateway]: is not text"),
        ('[optimizer]\nschedule = "25:00"', "regex"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_in_the_words_of_the_reference(
    tmp_path: Path, written: str, told: str
) -> None:
    path = tmp_path / "stepwarden.toml"
    path.write_text(written)
    with pytest.raises(ConfigError, match=re.escape(told)):
        Config.load(path, environ={})
