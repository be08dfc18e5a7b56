# Needs Python >= 3.11 and make. Everything is installed into .venv; a second run of any target starts at once.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find openfuse_collector config -name '*.py' -o -name '*.yaml' 2>/dev/null)

.PHONY: help run test test-long fuzz hostile faults-greptimedb faults soak hygiene docs lint format types bench bench-map bench-ingestion bench-enrichment bench-updates bench-greptimedb clean

.DEFAULT_GOAL := run

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s%s\n", $$1, $$2 }' Makefile

run: $(VENV)/.installed  ## start the collector on its embedded store
	$(BIN)/openfuse-collector run $(ARGS)

test: $(VENV)/.installed-dev  ## all tests, in as many processes as there are cores, at most four
	$(BIN)/python -m pytest -n auto --maxprocesses 4 $(ARGS)

test-long: $(VENV)/.installed-dev  ## the long forms of tests: whole corpora, minutes of load, every crash point
	$(BIN)/python -m pytest -m long -s $(ARGS)

fuzz: $(VENV)/.installed-dev  ## damaged input for every parser; ARGS="--parser ingestion --executions 200000 --seed 1"
	$(BIN)/python -m tests.fuzz.run $(ARGS)

hostile: $(VENV)/.installed-dev  ## requests made to do harm, with decompression bombs of a gigabyte
	OPENFUSE_BOMB_MIB=1024 $(BIN)/python -m pytest tests/hostile $(ARGS)

faults-greptimedb: $(VENV)/.installed-dev  ## every fault of a GreptimeDB under load, about ten minutes; ARGS="--load 30 --fault 10"
	$(BIN)/python -m tests.exporters.greptimedb.fault_matrix $(ARGS)

docs: $(VENV)/.installed-dev  ## write the generated part of docs/mapping.md
	$(BIN)/python scripts/mapping_docs.py

lint: $(VENV)/.installed-dev  ## style and formatting of the sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev  ## mend what can be mended of both
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev  ## check the types
	$(BIN)/mypy --strict openfuse_collector

bench: $(VENV)/.installed-dev  ## what this machine can do, see benchmarks/README.md
	$(BIN)/python -m benchmarks.run $(ARGS)

bench-map: $(VENV)/.installed-dev  ## the mapping alone: bytes to events on one core, against parsing
	$(BIN)/python -m benchmarks.map_bench $(ARGS)

bench-ingestion: $(VENV)/.installed-dev  ## the Langfuse ingestion API: traces/s acknowledged and stored, six producers
	$(BIN)/python -m benchmarks.ingestion $(ARGS)

bench-enrichment: $(VENV)/.installed-dev  ## what tools, tokens and cost add to storing a span: collectors with and without, in turns
	$(BIN)/python -m benchmarks.enrichment $(ARGS)

bench-updates: $(VENV)/.installed-dev  ## what an update of one entity costs against updates of many
	$(BIN)/python -m benchmarks.ingestion_updates $(ARGS)

bench-greptimedb: $(VENV)/.installed-dev  ## writing to GreptimeDB: its double on the same machine, rows/s by table, cost of encoding
	$(BIN)/python -m benchmarks.greptimedb $(ARGS)

hygiene: $(VENV)/.installed-dev  ## all tests in random order on two processes: development mode with warnings as errors, then asyncio's own event loop
	PYTHONDEVMODE=1 PYTHONWARNINGS=error $(BIN)/python -X dev -W error -m pytest -p randomly -n 2 $(ARGS)
	OPENFUSE_EVENT_LOOP=asyncio $(BIN)/python -m pytest -p randomly -n 2 $(ARGS)

faults: $(VENV)/.installed-dev  ## every fault test in its long form, and the table of their figures
	$(BIN)/python -m pytest tests/faults -m faults --junitxml=build/faults.xml -o junit_family=xunit1 || true
	$(BIN)/python -m tests.faults.figures build/faults.xml

soak: faults  ## every fault test in its long form, then two hours of steady load; ARGS="--minutes 10"
	$(BIN)/python -m benchmarks.soak $(ARGS)

clean:  ## remove everything that was built here; the store and the journal stay
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "Python >= 3.11 is needed: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Installing into $(VENV), once. This takes a moment."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# The first run installs; a run after an edit of the sources reinstalls only this package.
$(VENV)/.dependencies: $(VENV)/.created pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	@test -e $(VENV)/.installed-dev || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
	@touch $@

# Editable, so that an edit needs no installation at all.
$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(VENV)/.dependencies $(VENV)/.installed $@
