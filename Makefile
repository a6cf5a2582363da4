# Every target works on a fresh clone: the first one called creates .venv from requirements.lock.
# Needs Python >= 3.11 and a C compiler. `uv` is used where it is found, plain pip otherwise.

.DEFAULT_GOAL := help
.PHONY: help install demo test check format bench false-alarms lock clean

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python, \
    $(if $(shell $(name) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(name))))
UV ?= $(shell command -v uv 2>/dev/null)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
PYTEST_ARGS ?=

help: ## Say what each target does
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

install: $(INSTALLED) ## Create .venv with everything in requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or newer is needed: install it, or say where it is: make PYTHON=/path/to/python3 ...' >&2; exit 2; }
	@echo "Installing into $(VENV) (once; a minute or two without a cache) ..."
ifneq ($(UV),)
	@$(UV) venv --quiet --clear --no-project --python "$(PYTHON)" $(VENV)
	@$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes --requirement requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif
	@$(BIN)/python -m compileall -q controller # the first commands start as fast as later ones
	@touch $@

demo: $(INSTALLED) ## Roll out and roll back on real market data, in about a minute
	@$(BIN)/rollout demo

test: $(INSTALLED) ## Every test (PYTEST_ARGS=... passes arguments on)
	@$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

check: $(INSTALLED) ## Format, lint, types and the arrows between the rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED) ## Rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(INSTALLED) ## The figures of the README, measured on this machine
	@$(BIN)/python -m benchmarks

false-alarms: $(INSTALLED) ## The table of docs/statistics.md, measured anew (minutes)
	@$(BIN)/python -m benchmarks.false_alarms --write

lock: ## Resolve requirements.lock anew (needs uv)
	@test -n "$(UV)" || { echo 'uv is needed to resolve: python3 -m pip install uv' >&2; exit 2; }
	@UV_CUSTOM_COMPILE_COMMAND="make lock" $(UV) pip compile pyproject.toml --group dev --universal \
	    --python-version 3.11 --generate-hashes --no-emit-index-url --quiet --output-file requirements.lock

clean: ## Remove .venv and every cache
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .rollout
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
