"""CPU per stored exchange and disk per session: `python bench/storage_micro.py`. Prints; keeps nothing."""

import hashlib
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from policies.vocabulary.exchanges import Body, Cut, Exchange, Recording
from policies.vocabulary.sessions import Join
from policies.vocabulary.steps import Step
from policies.vocabulary.usage import Usage
from storage.store import Store

START_NS = 1_763_900_000_000_000_000
WORDS = [*Path(__file__).read_text(encoding="utf-8").split(), *(f"item{n}" for n in range(500))]


def text(rng: random.Random, size: int) -> str:
    out = ""
    while len(out) < size:
        out += f"{rng.choice(WORDS)} "
    return out[:size]


def body(messages: list[str]) -> tuple[bytes, tuple[Cut, ...]]:
    raw, cuts = b'{"model":"m-1","max_tokens":1024,"messages":[', list[Cut]()
    for place, message in enumerate(messages):
        raw += b"," if place else b""
        piece = json.dumps({"role": "user", "content": message}).encode()
        cuts.append((len(raw), len(raw) + len(piece), True))
        raw += piece
    return raw + b'],"stream":true}', tuple(cuts)


def recording(number: int, rng: random.Random, messages: list[str], session: str) -> Recording:
    raw, cuts = body(messages)
    reply = json.dumps({"id": f"msg_{number}", "content": text(rng, 900)}).encode()
    at = START_NS + number * 1_000_000
    exchange_id = f"01JXBENCH{number:017d}"
    join = Join(
        session_id=session,
        branch_id=f"B-{session}",
        evidence="content_prefix",
        relation="continues",
        derived=True,
        known=max(0, len(messages) - 2),
        trace_id=rng.randbytes(16),
        branch_span_id=rng.randbytes(8),
    )
    exchange = Exchange(
        exchange_id=exchange_id,
        join=join,
        app="bench",
        provider="anthropic",
        dialect="anthropic",
        operation="chat",
        method="POST",
        path="/v1/messages",
        outcome="complete",
        status=200,
        upstream_status=200,
        started_ns=at,
        upstream_started_ns=at + 1000,
        first_byte_ns=at + 5000,
        ended_ns=at + 9000,
        model_requested="m-1",
        model="m-1",
        response_id=f"msg_{number}",
        finish_reasons=("tool_use",),
        usage=Usage(input_tokens=1000, output_tokens=100),
        cost_micro_usd=4500,
        client="bench/1.0 (python)",
        server_span_id=rng.randbytes(8),
        client_span_id=rng.randbytes(8),
    )
    kinds = ("tool_result", "model_text", "tool_call")
    steps = tuple(
        Step(
            step_id=f"{exchange_id}.{seq:04d}",
            exchange_id=exchange_id,
            session_id=session,
            branch_id=f"B-{session}",
            seq=seq,
            kind=kind,
            fidelity="witnessed",
            side="response" if seq else "request",
            cut=None if seq else len(cuts) - 1,
            pointer=f"/content/{seq}",
            call_id=f"toolu_{number}" if kind != "model_text" else None,
            tool="search" if kind != "model_text" else None,
            size=400,
            started_ns=at,
            ended_ns=at,
            span_id=rng.randbytes(8),
        )
        for seq, kind in enumerate(kinds)
    )
    return Recording(
        exchange=exchange,
        request=Body(raw=raw, length=len(raw), cuts=cuts, media_type="application/json"),
        response=Body(raw=reply, length=len(reply), media_type="application/json"),
        steps=steps,
        state=rng.randbytes(16),
        reply_fingerprint=rng.randbytes(16),
    )


def per_exchange(store: Store, batches: list[list[Recording]]) -> list[float]:
    took: list[float] = []
    for batch in batches:
        before = time.process_time_ns()
        store.append(batch)
        took.append((time.process_time_ns() - before) / len(batch) / 1000)
    return took


def report(name: str, took: list[float]) -> None:
    middle, best = statistics.median(took), min(took)
    print(f"{name}: median {middle:.0f} us, best {best:.0f} us, in yardsticks {best / yardstick():.1f}")


def on_disk(name: str, folder: Path, exchanges: int) -> None:
    total = sum(path.stat().st_size for path in folder.iterdir())
    spans = sum(path.stat().st_size for path in folder.glob("spans-*"))
    print(f"{name}: {total / exchanges:.0f} bytes on disk per exchange, {spans / exchanges:.0f} of them its span row")


def growing(rng: random.Random, sessions: int, turns: int, size: int) -> list[list[Recording]]:
    """Sessions that each add two messages at every turn; one exchange of each in a batch."""
    histories = [[text(rng, size)] for _ in range(sessions)]
    made: list[list[Recording]] = []
    for turn in range(turns):
        made.append([recording(turn * sessions + n, rng, history, f"S{n:05d}") for n, history in enumerate(histories)])
        histories = [[*history, text(rng, size), text(rng, size)] for history in histories]
    return made


def yardstick() -> float:
    """CPU microseconds of one SHA-256 over 64 KB here and now: about 40 on an idle core of 2023."""
    data = bytes(65536)
    took: list[int] = []
    for _ in range(200):
        before = time.process_time_ns()
        hashlib.sha256(data).digest()
        took.append(time.process_time_ns() - before)
    return statistics.median(took) / 1000


def main() -> None:
    print(f"yardstick: SHA-256 over 64 KB takes {yardstick():.0f} us of CPU")
    rng = random.Random(7)
    folder = Path(os.environ.get("BENCH_DIR", tempfile.mkdtemp()))
    small = [[recording(b * 50 + n, rng, [text(rng, 900)], f"S{b * 50 + n:05d}") for n in range(50)] for b in range(60)]
    store = Store.open(folder / "small")
    report("1 KB exchange, batches of 50, every one a new session", per_exchange(store, small))
    store.close()
    on_disk("the same", folder / "small", 3000)

    store = Store.open(folder / "growing")
    report(
        "1 to 12 KB exchange, two new messages each, batches of 50", per_exchange(store, growing(rng, 50, 20, 300))[1:]
    )
    store.close()
    on_disk("the same", folder / "growing", 1000)

    history = [text(rng, 1450) for _ in range(40)]
    known = [[recording(b * 50 + n, rng, history, "S1") for n in range(50)] for b in range(20)]
    store = Store.open(folder / "known")
    report("60 KB exchange, 40 known messages, batches of 50", per_exchange(store, known)[1:])
    store.close()


if __name__ == "__main__":
    main()
