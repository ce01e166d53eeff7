"""Claude Code and Codex without a terminal: how to run one on a harmless task, and what it said."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.demo.answers import Answer
from gateway.demo.turns import Call, Turn
from tests.e2e.environments.install import environment
from tests.e2e.house import Place
from tests.e2e.programs import NOWHERE
from tests.e2e.stage import Moment, Scripted, say

NOTE = "plum"
TASK = re.compile(rb"scene:\w+ Read (/[\w/.-]+)")
VOLATILE = {
    *("session_id", "thread_id", "message_id", "uuid", "parent_uuid", "memory_paths", "rate_limits"),
    *("timestamp", "ttft_ms", "ttft_stream_ms", "duration_ms", "duration_api_ms", "time_to_request_ms"),
}
"""What is new in every run of the agent: ids and clocks."""


@dataclass(frozen=True)
class Agent:
    """One headless agent; its task is to read a file and to say what is in it."""

    name: str
    scene: str
    call: Callable[[str], Call]
    """The tool call by which its model reads the file of this path."""
    start: Callable[[Place, Path, str], tuple[list[str], dict[str, str]]]
    """Command and environment for (addresses, home, task); may write configuration into the home."""

    def script(self, moment: Moment) -> Answer:
        """The model's side: call the tool once, then finish."""
        results = (b'"tool_result"', b'"function_call_output"')
        if any(each in moment.request.body for each in results):
            return say(moment.asked, Turn(text=f"The note says: {NOTE}.", reply_id=f"{self.name}1"))
        found = TASK.search(moment.request.body)
        assert found
        sealed = moment.asked.wire == "responses"
        turn = Turn(
            text="I will read it.",
            reasoning="A file to read." if sealed else "",
            signature="c2VhbGVkLXRob3VnaHQ=" if sealed else "",
            calls=(self.call(found[1].decode()),),
            reply_id=f"{self.name}0",
        )
        return say(moment.asked, turn)

    @property
    def scripts(self) -> Mapping[str, Scripted]:
        """For the stage."""
        return {self.scene: self.script}

    def run(self, place: Place, home: Path, task: str, timeout: float = 100) -> subprocess.CompletedProcess[bytes]:
        """Run the agent on a task in this folder until it ends by itself."""
        home.mkdir(exist_ok=True)
        command, variables = self.start(place, home, task)
        return subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **NOWHERE, **variables},
            cwd=home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )

    def work(self, place: Place, home: Path) -> list[Any]:
        """Do the task in this folder; the events the agent printed, less ids and clocks."""
        home.mkdir(exist_ok=True)
        note = home / "note.txt"
        note.write_text(f"{NOTE}\n")
        done = self.run(place, home, f"scene:{self.scene} Read {note} and say what it says.")
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
        return [_steady(json.loads(line)) for line in done.stdout.splitlines()]


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _steady(each) for key, each in value.items() if key not in VOLATILE}
    return [_steady(each) for each in value] if isinstance(value, list) else value


def _claude_code(place: Place, home: Path, task: str) -> tuple[list[str], dict[str, str]]:
    package = environment("node") / "node_modules" / "@anthropic-ai" / "claude-code"
    told = ["-p", task, "--output-format", "stream-json", "--verbose", "--allowedTools", "Read,Bash"]
    quiet = (
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "DISABLE_AUTOUPDATER",
        "DISABLE_TELEMETRY",
        "DISABLE_ERROR_REPORTING",
    )
    variables = dict.fromkeys(quiet, "1") | {
        "ANTHROPIC_BASE_URL": place.anthropic,
        "ANTHROPIC_API_KEY": "sk-ant-e2e-0000",
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
    }
    return ["node", str(package / "cli-wrapper.cjs"), *told], variables


CODEX_OFF = "check_for_update_on_startup = false\n[analytics]\nenabled = false\n"


def _codex(home: Path, task: str, config: str) -> tuple[list[str], dict[str, str]]:
    folder = home / ".codex"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f'model = "gpt-5.2"\n{config}')
    package = environment("node") / "node_modules" / "@openai" / "codex"
    told = ["exec", "--json", "--skip-git-repo-check", "--sandbox", "danger-full-access", task]
    variables = {"CODEX_HOME": str(folder), "OPENAI_API_KEY": "sk-e2e-0000", "CODEX_API_KEY": "sk-e2e-0000"}
    return ["node", str(package / "bin" / "codex.js"), *told], variables


def _codex_custom(place: Place, home: Path, task: str) -> tuple[list[str], dict[str, str]]:
    """A provider of one's own: HTTP from the first request on."""
    provider = f'name = "e2e"\nbase_url = "{place.openai}"\nenv_key = "OPENAI_API_KEY"\nwire_api = "responses"\n'
    return _codex(home, task, f'model_provider = "e2e"\n{CODEX_OFF}[model_providers.e2e]\n{provider}')


def _codex_built_in(place: Place, home: Path, task: str) -> tuple[list[str], dict[str, str]]:
    """The provider it knows, at another address: it asks for a WebSocket first."""
    return _codex(home, task, f'openai_base_url = "{place.openai}"\n{CODEX_OFF}')


def _read(path: str) -> Call:
    return Call("toolu_01e2eread", "Read", json.dumps({"file_path": path}))


def _cat(path: str) -> Call:
    return Call("call_e2e_cat", "exec_command", json.dumps({"cmd": f"cat {path}"}))


CLAUDE_CODE = Agent("claudecode", "claude_code", _read, _claude_code)
CODEX = Agent("codex", "codex", _cat, _codex_custom)
CODEX_BUILT_IN = Agent("codexbuiltin", "codex_built_in", _cat, _codex_built_in)
