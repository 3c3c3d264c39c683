# `make` or `make help` lists what there is. Only Python 3.11 or 3.12 and make are needed; the rest is set up here.
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin
ACCEPTED = import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.12 python3.11 python3; do \
	$$p -c '$(ACCEPTED)' >/dev/null 2>&1 && { echo $$p; break; }; done)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of processes: each would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format licences audit sbom bench lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

setup: $(READY) ## Make the virtual environment from the lock file, convert the models

# Nothing on standard output, which belongs to the target that needed the set-up: `export $(make services-up)` reads it.
$(READY): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 with venv is needed (Debian: apt install python3-venv)" >&2; exit 2; }
	@echo "Setting up $(VENV) with $(PYTHON): about two minutes, once" >&2
	@exec >&2; set -ex; $(PYTHON) -m venv --clear $(VENV); \
	$(BIN)/pip install --no-deps --require-hashes -r requirements-dev.lock; \
	$(BIN)/pip install --no-deps --no-build-isolation --quiet -e .; \
	$(BIN)/liveness models prepare; \
	$(BIN)/liveness models fetch || echo "Going on without the missing attack networks"
	@touch $@

demo: $(READY) ## Run the main job on an embedded broker, on real photographs
	@$(BIN)/liveness demo $(PICTURES)

# Several processes, since tests of workers wait for rebalances and deadlines half of their time. Each has its own
# services; tests that kill services are together in one. Tests without services stay in order, so that a module's fixtures
# and libraries are made in one process. Tests of real services come last and by themselves, since their deadlines are of
# a machine that does nothing else. Each part leaves out folders that have no test of its kind
# (tests/conftest.py makes sure): collecting takes as long as hundreds of tests.
SERVICES := real or embedded or local_services
test: $(READY) ## Run every test the services at hand allow
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not ($(SERVICES))" tests/unit tests/contract tests/e2e
	$(BIN)/python -m pytest -n 2 --dist loadscope -m "$(SERVICES)" --ignore tests/unit

lint: $(READY) ## Style, format, types, prose
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python .ci/prose.py
	cd deploy/local && MYPYPATH=../.. ../../$(BIN)/mypy --config-file ../../pyproject.toml --strict *.py

format: $(READY) ## Put every file in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

PRODUCTION = $(shell sed -n 's/^\([a-z0-9-]*\)==.*/\1/p' requirements.lock | sort -u)
licences: $(READY) ## List the licences of what production installs, fail on one that pyproject.toml doesn't allow
	$(BIN)/python -m piplicenses --with-system --packages $(PRODUCTION)

audit: $(READY) ## Look the installed packages up among known vulnerabilities
	$(BIN)/python .ci/audit.py

sbom: $(READY) ## Write the bill of materials of what production installs (CycloneDX)
	$(BIN)/python .ci/sbom.py dist/liveness-stream.cdx.json

bench: $(READY) ## Measure speed, bare and through the broker
	@$(BIN)/liveness bench

# Needs uv. The lock files carry hashes and no index address.
LOCK = uv pip compile pyproject.toml --universal --no-emit-index-url --generate-hashes --no-annotate \
	--python-version 3.11 --custom-compile-command 'make lock' --quiet
lock: ## Renew the lock files from pyproject.toml
	$(LOCK) -o requirements.lock
	$(LOCK) --extra demo --group dev -o requirements-dev.lock

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

include deploy/local/services.mk
