# One verb a chore. Needs Python 3.11 or later, make, and a package index.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Without bytecode every start of Python compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install up demo test check fmt bench lock clean

help: ## say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

install: $(STAMP) ## everything into .venv, at the locked versions

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Tachograph needs Python 3.11 or later: make install PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: install ## collector and dashboard on the embedded engine, until Ctrl-C
	$(BIN)/tacho up

demo: install ## the same, with runs of the demo agents to look at
	$(BIN)/tacho demo --up

test: install ## all tests, in WORKERS processes (2)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: install ## format, lint, types, import star: what CI asks before the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: install ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install ## the benchmarks, as ratios; see docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks

# The wheels of claude-agent-sdk bring its CLI along, 170 MB that no test needs; its source does not.
lock: ## choose versions anew and write requirements.lock
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet --upgrade --no-binary claude-agent-sdk --emit-build-options -o requirements.lock

clean: ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
