#!/usr/bin/env bash
# Makes an environment of its own for LiteLLM's proxy, the peer that `bench.run --with litellm` measures.
#
#   bench/litellm_env.sh [DIR]          default .venvs/bench-litellm beside this checkout
#
# The proxy extra lacks the OpenTelemetry SDK, and the auth step then retries a failing import on every request;
# httptools is missing too. Both are installed here, so that the peer is measured at its best.
set -euo pipefail
cd "$(dirname "$0")/.."
dir="${1:-.venvs/bench-litellm}"
python="${PYTHON:-python3}"
version="${LITELLM_VERSION:-}"

[ -x "$dir/bin/python" ] || "$python" -m venv "$dir"
"$dir/bin/python" -m pip install --quiet --disable-pip-version-check \
    "litellm[proxy]${version:+==$version}" opentelemetry-sdk opentelemetry-exporter-otlp-proto-http httptools uvloop
"$dir/bin/python" -m pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(litellm|fastapi|uvicorn|httptools|uvloop) '
