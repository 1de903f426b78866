# make demo   everything needed, then moments found in the shipped video, with a picture
# make page   everything needed, then the page with the shipped video open
# make test   everything needed, then the tests (make test-slow: those that take longer; make fuzz: damaged inputs)
# make audit  the pinned packages against known holes
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

# Threads that wait without spinning: torch's otherwise take the core of whoever else has work.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: install demo page test test-slow fuzz lint audit bench clean

install: $(VENV)/.dev

demo: $(VENV)/.use
	$(BIN)/videoexpert demo
	@echo 'With your own video: source $(VENV)/bin/activate && videoexpert ground VIDEO "a sentence"'

page: $(VENV)/.serve
	$(BIN)/videoexpert serve --open demo

test: $(VENV)/.dev
	$(BIN)/pytest -n auto --dist loadfile

test-slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

# Thousands of damaged inputs, from another seed with FUZZ_FIRST=20000; what is found is kept in found/.
FUZZ_CASES ?= 10000
FUZZ_FIRST ?= 0
fuzz: $(VENV)/.dev
	cd tests && for target in videos foreign beside; do \
	  ../$(BIN)/python -m fuzz.harness $$target --cases $(FUZZ_CASES) --first $(FUZZ_FIRST) --keep ../found/$$target || exit 1; \
	done

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# pip-audit where it can be had and gets an answer, else the bundled advisories.
audit: $(VENV)/.dev
	-$(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	PATH="$(CURDIR)/$(VENV)/audit/bin:$$PATH" $(BIN)/python reports/audit.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The stamps make a second call start at once; they age with the files that say what is needed.
$(VENV)/.use: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) torch
	$(PIP) -e .
	touch $@

$(VENV)/.serve: $(VENV)/.use
	$(PIP) -e '.[serve]'
	touch $@

$(VENV)/.dev: $(VENV)/.use
	$(PIP) -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
