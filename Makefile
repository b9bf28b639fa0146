VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

.DEFAULT_GOAL = help
# Tests that start processes without a JVM mostly wait: three of them keep two cores busy.
TEST_PROCESSES ?= 3
SIDE_BY_SIDE = --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: help setup start stop test integration check lint dashboards pictures bench soak clean

help:            ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed: setup.cfg constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cannot set up: kraftd needs Python 3.11 or newer, and this is " + sys.version.split()[0] + " (make PYTHON=python3.12)")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "cannot set up: this Python cannot make a virtual environment with pip: install python3-venv (Debian, Ubuntu)"; exit 1; }
	@echo "Installing kraftd and what it needs into $(VENV): once, about a minute"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@$(BIN)/python -m compileall -q kraftd apps
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

setup: $(VENV)/.installed  ## install everything, fetch Java and Kafka, prepare a fast start
	$(BIN)/kraftd setup

start: setup     ## start the cluster and the apps
	$(BIN)/kraftd start

stop:            ## stop them without losing a record
	$(BIN)/kraftd stop

# Three groups run side by side: what shares one cluster, what starts clusters of its own, and, after the browser's tests
# with theirs, what starts no brokers: no cluster idles beside tests that do not use it, which took a tenth of the CPU.
# The shell goes on after Ctrl-C in the background, but not after a pytest that was interrupted (2); without Chromium it
# has no tests for the browser (5).
# What measures time follows alone, from the files that have such tests: to collect all others takes 15 s.
TESTS = $(BIN)/python -m pytest --durations 10
PERF = $(shell grep -rl --include='test_*.py' 'mark\.perf' tests)

test: $(VENV)/.dev  ## run every test, those on real brokers included
	$(BIN)/kraftd setup
	@mkdir -p build; \
	{ $(TESTS) -m "not perf" tests/browser; browser=$$?; [ $$browser != 2 ] && \
	$(TESTS) -m "not perf" tests/integration tests/unit && { [ $$browser = 0 ] || [ $$browser = 5 ]; }; \
	} >build/others.log 2>&1 & others=$$!; \
	$(TESTS) -m "shared and not perf" tests/kafka >build/shared.log 2>&1 & shared=$$!; \
	$(TESTS) -m "not shared and not perf" tests/kafka; own=$$?; \
	wait $$shared; shared=$$?; cat build/shared.log; wait $$others; others=$$?; cat build/others.log; \
	[ $$own = 0 ] && [ $$shared = 0 ] && [ $$others = 0 ]
	$(TESTS) -m perf $(PERF)

integration: $(VENV)/.dev  ## run the tests that start processes, but no brokers
	$(BIN)/python -m pytest tests/integration -m "not perf" $(SIDE_BY_SIDE)

lint: $(VENV)/.dev   ## format, lint, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint      ## lint, and the unit tests: in less than a minute
	$(BIN)/python -m pytest tests/unit -m "not perf"

docs/metrics.md: $(VENV)/.installed tools/metrics_reference.py $(wildcard kraftd/serve/metrics/*.py)
	$(BIN)/python -m tools.metrics_reference > $@

dashboards: $(VENV)/.dev  ## write Grafana's dashboards again from tools/dashboards
	$(BIN)/python -m tools.dashboards

pictures: $(VENV)/.dev  ## draw the dashboards of the documentation again, from a real cluster
	$(BIN)/python -m tests.kafka.pictures

bench: $(VENV)/.dev  ## compare with the stock way
	$(BIN)/python -m bench.startup
	$(BIN)/python -m bench.recovery
	$(BIN)/python -m bench.idle
	$(BIN)/python -m bench.monitoring
	$(BIN)/python -m bench.metrics_agent

soak: $(VENV)/.dev  ## the long repetitions
	SOAK=1 $(BIN)/python -m pytest -m soak tests

clean:           ## remove what the build made; data stays
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
