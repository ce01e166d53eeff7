"""What authorization servers gave the gateway lies sealed, and the log says only that it came and went."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from policies.vocabulary.grants import Grant
from policies.vocabulary.holds import Review
from storage.errors import ContentDamaged, GrantNotFound
from storage.ledger import Ledger
from storage.secret import Secret
from storage.tool_grants import ToolGrants

ANN = Review(actor="owner", by="Ann")
GRANT = Grant(tokens=b'{"access_token":"access-canary"}', client=b'{"client_secret":"secret-canary"}', expires_ns=9)
KEY = Secret(bytes(32))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path)
    yield opened
    opened.close()


def told(ledger: Ledger) -> list[tuple[str, dict[str, str]]]:
    lines = [msgspec.json.decode(line) for line in ledger.entries(0, 100).lines]
    return [(line["type"], line) for line in lines if line["type"].startswith("tool_server.")]


def test_a_grant_comes_back_as_it_was_after_a_restart_too(ledger: Ledger) -> None:
    grants = ToolGrants(ledger, KEY)
    assert grants.of("vault") is None
    grants.keep("vault", GRANT, 7, how="login", review=ANN)
    assert ToolGrants(ledger, KEY).of("vault") == GRANT
    grants.keep("vault", msgspec.structs.replace(GRANT, expires_ns=10), 8, how="refresh")
    found = grants.of("vault")
    assert found is not None
    assert found.expires_ns == 10


def test_no_token_and_no_name_stands_in_the_file_or_the_log(ledger: Ledger, tmp_path: Path) -> None:
    grants = ToolGrants(ledger, KEY)
    grants.keep("vault", GRANT, 7, how="login", review=ANN)
    grants.keep("vault", GRANT, 8, how="refresh")
    grants.forget("vault", ANN)
    entries = told(ledger)
    assert [(kind, line.get("how"), line["actor"]) for kind, line in entries] == [
        ("tool_server.authorised", "login", "owner"),
        ("tool_server.authorised", "refresh", "gateway"),
        ("tool_server.withdrawn", None, "owner"),
    ]
    assert entries[0][1]["by"] == entries[2][1]["by"] != "Ann"
    assert "by" not in entries[1][1]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"-canary" not in kept


def test_a_grant_opens_under_its_own_key_and_server_alone(ledger: Ledger) -> None:
    ToolGrants(ledger, KEY).keep("vault", GRANT, 7, how="login", review=ANN)
    with pytest.raises(ContentDamaged):
        ToolGrants(ledger, Secret(bytes(31) + b"1")).of("vault")
    ledger.write([("UPDATE tool_grant SET server = 'other'", ())], entries=())
    with pytest.raises(ContentDamaged):
        ToolGrants(ledger, KEY).of("other")


def test_what_is_not_there_cannot_be_withdrawn(ledger: Ledger) -> None:
    with pytest.raises(GrantNotFound):
        ToolGrants(ledger, KEY).forget("vault", ANN)
