#!/usr/bin/env bash
# Makes an environment of its own for LiteLLM's proxy, the peer that `bench.run --with litellm` measures.
#
#   bench/litellm_env.sh [DIR]          default .venvs/bench-litellm beside this checkout
#
# PYTHON should be the interpreter the gateway runs on (docs/BENCH.md, on builds of CPython). The release is the one the
# goals are stated against; LITELLM_VERSION takes another. It pins a `litellm-proxy-extras` that was never published,
# and pip then falls back to an older release by itself: so that pin, and no other, is loosened. The proxy extra lacks
# the OpenTelemetry SDK, and the auth step then retries a failing import on every request; httptools is missing too.
# Both are installed here, so that the peer is measured at its best.
set -euo pipefail
cd "$(dirname "$0")/.."
dir="${1:-.venvs/bench-litellm}"
python="${PYTHON:-python3}"
version="${LITELLM_VERSION:-1.109.1}"

install() { "$dir/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

[ -x "$dir/bin/python" ] || "$python" -m venv "$dir"
install --no-deps "litellm==$version" packaging
wanted="$("$dir/bin/python" - <<'EOF'
from importlib.metadata import requires

from packaging.requirements import Requirement

for each in map(Requirement, requires("litellm") or []):
    if each.marker is None or each.marker.evaluate({"extra": "proxy"}):
        loose = each.name == "litellm-proxy-extras"
        print(each.name if loose else f"{each.name}{'[' + ','.join(each.extras) + ']' if each.extras else ''}{each.specifier}")
EOF
)"
mapfile -t wanted <<<"$wanted"
install "${wanted[@]}" opentelemetry-sdk opentelemetry-exporter-otlp-proto-http httptools uvloop
"$dir/bin/python" -m pip list --disable-pip-version-check 2>/dev/null | grep -iE '^(litellm|fastapi|uvicorn|httptools|uvloop) '
