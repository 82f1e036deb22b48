# Every target installs what it needs; none leans on what an earlier one left behind.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
LOCK = uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header

.PHONY: help install demo serve test test-unit test-long diff-kube diff-karmada lint format bench openapi generate chart lock clusters clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

install: $(VENV)/.installed ## Make .venv with kafila in it

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@echo "Installing $$(grep -c '==' requirements-dev.lock) packages into $(VENV) (a minute or two, once)"
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q app  # every start would do it where PYTHONDONTWRITEBYTECODE is set
	@touch $@

demo: install ## Start everything with simulated members and propagate examples/nginx
	$(BIN)/kafila demo $(ARGS)

serve: install ## Start a control plane in .data
	$(BIN)/kafila serve $(ARGS)

clusters: install ## Build the real member clusters that tests use (once, into a cache outside the repository)
	tests/clusters/build.sh

test: install lint clusters ## All tests that belong to every change (three processes: much of it waits for others)
	$(BIN)/python -m pytest -m "not long" -n 3 --no-loadscope-reorder $(ARGS)

test-unit: install ## The tests that need nothing but Python
	$(BIN)/python -m pytest -m "not long" -n 2 tests/unit $(ARGS)

test-long: install ## The tests that take long
	tests/clusters/build.sh --older
	$(BIN)/python -m pytest -m long $(ARGS)
	KAFILA_TEST_FEATURE_GATES=AllAlpha=true,AllBeta=true $(BIN)/python -m pytest -m "not long" tests/integration/reconcile

diff-kube: install clusters ## The same requests to kube-apiserver and to kafila: each difference, and the score
	PYTHONPATH=$(CURDIR)/app:tests $(BIN)/python -m differential $(ARGS)

lint: install ## Format, style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install clusters ## Print the figures of docs/performance.md
	$(BIN)/python bench/run.py $(ARGS)

diff-karmada: install clusters ## Compare with Karmada's answers, recorded or asked anew (tests/differential/karmada)
	$(BIN)/python tests/differential/karmada/run.py $(ARGS)

openapi: install ## Export the published specification into openapi/, and what objects hold into placement/types.py
	$(BIN)/python hack/export_openapi.py openapi
	$(BIN)/python -m hack.typed_dicts

generate: install ## Derive anew what comes from Kubernetes, at the version in app/kafila/catalog/version.py (needs Go)
	$(BIN)/python -m hack.generate

chart: install clusters ## Render deploy/chart into what `kafila init` puts into a cluster
	PYTHONPATH=$(CURDIR) $(BIN)/python -m hack.chart

lock: ## Pin what pyproject.toml asks for, keeping the versions that still fit (needs uv)
	$(LOCK) --group dev --output-file requirements-dev.lock
	cp requirements-dev.lock requirements.lock
	$(LOCK) --output-file requirements.lock

clean: ## Remove what install and serve made here
	rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
