# make demo | test | check | docs | fuzz | bench: each works from a fresh clone with Python 3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check docs fuzz bench clean

demo: $(VENV)/base
	$(BIN)/python examples/demo.py

# One process more than there are cores: many tests wait for a process of their own to start.
WORKERS = $(shell $(BIN)/python -c "import os; print(min(8, 1 + len(os.sched_getaffinity(0))))" 2>/dev/null || echo 4)

test: $(VENV)/dev
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/docs
	JAX_PLATFORMS=cpu $(BIN)/python -m sphinx -W --keep-going -q -c docs . docs/_build/html
	@echo docs/_build/html/index.html

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/base: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/base

$(VENV)/docs: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@ $(VENV)/base

$(VENV)/fuzz: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	touch $@ $(VENV)/base

$(VENV)/bench: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[bench,keras]'
	touch $@ $(VENV)/base

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks $(ARGS)

SECONDS ?= 60

fuzz: $(VENV)/fuzz
	$(BIN)/python -m tests.fuzz all --seconds $(SECONDS) $(ARGS)

clean:
	rm -rf $(VENV) docs/_build .mypy_cache .pytest_cache .ruff_cache
