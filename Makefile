# The targets a user and a contributor need; each sets up what it needs by itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help env demo kafka test test-long test-kube bench lint readme docs lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-10s %s\n", $$1, $$2}'

env: $(STAMP) ## a virtual environment in .venv with everything

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is missing; install Python 3.11 or newer, or name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $(PYTHON) is $$($(PYTHON) -V 2>&1); logproc needs 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@if command -v uv >/dev/null; then \
	  uv venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV) \
	  && uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock \
	  && uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "error: $(PYTHON) has no venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }; \
	  $(PYTHON) -m venv $(VENV) \
	  && echo "installing the pinned dependencies (about 700 MB, once)" \
	  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock \
	  && $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi || { echo "error: the environment could not be set up; the lines above say why" >&2; exit 2; }
	@touch $@

demo: env ## a simulated mesh, collected into an embedded ClickHouse, with a report
	@$(BIN)/logproc demo

kafka: env ## a real Kafka to try things with; Ctrl-C ends it
	@$(BIN)/python -m tests.kafka.broker

lint: env ## ruff, hadolint, mypy --strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/hadolint Dockerfile && $(BIN)/mypy

test: lint ## lint, types and all tests but the long ones and those of test-kube
	@$(BIN)/pytest -n 2 --dist loadgroup -m "not long" --ignore=tests/kube

test-long: env ## the tests of minutes
	@$(BIN)/pytest -m long

test-kube: env ## tail, collector and deployment against real servers, built from the Go module proxy the first time (minutes)
	@$(BIN)/pytest -n 0 tests/kube

bench: env ## speed and memory, each beside a baseline of the same run
	@$(BIN)/python -m tests.bench $(ONLY)

readme: env ## refresh the outputs that the README shows
	@PYTHONPATH=. $(BIN)/python -m tests.readme

docs: env ## write the generated pages under docs, and outputs of the walk-throughs
	@PYTHONPATH=. $(BIN)/python -m tests.references

lock: ## pin the newest allowed versions with their hashes
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras --upgrade pyproject.toml -o requirements.lock

clean: ## remove what was built
	rm -rf $(VENV) .cache dist .mypy_cache .ruff_cache .hypothesis
