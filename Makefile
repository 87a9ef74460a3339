# Every target does its own set-up: Python 3.11 or later and make are all that is needed. Beside the
# environment's own mcp 2.x there is a 1.x in mcp1, for one test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# For who only looks at the package: without what the tests need, which is seven times as much.
RUNS := $(VENV)/.runs
# Compiled modules are kept, also where the environment says otherwise, as that of many containers does: the tests
# start thousands of processes, of which each would compile the library again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo console demo-replicas test-fast test test-servers test-interpreted coverage lint docs bench fault sanitize test-all clean

demo: $(RUNS)
	$(BIN)/audit-emit demo

# The demo, and then its log in a browser.
console: $(RUNS)
	$(BIN)/audit-emit demo --console

# Two replicas behind a proxy, one chain in PostgreSQL, and one of them killed (integrations/replicas/).
demo-replicas: $(STAMP)
	$(BIN)/python integrations/replicas/demo.py

# What starts no process, listens on no port, and takes less than a second of the processor (tests/support/tiers.py).
test-fast: $(STAMP)
	$(BIN)/python -m pytest -q -n auto --fast

# Everything but what starts a database, an object store or a Loki.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto -m "not server"

test-servers: $(STAMP)
	$(BIN)/python -m pytest -n auto -m server

# Without the compiled part (docs/compiled.md).
test-interpreted: $(STAMP)
	AUDIT_EMIT_SPEEDUPS=0 $(BIN)/python -m pytest -n auto -m "not server"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/basedpyright --verifytypes audit_emit --ignoreexternal >$(VENV)/types || \
	  { cat $(VENV)/types; exit 1; }

# The pages and the reference of the API, in docs/_build; a warning is an error.
docs: $(STAMP)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs docs/_build

# Lines and branches, in child processes, too, without the compiled part: what it does is not seen. A process that a
# test kills leaves no whole file of what it ran; combine says so, and goes on.
coverage: $(STAMP)
	$(BIN)/coverage erase
	AUDIT_EMIT_SPEEDUPS=0 $(BIN)/coverage run -m pytest -q -n auto -m "not untraced"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(STAMP)
	$(BIN)/python tests/bench/run.py $(BENCH)

# Everything at every place, where the tests take a sample (tests/support/sampling.py). The calls of the system take
# ten minutes; needs strace, which it does not install.
fault: $(STAMP)
	$(BIN)/python tests/faults/inject.py $(FAULT)
	AUDIT_EMIT_TEST_EXHAUSTIVE=1 $(BIN)/python -m pytest -q -n auto tests/faults

# AddressSanitizer, UBSan and a search for leaks, over the compiled part (docs/compiled.md).
sanitize: $(STAMP)
	$(BIN)/python tests/support/sanitize.py

test-all:
	$(PYTHON) tests/support/all_pythons.py

clean:
	rm -rf $(VENV) .venv-* audit_emit/_speedups*.so dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build .coverage*

NEEDED := pyproject.toml hatch_build.py $(wildcard audit_emit/_native/*)

define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "audit_emit needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
endef

$(RUNS): $(NEEDED)
	$(environment)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

$(STAMP): $(NEEDED)
	$(environment)
	@echo "What the tests need is installed, 1.7 GB; this takes some minutes"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --target $(VENV)/mcp1 \
	  'mcp<2' httpx-sse pydantic-settings
	$(BIN)/python tests/support/logql_grammar.py
	@touch $@ $(RUNS)
