# The verbs of this project; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/pytest
# What tests run, and the Debian packages that have it; the last is for the browser's driver.
PROGRAMS := chromium age curl zstd ssh xz jq ip ccache nft gcc
PACKAGES := chromium age curl zstd openssh-client xz-utils jq iproute2 ccache nftables gcc \
    binutils libatomic1

# Tests start our programs hundreds of times: each would compile all its modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test venv lint unit browser lab lab-all system golden screenshots bench bench-gateway \
    bench-distribution bench-orchestrator bench-plan lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/ready ## start the lab's nine hosts, converge them, check them, show them
	@$(BIN)/python -m lab.demo

test: lint system unit browser lab ## lint, types, and all tests but the long ones in the lab (make lab-all)

venv: $(VENV)/ready ## install the Python packages into .venv

lint: $(VENV)/ready ## format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .

unit: $(VENV)/ready ## the tests that need neither network nor lab
	$(PYTEST) -n auto --dist loadfile tests/unit tests/golden

browser: $(VENV)/ready ## the orchestrator's pages in a real browser, which has to be installed
	$(PYTEST) -rs tests/browser

system: ## install what tests need of the system, a browser above all; on Debian, as root
	@(for program in $(PROGRAMS); do command -v $$program || exit; done && \
	    ls /usr/lib/*/libatomic.so.1) >/dev/null 2>&1 || sh ./bootstrap $(PACKAGES) || \
	    echo "without them some tests are skipped, and others say what they miss" >&2

lab: $(VENV)/ready ## the tests that need the lab (root on Linux), without those that take minutes each
	$(PYTEST) --durations=60 -m "not long" --ignore=tests/lab/own tests/lab

lab-all: $(VENV)/ready ## all tests in the lab, those of the lab itself too: more than an hour on two processors
	$(PYTEST) --durations=60 tests/lab

golden: $(VENV)/ready ## write the golden files and the docs' pictures of the fleet anew; read the difference
	$(BIN)/python -m tests.golden.update

screenshots: $(VENV)/ready ## photograph the pages for docs/img
	$(BIN)/python -m tests.browser.screenshots

bench: $(VENV)/ready ## ours, stock pyinfra, Ansible, bare ssh: a run that changes nothing, a first run
	$(BIN)/python -m bench.noop
	$(BIN)/python -m bench.ansible
	$(BIN)/python -m bench.gateway

bench-gateway: $(VENV)/ready ## many streams at once: through the metering gateway, and direct
	$(BIN)/python -m bench.gateway

bench-distribution: $(VENV)/ready ## a file to every host over slow links: scp, ours, with a relay; needs root on Linux
	$(BIN)/python -m bench.distribution

bench-orchestrator: $(VENV)/ready ## the pages while fifty agents work: how quickly they come, how memory grows; needs Linux
	$(BIN)/python -m bench.orchestrator

bench-plan: $(VENV)/ready ## a dry run over 15, 30 and 60 hosts that only pretend: time and memory; needs Linux
	$(BIN)/python -m bench.plan60

lock: $(VENV)/ready ## choose the versions of all Python packages anew
	$(BIN)/pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --extra dev --generate-hashes --strip-extras \
	    --allow-unsafe --no-header --no-annotate --no-emit-options --no-emit-index-url \
	    --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header \
	    --no-annotate --no-emit-options --no-emit-index-url --no-emit-find-links \
	    --no-emit-trusted-host --output-file bench/ansible.requirements.lock bench/ansible.requirements.in

clean: ## take the lab down and remove what was built here; the caches outside stay
	-[ ! -x $(BIN)/fleet ] || $(BIN)/fleet lab destroy
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis build

$(VENV)/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "agentfleet needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || sh ./bootstrap python3-venv
	@echo "Installing the Python packages of requirements.lock into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
