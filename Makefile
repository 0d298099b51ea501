# Every target makes what it needs; `make demo` and `make test` are the two that a newcomer runs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := admission cli gateway kvapi kvnode pgwire runtime sqlnode
STAMP := $(VENV)/.installed

.PHONY: install demo test check e2e sim proof bench bench-noisy proto lint types imports protos-fresh clean

# Compiled here, so that a start need not do it even where Python may write no bytecode.
install: $(STAMP)
	$(BIN)/python -m compileall -q $(PACKAGES)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(STAMP)

demo: install
	$(BIN)/insula demo

test: check e2e

check: install lint types imports protos-fresh
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not e2e and not long"

lint:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports --no-cache

e2e: install
	$(BIN)/python -m pytest -q -m "e2e and not long" tests/e2e

sim: install
	INSULA_SIM_SEEDS=2000 $(BIN)/python -m pytest -q -n 2 tests/sim

# Ten minutes of real clients at SERIALIZABLE and 200 kills of each process: docs/proof.md.
proof: install
	INSULA_HISTORY_S=600 $(BIN)/python -m pytest -q -s tests/e2e/test_histories.py
	INSULA_KILLS=200 $(BIN)/python -m pytest -q -s tests/e2e/test_kill.py tests/e2e/test_kv_crash.py

bench: install
	$(BIN)/python -m bench.main

# About half an hour: what neighbours notice, Insula with and without admission control, PostgreSQL.
bench-noisy: install
	$(BIN)/python -m bench.noisy.main

proto: install
	$(BIN)/python proto/generate.py

protos-fresh:
	$(BIN)/python proto/generate.py --check

clean:
	rm -rf $(VENV) build *.egg-info
