"""Spans a second that a gateway takes at `/v1/traces` on one core, durably, and what it does beyond its room.

    python -m bench.ingest [--requests N] [--spans N] [--json F]

The gateway has core 1 for itself, the senders core 0. A span is a chat call with messages, 1 KB on the wire. Figures:
spans by wall clock, and spans by second of the gateway's CPU, which other load on the machine hardly changes. Every
acknowledged span is looked for on the disk afterwards, of a gateway that was killed.
"""

import argparse
import gzip
import json
import os
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.conditions import conditions
from bench.pin import pin
from bench.processes import cpu_seconds
from gateway.cli.running import RunningGateway

TEXT = "It is sunny in this city, and it will stay so for the rest of the week. " * 8
GOAL = 5_000
SENDERS = 4


def body(spans: int) -> bytes:
    """A request of an exporter's batch, with ids nobody had before."""
    request: Any = ExportTraceServiceRequest()
    told = request.resource_spans.add()
    told.resource.attributes.add(key="service.name").value.string_value = "bench"
    scope = told.scope_spans.add()
    now = time.time_ns()
    for number in range(spans):
        span = scope.spans.add(trace_id=os.urandom(16), span_id=os.urandom(8), name=f"chat model-{number % 7}", kind=3)
        span.start_time_unix_nano, span.end_time_unix_nano = now - 1_000_000, now
        for key, value in (
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "anthropic"),
            ("gen_ai.request.model", "model-1"),
            ("gen_ai.conversation.id", f"conversation-{number}"),
            ("gen_ai.input.messages", f'[{{"role":"user","content":"{number} {TEXT}"}}]'),
        ):
            span.attributes.add(key=key).value.string_value = value
        for key in ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"):
            span.attributes.add(key=key).value.int_value = number
    return request.SerializeToString()


def send(url: str, bodies: Sequence[bytes], headers: Mapping[str, str]) -> Counter[int]:
    """Send every body once from several connections; how many were answered with which status."""
    statuses: Counter[int] = Counter()
    waiting = list(bodies)

    def sender() -> None:
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        while waiting:
            try:
                one = waiting.pop()
            except IndexError:
                return
            connection.request("POST", "/v1/traces", one, dict(headers))
            answer = connection.getresponse()
            answer.read()
            statuses[answer.status] += 1

    threads = [threading.Thread(target=sender) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def on_disk(data: Path) -> int:
    """How many spans there are."""
    count = 0
    for path in data.glob("reported-*.db"):
        connection = sqlite3.connect(path)
        count += connection.execute("SELECT count(*) FROM span").fetchone()[0]
        connection.close()
    return count


def measured(bodies: Sequence[bytes], spans: int, headers: Mapping[str, str], settings: Mapping[str, str]) -> Any:
    """One gateway under the load, killed at its end."""
    with tempfile.TemporaryDirectory() as folder:
        pin(1)
        with RunningGateway(Path(folder), settings) as gateway:
            pin(0)
            warm = {"content-type": "application/x-protobuf"}
            assert send(gateway.url, [body(1)], warm) == {200: 1}
            before, began = cpu_seconds(gateway.pid), time.monotonic()
            statuses = send(gateway.url, bodies, headers)
            took, cpu = time.monotonic() - began, cpu_seconds(gateway.pid) - before
            os.kill(gateway.pid, 9)
            acknowledged = statuses[200] * spans + 1
            lost = acknowledged - on_disk(gateway.data_dir)
    return {
        "requests": len(bodies),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "seconds": round(took, 2),
        "spans_per_second": round(statuses[200] * spans / took),
        "spans_per_cpu_second": round(statuses[200] * spans / cpu),
        "acknowledged_and_lost": lost,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100)
    parser.add_argument("--spans", type=int, default=512, help="of a request; the SDK's batches have 512")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    pin(0)
    bodies = [body(options.spans) for _ in range(options.requests)]
    plain = {"content-type": "application/x-protobuf"}
    packed = {**plain, "content-encoding": "gzip"}
    small = {"STEPWARDEN_LIMITS__QUEUE_BYTES": str(len(bodies[0]))}
    found = {
        "bytes_per_span": len(bodies[0]) // options.spans,
        "protobuf": measured(bodies, options.spans, plain, {}),
        "protobuf, gzip": measured([gzip.compress(each, 6) for each in bodies], options.spans, packed, {}),
        "protobuf, room for one request": measured(bodies, options.spans, plain, small),
    }
    found["reached"] = found["protobuf"]["spans_per_cpu_second"] >= GOAL
    print(json.dumps(found, indent=2))
    if options.json:
        options.json.write_text(json.dumps({"conditions": conditions("otlp"), "found": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
