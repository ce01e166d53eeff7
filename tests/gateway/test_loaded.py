"""What a serving process loads: only what it needs, so that a worker stays small and starts fast."""

import json
import re
from pathlib import Path

import pytest

from tests.gateway.house import CANARIES, DIALECTS, PATIENT, standing

OF_POLICIES = {
    "policies.guards.registry", "policies.loader", "policies.views", "policies.vocabulary.clauses",
    "ahocorasick_rs", "cel", "confusable_homoglyphs", "jsonschema_rs", "re2", "sqlglot",
}  # fmt: skip
OF_COMMANDS = {"anthropic", "gateway.demo", "pydantic", "rich"}
OF_EXPORT = {
    "google.protobuf",
    "opentelemetry.proto",
    "opentelemetry.sdk",
    "opentelemetry.trace",
    "requests",
    "smtplib",
}
"""Of exporting spans, of taking them, and of telling people."""

_IMPORTED = re.compile(r"^import time: .*\| +(\S+)$", re.MULTILINE)


def _loaded(folder: Path, *, more: str, workers: int) -> set[str]:
    """Modules loaded by any process of a gateway that carried a turn of every wire and told of it."""
    with standing(
        folder, more=more, workers=workers, environment={**CANARIES, "PYTHONPROFILEIMPORTTIME": "1"}
    ) as house:
        for dialect in DIALECTS:
            for stream in (False, True):
                assert house.facts(house.ask(dialect.call(stream=stream)).exchange)["outcome"] == "complete"
        for path in ("/api/status", "/api/sessions", "/api/clauses"):
            assert house.control(path)[0] == 200
    return set(_IMPORTED.findall(house.gateway.log))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_gateway_without_policies_loads_nothing_of_policies_commands_or_export(workers: int, tmp_path: Path) -> None:
    loaded = _loaded(tmp_path, more=PATIENT, workers=workers)
    assert {"gateway.exchange", "gateway.stations.judge", "storage.writer"} <= loaded
    assert not loaded & (OF_POLICIES | OF_COMMANDS | OF_EXPORT)


def test_a_policy_brings_its_guards_along(tmp_path: Path) -> None:
    more = f"{PATIENT}\n[app.default]\npolicy = {json.dumps(['agent-baseline'])}\n"
    loaded = _loaded(tmp_path, more=more, workers=1)
    assert {"policies.guards.registry", "policies.views", "re2"} <= loaded
    assert not loaded & (OF_COMMANDS | OF_EXPORT)
