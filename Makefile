# Two commands do everything: `make quickstart` (the main job) and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: quickstart test fuzz lint interrupted-study design-example published transformers-table equal-footing wheel clean

quickstart: $(VENV)/ready
	$(BIN)/vlmkit run specs/quickstart.yaml

test: $(VENV)/ready
	$(BIN)/pytest -n 2 --dist worksteal

fuzz: $(VENV)/ready  # twenty times as many mutated inputs as `make test`, other ones each time; about an hour
	VLMKIT_FUZZ=20 $(BIN)/pytest -n 2 --dist worksteal tests/fuzz

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

interrupted-study: $(VENV)/ready  # a small study, left alone and killed three times: the same table, nothing trained twice
	$(BIN)/python .ci/interrupted_study.py

design-example: $(VENV)/ready  # designs of a small STAB: the Pareto front, four of it trained for a minute each, and ranked
	$(BIN)/vlmkit design specs/designs/moving-shapes-stab-tiny.yaml
	$(BIN)/vlmkit ablate runs/moving-shapes-stab-tiny/study.yaml
	$(BIN)/vlmkit rank runs/moving-shapes-stab-tiny/study.yaml

published: $(VENV)/ready  # numbers of public systems made again from their own answers, which lie in ../shared
	$(BIN)/vlmkit answers reproduce --from ../shared --to docs/published.md

transformers-table: $(VENV)/ready  # which of transformers' ways work, by running each
	$(BIN)/python -m tests.integration.test_transformers_table

equal-footing: $(VENV)/ready  # all systems side by side: parameters, tokens, operations, times on this machine
	$(BIN)/vlmkit bench systems

wheel: $(VENV)/ready
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vlmkit needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) dist
