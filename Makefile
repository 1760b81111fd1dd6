# nnlab: `make run` opens the lab, `make check` runs every check. Both set up all they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501

.DEFAULT_GOAL := help
.PHONY: help run check test coverage lint types audit format browser lock stored

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: $(VENV)/run.done ## Open the lab in a browser
	$(BIN)/streamlit run dashboard.py --server.port $(PORT)

check: $(VENV)/check.done browser lint ## Run every check, as CI does
	@$(MAKE) --no-print-directory -j 2 test types audit # mypy takes what the tests leave of two cores

test: $(VENV)/check.done ## Run the tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

coverage: $(VENV)/check.done ## Run the tests and list the branches that none of them takes; half an hour
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(VENV)/check.done ## Check style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/check.done ## Check types
	$(BIN)/mypy

audit: $(VENV)/check.done ## Ask whether a deployed version is known to be vulnerable, where that can be asked
	@$(BIN)/python deploy/audit.py

format: $(VENV)/check.done ## Rewrite the code in the project's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

browser: ## Install Chromium for the browser tests, where it is missing
	@sh tests/install_chromium.sh

lock: $(VENV)/run.done ## Write requirements.lock anew: all packages, with hashes
	$(BIN)/python deploy/lock.py

stored: $(VENV)/run.done ## Train anew what the pages show first
	$(BIN)/python -m nnlab train --depth 10 --activation sigmoid --out nnlab/stored/sigmoid_tower.jsonl
	$(BIN)/python -m nnlab.sweep_presets
	$(BIN)/python -m nnlab.lessons
	$(BIN)/python -m nnlab.example_model
	$(BIN)/python -m nnlab papers
	$(BIN)/python -m nnlab.overlay_stored

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("nnlab needs Python 3.11 or newer: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.done: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/check.done: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/run.done
