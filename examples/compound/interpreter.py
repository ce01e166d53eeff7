"""An LLM with a code interpreter: an analyst that writes Python and runs it, over OpenAI Responses.

    python -m examples.compound.interpreter [http://127.0.0.1:8787]

What can go wrong: the code does more than was asked for. It runs in a directory of its own, in an interpreter that
ignores the environment, for ten seconds at most; that is no sandbox, and so what it may do is also written in a policy.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from openai import OpenAI

from examples.compound.conversation import said

MODEL: Final = "gpt-5-mini"
INSTRUCTIONS: Final = "You answer questions about files with Python. The file lies in the working directory."
TASK: Final = "Which region sold the most in sales.csv, and how much was it?"

SALES: Final = """\
region,month,amount
north,2026-01,1200
south,2026-01,950
west,2026-01,1310
north,2026-02,1180
south,2026-02,1490
west,2026-02,1105
"""

TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "name": "run_python",
    "description": "Run Python and return what it prints. The working directory holds sales.csv.",
    "parameters": {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]},
    "strict": False,
}
_SECONDS: Final = 10


class Interpreter:
    """Runs code next to the file; keeps what it ran."""

    def __init__(self, folder: Path) -> None:
        (folder / "sales.csv").write_text(SALES)
        self._folder = folder
        self.ran: list[str] = []

    def run(self, code: str) -> str:
        """What the code printed, or how it failed."""
        self.ran.append(code)
        try:
            done = subprocess.run(  # noqa: S603 - running the model's code is what this example is about
                [sys.executable, "-I", "-c", code],
                cwd=self._folder,
                env={},
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"stopped after {_SECONDS} seconds"
        return done.stdout if done.returncode == 0 else done.stderr[-500:]


def converse(gateway: str, interpreter: Interpreter) -> None:
    """One question, to the model's last word."""
    said("user", TASK)
    with OpenAI(base_url=f"{gateway}/openai/v1") as client:
        _until_answered(client, interpreter)


def _until_answered(client: OpenAI, interpreter: Interpreter) -> None:
    """Turns of the model until one calls no tool."""
    talk: list[Any] = [{"role": "user", "content": TASK}]
    while True:
        reply = client.responses.create(model=MODEL, instructions=INSTRUCTIONS, input=talk, tools=[TOOL], store=False)
        if reply.output_text:
            said("model", reply.output_text)
        talk += [item.model_dump(exclude_none=True) for item in reply.output]
        calls = [item for item in reply.output if item.type == "function_call"]
        for call in calls:
            code = json.loads(call.arguments)["code"]
            said("call", code)
            result = interpreter.run(code)
            said("result", result)
            talk.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
        if not calls:
            return


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        converse(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8787", Interpreter(Path(scratch)))
