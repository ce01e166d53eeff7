"""What the shipped baseline policy costs: milliseconds a step, growth on texts made to slow it, a resent history.

    python -m bench.baseline_cost [--json F]

All clauses of `agent-baseline` judge each step together, as the gateway has them judge. Texts are fresh, so nothing
that is remembered helps; what came before a step was judged before it, but for `small call`. Times are CPU time of this
process, because other work on the machine would be counted otherwise; the wall clock stands beside them in the JSON.

A step of N bytes is a text of N bytes typed by the user, returned by a tool, said by the model, or handed to a tool
as an argument; `small call` is a call with short arguments right after a tool result of N bytes that nobody looked at
before.
"""

import argparse
import asyncio
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.guard_cost import ADVERSARIAL, ORDINARY, SIZES, prose
from gateway.stations.bench import Bench
from gateway.stations.judge import Docket
from gateway.wire.dialects import dialects
from policies.asking import Asking
from policies.evaluate import Ruleset, Settings
from policies.loader import load
from policies.shipped import shipped
from policies.trail import Scene, Trail
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Part

POLICY: Final = "agent-baseline"

HISTORY: Final = 40
"""Messages of the history that is sent again."""

RESENT: Final = 400
"""How often it is sent."""

Text = Callable[[int, int], str]
"""A text of about so many bytes, from a seed."""


def baseline() -> Ruleset:
    """The shipped baseline policy, in force."""
    return Ruleset.compile([load(shipped()[POLICY], POLICY).policy], settings=Settings(enforce=True))


_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "post_note",
        "description": "Posts a note.",
        "parameters": {"type": "object", "properties": {"text": {"type": "string"}, "board": {"type": "string"}}},
    },
}
_OPENING: Final = (
    Part(kind="tool_definitions", tool="post_note", text=json.dumps(_TOOL)),
    Part(kind="user_input", text="Read the notes and post a short answer on the board 'orders'."),
)


def scene(shape: str, text: str, seed: int) -> Scene:
    """One step of a shape that holds this text, with what came before it."""
    if shape == "small call":
        result = Part(kind="tool_result", tool="read_notes", call_id="c0", text=text)
        call = json.dumps({"text": f"Order {seed} is on its way.", "board": "orders"})
        return Scene(
            step=Part(kind="tool_call", tool="post_note", call_id="c1", text=call),
            trail=Trail(parts=(*_OPENING, Part(kind="tool_call", tool="read_notes", call_id="c0", text="{}"), result)),
        )
    if shape == "tool_call":
        result = Part(kind="tool_result", tool="read_notes", call_id="c0", text=prose(SIZES[0], seed + 1000))
        call = json.dumps({"text": text, "board": "orders"}, ensure_ascii=False)
        return Scene(
            step=Part(kind="tool_call", tool="post_note", call_id="c1", text=call),
            trail=Trail(parts=(*_OPENING, result)),
        )
    kinds: dict[str, Any] = {"user_input": "user_input", "model_text": "model_text", "tool_result": "tool_result"}
    return Scene(step=Part(kind=kinds[shape], text=text), trail=Trail(parts=_OPENING))


SHAPES: Final = ("user_input", "tool_result", "model_text", "tool_call", "small call")
GROWING: Final = ("tool_result", "tool_call", "small call")


_SEEDS: Final = itertools.count()
"""No text is drawn twice in a process: guards remember what they read."""


def took(ruleset: Ruleset, shape: str, text: Text, size: int, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of CPU, and by the clock, of each of some fresh steps; ascending."""
    cpu: list[float] = []
    wall: list[float] = []
    for seed in itertools.islice(_SEEDS, rounds):
        step = scene(shape, f"{seed} {text(size - 8, seed)}", seed)
        if shape != "small call":
            for part in step.trail.parts:
                ruleset.judge(Scene(step=part, trail=Trail(parts=_OPENING)), clock=time.monotonic_ns)
        began, at = time.process_time(), time.perf_counter()
        ruleset.judge(step, clock=time.monotonic_ns)
        cpu.append((time.process_time() - began) * 1000)
        wall.append((time.perf_counter() - at) * 1000)
    return sorted(cpu), sorted(wall)


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least this share does not exceed."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


def steps(ruleset: Ruleset, rounds: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Steps of 4 KB and 64 KB on ordinary texts."""
    for shape in SHAPES:
        took(ruleset, shape, prose, SIZES[0], 3)
        for name, text in ORDINARY.items():
            for size, count in zip(SIZES, rounds, strict=False):
                cpu, wall = took(ruleset, shape, text, size, count)
                yield {
                    "shape": shape, "text": name, "bytes": size, "steps": count,
                    "p50": percentile(cpu, 0.5), "p95": percentile(cpu, 0.95), "wall_p95": percentile(wall, 0.95),
                }  # fmt: skip


def growth(ruleset: Ruleset) -> Iterator[dict[str, Any]]:
    """Steps of 4 KB, 64 KB and 1 MB on every text made to slow a guard, and the exponent from the first to the last."""
    for shape in GROWING:
        for name, text in {**ORDINARY, **ADVERSARIAL}.items():
            medians = [
                percentile(took(ruleset, shape, text, size, count)[0], 0.5)
                for size, count in zip(SIZES, (7, 3, 1), strict=True)
            ]
            exponent = math.log(medians[2] / medians[0]) / math.log(SIZES[2] / SIZES[0])
            yield {"shape": shape, "text": name, "ms": medians, "exponent": exponent}


def history(messages: int) -> bytes:
    """A request of an agent's run on Anthropic Messages: in turn a call and its result of about 1.5 KB."""
    told: list[dict[str, Any]] = [{"role": "user", "content": "Go through all the notes and tell me what is new."}]
    while len(told) < messages - 1:
        at = len(told)
        call = {"type": "tool_use", "id": f"toolu_{at:04}", "name": "read_notes", "input": {"page": at}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{at:04}", "content": prose(1500, at)}
        told += [
            {"role": "assistant", "content": [{"type": "text", "text": f"Page {at}."}, call]},
            {"role": "user", "content": [result]},
        ]
    told = told[:messages] if len(told) >= messages else [*told, {"role": "assistant", "content": "Nothing is new."}]
    tools = [{"name": "read_notes", "description": "Reads a page.", "input_schema": {"type": "object"}}]
    body = {"model": "m", "max_tokens": 64, "system": "You keep the notes.", "tools": tools, "messages": told}
    return json.dumps(body).encode()


async def resent(messages: int, times: int) -> dict[str, Any]:
    """A request before the bench again and again, as a retry or the next turn brings it: CPU milliseconds each."""
    body = history(messages)
    dialect = dialects().by_name()["anthropic"]
    view = dialect.read_request(body, "chat")
    assert len(view.messages) == messages
    bench = Bench(baseline(), heavy=baseline, clock=time.monotonic_ns, notice_key=bytes(32))
    spent: list[float] = []
    for turn in range(times + 1):
        join = Join(
            session_id="s", branch_id="b", evidence="content_prefix", relation="retries" if turn else "opens",
            derived=True, known=messages if turn else 0, lead_known=bool(turn), trace_id=bytes(16),
            branch_span_id=bytes(8),
        )  # fmt: skip
        docket = Docket(bench, scope=b"", stateful=False, asking=Asking(session_id="s"))
        began = time.process_time()
        await docket.request("anthropic", view, lambda cut: dialect.parts(body, view, cut), join)
        docket.request_edits()
        spent.append((time.process_time() - began) * 1000)
    first, again = spent[0], sorted(spent[1:])
    return {
        "messages": messages, "bytes": len(body), "times": times, "first": first,
        "p50": percentile(again, 0.5), "p95": percentile(again, 0.95),
    }  # fmt: skip


def measured() -> dict[str, Any]:
    """All of it, printed as it comes."""
    ruleset = baseline()
    print(f"\n{POLICY}, all clauses: CPU ms a step\n{'':34}{'bytes':>9}{'p50':>9}{'p95':>9}")
    out: dict[str, Any] = {"steps": [], "growth": []}
    for row in steps(ruleset, (60, 30)):
        out["steps"].append(row)
        print(f"{row['shape']:12} {row['text']:21}{row['bytes']:9}{row['p50']:9.2f}{row['p95']:9.2f}", flush=True)
    heads = "".join(f"{head:>9}" for head in ("4 KB", "64 KB", "1 MB", "exponent"))
    print(f"\n{POLICY}, all clauses, texts made to slow it: CPU ms a step, median\n{'':34}{heads}")
    for row in growth(ruleset):
        out["growth"].append(row)
        figures = "".join(f"{figure:9.2f}" for figure in (*row["ms"], row["exponent"]))
        print(f"{row['shape']:12} {row['text']:21}{figures}", flush=True)
    again = out["resent"] = asyncio.run(resent(HISTORY, RESENT))
    print(
        f"\na history of {again['messages']} messages ({again['bytes']} bytes): judged first {again['first']:.1f} ms, "
        f"resent p50 {again['p50']:.3f} ms, p95 {again['p95']:.3f} ms"
    )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    out = measured()
    if options.json:
        options.json.write_text(json.dumps(out, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
