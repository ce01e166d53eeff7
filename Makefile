# Every target sets up what it needs. `make demo` and `make test` are all a newcomer has to know.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# A gateway that may not keep its bytecode compiles all of itself at every start, and tests start many.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test e2e serve dev fmt check torture bench bench-guards bench-supervisor bench-optimizer screenshots docs lock clean

help:  ## what there is
	@grep -hE '^[a-z0-9_-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing pinned dependencies into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## the main job without any key: a real agent's run through the gateway, step by step (KEEP=1 leaves it running)
	@$(BIN)/stepwarden demo $(if $(KEEP),--keep)

test: $(READY)  ## the test suite, a process a core and two more; a file's tests share one, and the gateways they start
	$(BIN)/python -m pytest -m "not e2e and not torture and not live" -n auto --maxprocesses 4 \
		--dist loadfile --no-loadscope-reorder

e2e: $(READY)  ## what needs npm clients, other environments or system packages
	$(BIN)/python tests/e2e/environments/install.py
	$(BIN)/python -m pytest -m e2e

torture: $(READY)  ## long fault campaigns; seeds are printed
	$(BIN)/python -m pytest -m torture -s --timeout 3600

serve: $(READY)  ## the gateway on 127.0.0.1:8787
	$(BIN)/stepwarden serve

dev: $(READY)  ## the gateway in front of the demo provider
	$(BIN)/stepwarden demo --keep

fmt: $(READY)  ## format the code
	$(BIN)/ruff check --fix --exit-zero --quiet .
	$(BIN)/ruff format .

check: $(READY)  ## lint, types, floors, and the contracts between code and documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/contract

bench: $(READY)  ## measure this gateway beside a bare ASGI echo and nginx (ARGS="--with litellm" adds LiteLLM's proxy)
	$(BIN)/python -m bench.run $(ARGS)

bench-guards: $(READY)  ## measure the guards: attacks, honest work, spans, cost (ARGS="--board F --data DIR")
	$(BIN)/python -m bench.guards $(ARGS)

bench-supervisor: $(READY)  ## measure a supervisor on labelled sessions: scripted, or ARGS="--live MODEL --cap-usd N" (--data DIR)
	$(BIN)/python -m bench.supervisor $(ARGS)

screenshots: $(READY)  ## take the pictures of the dashboard anew (needs chromium)
	$(BIN)/python -m tests.e2e.screenshots

bench-optimizer: $(READY)  ## measure optimizers and the gate: unseen attacks, calibration, canaries (ARGS="--data DIR")
	$(BIN)/python -m bench.optimizer $(ARGS)

docs: $(READY)  ## write the generated documents anew
	$(BIN)/python -m policies.vocabulary.registry > docs/SPANS.md
	$(BIN)/python -m gateway.cli.reference > docs/CLI.md
	$(BIN)/python -m gateway.cli.reference config > docs/CONFIG.md

lock:  ## pin everything anew, with hashes and without addresses
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra dev \
		--output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --extra guardrails --extra presidio \
		--output-file tests/e2e/environments/extras.txt pyproject.toml

clean:  ## remove what was installed and built; never what was recorded
	rm -rf $(VENV) .venvs build dist .pytest_cache .ruff_cache .hypothesis
