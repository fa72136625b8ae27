# One command each: demo, serve, test, bench, lock. Everything is set up on first use.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   ?= demo-data
SCALE  ?= 1

.PHONY: demo serve test lint tiles faults screenshots bench bench-attacks bench-disclosure attack lock clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else f"Python 3.11 to 3.13 is needed; {sys.executable} is {v[0]}.{v[1]}. Set PYTHON=python3.12, say.")'
	@echo "Setting up $(VENV) from requirements.lock (once; a few minutes) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/cohortlink demo --data $(DEMO) --scale $(SCALE)

serve: $(VENV)/.installed
	@$(BIN)/cohortlink serve --data $(DEMO)

lint: $(VENV)/.installed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/hadolint --failure-threshold style Dockerfile

# The environment of the peers is for the tests that hold ours to theirs; the identity provider for bearer tokens.
test: lint .venv-bench/.installed tests/idp/node_modules/.package-lock.json
	@$(BIN)/pytest -n 2

# The scan on AMX tiles, its machine code run by an emulator.
tiles: $(VENV)/.installed
	@tests/linkage/emulator/bochs.sh
	@TILES=full $(BIN)/pytest -q tests/linkage/test_scan_matrix.py

tests/idp/node_modules/.package-lock.json: tests/idp/package-lock.json
	@if command -v npm >/dev/null; then cd tests/idp && npm ci --silent --no-audit --no-fund; \
	else echo "No npm here: the tests against a real identity provider will be skipped."; fi

# The peers have an environment of their own: their pins contradict ours, and each other's.
.venv-bench/.installed: benchmarks/requirements.lock
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

# The faults suite in full; `make test` runs its short form.
faults: $(VENV)/.installed
	@FAULTS=full $(BIN)/pytest tests/faults

# Pictures of the pages for the guides, taken while the stories are driven in a browser.
screenshots: $(VENV)/.installed
	@SCREENSHOTS=1 $(BIN)/pytest -q tests/browser

bench: $(VENV)/.installed .venv-bench/.installed
	@$(BIN)/python -m benchmarks

bench-attacks: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.attacks
	@$(BIN)/python -m benchmarks.attacks.relatives
	@$(BIN)/python -m benchmarks.attacks.growth
	@$(BIN)/python -m benchmarks.attacks.another_secret

bench-disclosure: $(VENV)/.installed .venv-bench/.installed
	@$(BIN)/python -m benchmarks disclosure

# A long campaign of the adversary against random populations.
attack: $(VENV)/.installed
	@$(BIN)/python -m benchmarks.attack_campaign 2000

# Needs uv; the lock holds hashes and no addresses.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url \
	  --python-version 3.11 --extra dev --extra cluster --extra tracing --custom-compile-command "make lock" \
	  pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url \
	  --python-version 3.11 --custom-compile-command "make lock" --override benchmarks/overrides.txt \
	  benchmarks/requirements.in -o benchmarks/requirements.lock

clean:
	rm -rf $(VENV) .venv-bench $(DEMO) .pytest_cache .mypy_cache .ruff_cache
