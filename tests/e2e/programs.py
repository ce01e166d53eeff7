"""The client programs: what runs them, in which environment, and how to run one."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tests.e2e.environments.install import environment
from tests.e2e.house import Place

HERE = Path(__file__).parent
CLIENTS = HERE / "clients"
Outcomes: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Program:
    """One unmodified client."""

    file: str
    environment: str | None = None
    """Which of `environments/`; None = the one the tests run in."""
    more: Mapping[str, str] = field(default_factory=dict)
    """Further variables of its environment: telemetry off, mostly."""

    def command(self) -> list[str]:
        """How to start it."""
        if self.file.endswith(".mjs"):
            return ["node", str(CLIENTS / self.file)]
        python = environment(self.environment) / "bin" / "python" if self.environment else Path(sys.executable)
        return [str(python), str(CLIENTS / self.file)]

    def play(self, place: Place, *scenes: str, timeout: float = 110) -> Outcomes:
        """Play all scenes, or these, against these addresses: what the client returned or raised in each."""
        with tempfile.TemporaryDirectory(prefix="client-home-") as home:
            variables = place.environment(Path(home)) | self.more
            if self.environment == "node":
                variables["CLIENT_MODULES"] = str(environment("node"))
            done = subprocess.run(
                [*self.command(), *scenes], env=variables, cwd=home, capture_output=True, timeout=timeout, check=False
            )
        if done.returncode:
            raise AssertionError(f"{self.file} failed:\n{done.stderr.decode(errors='replace')[-6000:]}")
        return json.loads(done.stdout)


NOWHERE = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
"""A proxy that is not there: whatever a client wants from outside this machine fails at once."""
LITELLM = NOWHERE | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}

PYTHON_SDKS = {
    "anthropic-python": Program("with_anthropic.py"),
    "openai-python": Program("with_openai.py"),
}
FOREIGN = {
    "anthropic-typescript": Program("with_anthropic.mjs", "node"),
    "openai-typescript": Program("with_openai.mjs", "node"),
    "langchain": Program("with_langchain.py", "agents", NOWHERE | {"LANGSMITH_TRACING": "false"}),
    "pydantic-ai": Program("with_pydantic_ai.py", "agents", NOWHERE),
    "openai-agents": Program("with_openai_agents.py", "agents", NOWHERE),
    "dspy": Program("with_dspy.py", "litellm", LITELLM),
    "litellm": Program("with_litellm.py", "litellm", LITELLM),
}
