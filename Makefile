# Makefile: the commands of the project; each does what it needs on a fresh machine.

PYTHON = .venv/bin/python
SETUP = tools/setup.sh
FORMATTED = $(shell find c tests examples benchmarks -name '*.[ch]')
.DEFAULT_GOAL := help
.PHONY: help build demo demo-functions demo-gtm test matrix lint format bench asan valgrind soak clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

build: ## make .venv and build the library into the package
	@$(SETUP) build

demo: ## flights in SQLite: DataFrame, model, predictions and a picture, in output/
	@$(SETUP) demo
	@$(PYTHON) examples/flights/demo.py

demo-functions: ## a model of flights: trained as a job, asked as a service, in output/functions/
	@$(SETUP) demo-functions
	@$(PYTHON) examples/functions/demo.py

demo-gtm: ## flights in GT.M: global, DataFrame, SQL, model, predictions, in output/gtm/
	@$(SETUP) demo-gtm
	@$(PYTHON) examples/flights/demo_gtm.py

test: ## run all tests, two at a time; ARGS="-k name" passes words to pytest
	@$(SETUP) test
	@PYTHONDONTWRITEBYTECODE= $(PYTHON) -m pytest -n 2 --dist worksteal --durations 15 $(ARGS)

matrix: ## build for every installed Python 3.11 to 3.14 and run the C tests on each
	@$(SETUP) test
	@$(PYTHON) tools/matrix.py

lint: ## check style and types of Python and C
	@$(SETUP) dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/clang-format --dry-run -Werror $(FORMATTED)

format: ## put Python and C into their one form
	@$(SETUP) dev
	.venv/bin/ruff check --fix-only --quiet
	.venv/bin/ruff format
	.venv/bin/clang-format -i $(FORMATTED)

bench: ## compare the speed with the peers'; table in benchmarks/README.md
	@$(SETUP) bench
	@benchmarks/setup.sh
	@$(PYTHON) -m benchmarks.run $(ARGS)

asan: ## C tests and a SQLite session under the address and undefined sanitizers
	@$(SETUP) test
	@tools/checked.sh asan -q -n 2 --dist worksteal $(ARGS)

valgrind: ## C tests under valgrind
	@$(SETUP) valgrind
	@tools/checked.sh valgrind

soak: ## many mixed calls, after which memory has not grown; ARGS=10000000 calls
	@$(SETUP) test
	@tools/checked.sh soak $(ARGS)

clean: ## remove what was built; .venv and output/ stay
	rm -rf build dist *.egg-info .venv-matrix .mypy_cache .ruff_cache .pytest_cache
	rm -rf pybridge/libpybridge.so pybridge/elsewhere/librows.so pybridge/include pybridge/pybridge.pc pybridge/_build.json
	rm -f .venv/.stamp-build
