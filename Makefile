# Everything happens in .venv; nothing else on the machine is touched.
# Needs Python 3.11 or later, git and make. Another Python: make PYTHON=/path/to/python3.12 test

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up

# The first Python that runs and is new enough. A name that is found may still not run (version managers).
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)

GCP := .venv-gcp
GCP_STAMP := $(GCP)/.set-up
GCP_TESTS := tests/unit/transforms/test_store_conformance.py tests/unit/transforms/test_store_cloud.py \
	tests/unit/transforms/test_bigquery_load.py tests/unit/transforms/test_key_providers.py \
	tests/unit/transforms/test_cloud_places.py \
	tests/pipeline/test_cloud_store.py tests/pipeline/test_cloud_life.py tests/pipeline/test_dataflow.py \
	tests/pipeline/test_cloud_erase_forged.py

FLINK := deploy/flink/target
FLINK_STAMP := $(FLINK)/.set-up

DEMO := demo-output
BENCH ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-gcp test-engines flink lint bench clean

help: ## List the targets.
	@sed -n 's/^\([a-z-]*\):[^#]*## /  \1\t/p' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Make .venv with the exact packages of constraints.txt.
	@echo "$(VENV) is ready. Next: source $(VENV)/bin/activate"

$(STAMP): setup.py pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found. Name one: make PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP) ## Take generated events apart, check every outcome, show the result.
	@$(BIN)/cofferdam demo --output $(DEMO)

# A file goes to one process, which makes what its tests share once; files that take longest come first.
test: $(STAMP) ## Run all tests.
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --claims

# In an environment of its own: the client libraries are many, and the others' tests start without them.
test-gcp: $(GCP_STAMP) ## Run the tests that need Google Cloud's client libraries; no account, no service.
	@$(GCP)/bin/python -m pytest -rs $(GCP_TESTS)

$(GCP_STAMP): setup.py constraints.txt deploy/dataflow/constraints.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later was found. Name one: make PYTHON=/path/to/python"; exit 1; }
	@echo "Setting up $(GCP) (a few minutes the first time)"
	@$(PYTHON) -m venv $(GCP)
	@$(GCP)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--constraint deploy/dataflow/constraints.txt --editable '.[dev,gcp,kms]'
	@touch $(GCP_STAMP)

# Without Java or Maven there is no engine to test: that is said, and is no failure.
test-engines: $(STAMP) ## Run the tests on a Flink cluster of this machine (needs java and mvn; some minutes).
	@if command -v java >/dev/null && command -v mvn >/dev/null; then \
		$(MAKE) --no-print-directory flink && \
		COFFERDAM_TEST_ENGINES=1 exec $(BIN)/python -m pytest -rs tests/engines; \
	else echo "Not tested: Flink needs java (11 or 17) and mvn, and one of them is not here."; fi

flink: $(FLINK_STAMP) ## Fetch Flink and Beam's job service for it into deploy/flink/target (needs java and mvn).

$(FLINK_STAMP): deploy/flink/pom.xml deploy/flink/requirements.txt | $(STAMP)
	@echo "Fetching Flink and Beam's job service (some 400 MB)"
	@mvn --batch-mode --quiet --file deploy/flink/pom.xml package
	@rm -rf $(FLINK)/flink
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(FLINK)/flink \
		--requirement deploy/flink/requirements.txt
	@touch $(FLINK_STAMP)

lint: $(STAMP) ## Check style, format and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP) ## Measure against a naive pipeline and DuckDB (several minutes; BENCH="--quick" for a look).
	@$(BIN)/python -m benchmarks.run $(BENCH)

clean: ## Delete .venv and whatever tools left behind.
	rm -rf $(VENV) $(GCP) $(FLINK) $(DEMO) build dist ./*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
