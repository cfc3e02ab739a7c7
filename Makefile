# `make run` and `make test` need only python3 (3.11 or newer) and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# What a test writes lies in memory where there is room, as every file of a run is written through to
# the disk; and Python keeps what it compiled, which processes that tests start would compile anew.
MEMORY := $(if $(TMPDIR),,$(shell test -w /dev/shm && \
	test "`df --output=avail -k /dev/shm 2>/dev/null | tail -1`" -ge 4194304 2>/dev/null && echo /dev/shm))
TEST := env -u PYTHONDONTWRITEBYTECODE $(if $(MEMORY),TMPDIR=$(MEMORY)) \
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: run test test-slow test-all kills lint types bench bench-gpu calibrate docs findings notebooks site wheel clean

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "priorbench needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)

# The stamps are newer than what they depend on, so that a second `make run` does not reinstall.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	touch $(VENV)/.installed $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	touch $@

run: $(VENV)/.installed
	$(BIN)/priorbench run

# what one waits for: all tests but those that are marked as slow
test: $(VENV)/.installed-dev
	$(TEST) -m 'not slow'

# those: whole runs, processes of the program, clusters
test-slow: $(VENV)/.installed-dev
	$(TEST) -m slow

# every case of what these two sample, about an hour on two cores
test-all: $(VENV)/.installed-dev
	PRIORBENCH_TESTS=all PRIORBENCH_DAMAGE=all PRIORBENCH_KILLS=40 $(TEST)

# forty commands killed at random moments, about ten minutes on two cores
kills: $(VENV)/.installed-dev
	PRIORBENCH_KILLS=40 $(BIN)/pytest -q tests/cli/test_kills.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/bench.py all

# on a machine with a GPU
bench-gpu: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/bench.py devices
	$(BIN)/python benchmarks/bench.py gpu

# about fifteen minutes on two cores
calibrate: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench.py calibration --write

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/programs/generate.py

# RUNS holds one finished run for each section of docs/findings.toml and docs/real-data.toml, in a
# folder of its name; without it the pages are written from the facts that are there
findings: $(VENV)/.installed-dev
	$(BIN)/python docs/programs/findings.py $(if $(RUNS),'$(RUNS)')

# stores what the notebooks of the tutorial print now
notebooks: $(VENV)/.installed-docs
	$(BIN)/python docs/programs/notebooks.py --write

# Warnings, links to pages or anchors that are not there among them, are errors, and so are notebooks
# that print something else than what is stored in them.
site: $(VENV)/.installed-docs
	$(BIN)/python docs/programs/notebooks.py
	rm -rf build/site
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --fresh-env --quiet --jobs auto \
		--doctree-dir build/doctrees docs build/site
	@echo build/site/index.html

wheel: $(VENV)/.installed-dev
	rm -rf build/lib build/bdist.* dist
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
