# `make run` and `make test` need only python3 (3.11 or newer) and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: run test kills lint types bench bench-gpu calibrate docs findings site wheel clean

# The stamp is newer than what it depends on, so that a second `make run` does not reinstall.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "priorbench needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable '.[dev]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(INSTALL) --editable '.[docs]'
	touch $@

run: $(VENV)/.installed
	$(BIN)/priorbench run

test: $(VENV)/.installed-dev
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

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
	$(BIN)/python benchmarks/bench.py gpu

# about fifteen minutes on two cores
calibrate: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/bench.py calibration --write

docs: $(VENV)/.installed-dev
	$(BIN)/python docs/generate.py

# RUNS holds one finished run for each section of docs/findings.toml, in a folder of its name
findings: $(VENV)/.installed-dev
	$(BIN)/python docs/findings.py '$(RUNS)'

# warnings, links to pages or anchors that are not there among them, are errors
site: $(VENV)/.installed-docs
	rm -rf build/site
	$(BIN)/sphinx-build --fail-on-warning --keep-going --nitpicky --fresh-env --quiet --jobs auto \
		--doctree-dir build/doctrees docs build/site
	@echo build/site/index.html

wheel: $(VENV)/.installed-dev
	rm -rf build/lib build/bdist.* dist
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
