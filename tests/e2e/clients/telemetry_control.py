"""The same validator as its library has it by default: what the recorder has to see, or its silence proves nothing."""

import sys

import tldextract
from guardrails.utils.hub_telemetry_utils import HubTelemetry
from house_validators import NoWord

result = NoWord(use_local=True).validate("probe-7", {})
HubTelemetry()._tracer_provider.force_flush(5000)
tldextract.extract("ann@example.com")
sys.exit(result.outcome != "fail")
