# Everything a person does with this repository. Needs Python 3.11 or newer and make; each target sets itself up:
# .venv is made and filled from the lock when the lock, pyproject.toml or this file is newer than the stamp.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: help demo test test-faults check bench lock

help:  ## these lines
	@sed -n 's/^\([a-z-]*\):.*##  */\1\t/p' $(MAKEFILE_LIST) | expand -t 13

demo: $(STAMP)  ## 60 days of a simulated shop, live, under a minute
	@$(BIN)/shoal demo

test: $(STAMP)  ## the tests; the first time Java and Kafka are fetched for them
	@$(BIN)/python -m tests.support.kafka.install
	@$(BIN)/pytest $(ARGUMENTS)

test-faults: $(STAMP)  ## every fault there is a test for, and a soak of SOAK_SECONDS (60)
	@$(BIN)/python -m tests.support.kafka.install
	@$(BIN)/pytest -m "" tests/kafka $(ARGUMENTS)

check: $(STAMP)  ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(STAMP)  ## the core's speed and memory, under five minutes
	@$(BIN)/shoal bench core

lock: $(STAMP)  ## write requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --upgrade \
	    --no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock

$(STAMP): requirements.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Shoal needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing into .venv from requirements.lock"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "Compiling the engine, which is kept for later runs"
	@$(BIN)/shoal definitions test worker/files/definitions/demo.yaml > /dev/null
	@touch $(STAMP)
