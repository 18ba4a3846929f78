# Two commands: `make demo` and `make test`. Each sets up .venv first; nothing else is needed.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test setup lint clean

demo: setup
	$(BIN)/thresher demo

test: setup lint
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy

setup: .venv/ready

# constraints.txt holds the versions all of this was tested with; torch first, so that nothing asks for another
.venv/ready: pyproject.toml constraints.txt setup.py $(wildcard csrc/*)
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[images,report,compare,postgres,tensorboard,dev]'
	touch $@

clean:
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
