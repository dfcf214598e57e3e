# Everything that people and CI run. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# CAUTION: only `clean` removes anything, and never the data in .zhihui.
REMOVED := $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A service is many short processes; each would compile all of the sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check bench hotload adversity simulate fuzz schema lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp ## Play the sample days of all packs and a city's year through the service, and check them
	@$(BIN)/zhihui demo

test: $(VENV)/.stamp ## Run all tests, on real servers that they start themselves
	@$(BIN)/pytest -n logical --maxprocesses 4 --dist loadfile

check: $(VENV)/.stamp ## Lint, check the format and the types, and the rules of the house
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/pytest -q tests/tidy
	@$(BIN)/python -m tests.security.dependencies

bench: $(VENV)/.stamp ## Measure payments per second beside an honest baseline
	@$(BIN)/zhihui bench

hotload: $(VENV)/.stamp ## Prove that versions of packs come and go under load without harm
	@$(BIN)/zhihui bench hotload

adversity: $(VENV)/.stamp ## Kill, stop and cut off nodes and servers under load, three times
	@$(BIN)/zhihui bench adversity --runs 3

simulate: $(VENV)/.stamp ## Play 1,000 days in which everything goes wrong, and check each against a model
	@$(BIN)/zhihui simulate $(SIMULATE)

fuzz: $(VENV)/.stamp ## Give a million inputs to the edges
	@$(BIN)/python -m tests.fuzz

schema: $(VENV)/.stamp ## Write AsyncAPI and JSON Schema files to build/schema
	@$(BIN)/zhihui schema

lock: ## Resolve the dependencies again into requirements.lock (needs uv)
	@uv pip compile pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-emit-index-url --quiet --upgrade -o requirements.lock

clean: ## Remove the virtual environment, what was built, and caches
	@echo "removing: $(wildcard $(REMOVED)) and __pycache__"
	@rm -rf $(REMOVED)
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -e .zhihui ]; then echo "kept: .zhihui, which holds data; remove it yourself if you mean to"; fi

# Nothing is resolved here: the lock names every file by its hash. The build of our own package
# needs no network, because its build tools are in the lock as well.
$(VENV)/.stamp: requirements.lock pyproject.toml
	@python=$${PYTHON:-}; \
	for candidate in $${python:-python3 python3.13 python3.12 python3.11}; do \
		if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$candidate; break; \
		fi; \
		python=; \
	done; \
	if [ -z "$$python" ]; then \
		echo "zhihui needs Python 3.11 or newer, and none was found. Name one: make PYTHON=/path/to/python3" >&2; \
		exit 1; \
	fi; \
	echo "installing into $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV)
	@$(PIP) install --root-user-action=ignore --require-hashes -r requirements.lock
	@$(PIP) install --root-user-action=ignore --no-deps --no-build-isolation --editable .
	@touch $@
