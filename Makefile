# Two commands do everything on a fresh machine with Python 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint types install clean

demo: install
	$(BIN)/satsqueeze demo --out runs/demo

# One thread for each of two processes: two threads each would wait for one another.
test: export OMP_NUM_THREADS := 1
test: install lint types
	$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: install
	$(BIN)/ruff check src tests scripts benchmarks
	$(BIN)/ruff format --check src tests scripts benchmarks

types: install
	$(BIN)/mypy

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,fast,dev]'
	touch $(STAMP)

clean:
	rm -rf $(VENV) build dist src/*.egg-info
