"""An application that is instrumented: unmodified SDKs under one span of its own, all of it told over OTLP.

    instrumented.py INSTRUMENTATION

Addresses, keys and the exporter are configured by the variables that the SDKs and OpenTelemetry read. Prints the
finished spans as JSON, with what the SDKs returned.
"""

import json
import sys
from importlib import import_module
from typing import Any

import anthropic
import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

INSTRUMENTATIONS = {
    "genai": (
        "opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",
        "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
        "opentelemetry.instrumentation.httpx:HTTPX2ClientInstrumentor",
    ),
    "openllmetry": (
        "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
        "opentelemetry.instrumentation.openai:OpenAIInstrumentor",
        "opentelemetry.instrumentation.httpx:HTTPX2ClientInstrumentor",
    ),
    "openinference": (
        "openinference.instrumentation.anthropic:AnthropicInstrumentor",
        "openinference.instrumentation.openai:OpenAIInstrumentor",
        "opentelemetry.instrumentation.httpx:HTTPX2ClientInstrumentor",
    ),
    "old names": (
        "opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",
        "opentelemetry.instrumentation.openai_v2:OpenAIInstrumentor",
        "opentelemetry.instrumentation.httpx:HTTPXClientInstrumentor",
    ),
}
QUESTION = {"role": "user", "content": "What is six times seven?"}


def called() -> dict[str, str | None]:
    """One call on each wire."""
    messages: Any = [QUESTION]
    message = anthropic.Anthropic().messages.create(model="claude-haiku-4-5", max_tokens=64, messages=messages)
    client = openai.OpenAI()
    chat = client.chat.completions.create(model="gpt-4.1-mini", messages=messages)
    found = {"anthropic": message.content[0].text, "chat": chat.choices[0].message.content}
    if sys.argv[1] != "old names":  # they knew no Responses API
        found["responses"] = client.responses.create(model="gpt-4.1-mini", input=QUESTION["content"]).output_text
    return found


def main() -> None:
    provider = TracerProvider(resource=Resource({"service.name": "instrumented"}))
    kept = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    for name in INSTRUMENTATIONS[sys.argv[1]]:
        module, _, made = name.partition(":")
        getattr(import_module(module), made)().instrument(tracer_provider=provider)
    with trace.get_tracer("the-application").start_as_current_span("answer a customer"):
        returned = called()
    flushed = provider.force_flush()
    spans = [
        {
            "name": span.name,
            "scope": span.instrumentation_scope.name if span.instrumentation_scope else "",
            "trace_id": f"{span.context.trace_id:032x}",
            "span_id": f"{span.context.span_id:016x}",
            "attributes": dict(span.attributes or {}),
        }
        for span in kept.get_finished_spans()
    ]
    print(json.dumps({"returned": returned, "flushed": flushed, "spans": spans}))


if __name__ == "__main__":
    main()
