# Kasparro. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
COMPOSE := docker compose

# Start-up is mostly importing: let Python keep what it compiled, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=
RUN_PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help run test test-unit test-integration check lint format type-check bench docs clean \
        lock wheel test-wheel release-notes up down restart logs logs-db migrate shell psql

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 20

$(READY): requirements-dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Kasparro needs Python 3.11 or newer; this is $$($(BIN)/python --version). Set PYTHON=python3.11"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement requirements-uv.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements-dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

run: $(READY) ## Ingest the bundled sample sources with an embedded PostgreSQL, and serve them
	@$(BIN)/python examples/run.py --port $(RUN_PORT)

test: $(READY) ## Run every test against a real PostgreSQL, with coverage
	@$(BIN)/python -m pytest tests --numprocesses 3 --dist loadgroup --cov --cov-report=term --cov-fail-under=90

test-unit: $(READY) ## Run the tests that need no server
	@$(BIN)/python -m pytest tests/unit --numprocesses 2 --dist loadgroup

test-integration: $(READY) ## Run the tests with a real PostgreSQL and real HTTP
	@$(BIN)/python -m pytest tests/integration

check: lint type-check ## Check style, types, layers, images, compose file, workflows and deployments

lint: $(READY) ## Check style, layers, images, compose file, workflows and deployments
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache
	@if [ -e Dockerfile ]; then $(BIN)/hadolint Dockerfile; fi
	@if [ -e docker-compose.yml ]; then $(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml; fi
	@if [ -d deploy/aws ]; then $(BIN)/hadolint deploy/aws/Dockerfile && $(BIN)/cfn-lint --regions us-east-1 -- deploy/aws/*.yaml; fi
	@if [ -d deploy/gcp ]; then $(BIN)/python deploy/gcp/schema/validate.py deploy/gcp/base deploy/gcp/kasparro; fi
	@if [ -d .github/workflows ]; then \
		$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml \
		&& $(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml \
		&& PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/actionlint .github/workflows/*.yml \
		&& $(BIN)/zizmor --offline --quiet --no-progress --persona pedantic .github; fi

type-check: $(READY) ## Check types
	@$(BIN)/mypy

format: $(READY) ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## Measure loads against COPY
	@$(BIN)/python -m bench.load

docs: $(READY) ## Write the generated documents anew
	@$(BIN)/python -m kasparro.config.reference
	@$(BIN)/python -m kasparro.observe.metrics_reference

lock: $(READY) ## Resolve the dependencies anew
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra embedded --extra otel --generate-hashes --no-header \
		--no-annotate pyproject.toml --output-file requirements.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra embedded --extra otel --group dev --generate-hashes \
		--no-header --no-annotate pyproject.toml --constraint requirements.txt --output-file requirements-dev.txt
	@awk '/^[a-z]/{p=0} /^uv==/{p=1} p' requirements-dev.txt > requirements-uv.txt

wheel: $(READY) ## Build wheel and sdist into dist/, with the build tools of the lock
	@$(BIN)/uv build --quiet --clear --python $(BIN)/python --build-constraint requirements-dev.txt --require-hashes --out-dir dist
	@ls -l dist

test-wheel: $(READY) ## Test what is in dist/, and an installed copy of it
	@TEST_DIST=dist $(BIN)/python -m pytest tests/integration/release

release-notes: $(READY) ## Print the release notes of this version, or why it cannot be released
	@$(BIN)/python -m release.notes "v$$($(BIN)/python -c 'from kasparro.version import __version__; print(__version__)')"

clean: ## Remove what was made; the data of the embedded PostgreSQL stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache htmlcov .coverage* dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Secrets for docker compose, made once; `make run` takes nothing from it but API_KEY. `set -C`: never over one that is there.
.env:
	@set -C; umask 077; secret() { od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'; }; \
		: > $@ && { printf 'POSTGRES_PASSWORD=%s\nAPI_KEY=%s\nGRAFANA_PASSWORD=%s\n' "$$(secret)" "$$(secret)" "$$(secret)" >> $@ \
			|| { rm -f $@; exit 1; }; }
	@echo "Wrote .env with a new POSTGRES_PASSWORD, API_KEY and GRAFANA_PASSWORD."

# Something for the worker to do, made once. Where KASPARRO_CONFIG names another file, it is that file's matter.
kasparro.yaml:
	@if [ -n "$$KASPARRO_CONFIG" ] || grep -qsE '^(export +)?KASPARRO_CONFIG=.' .env; then exit 0; fi; \
		umask 022; set -C; \
		: > $@ && { cat $(dir $(firstword $(MAKEFILE_LIST)))src/kasparro/cli/kasparro.example.yaml >> $@ || { rm -f $@; exit 1; }; } \
		&& echo "Wrote kasparro.yaml with one source, sales: the files data/*.csv. Edit it, then: docker compose restart worker"

up: .env kasparro.yaml ## Start database, API and worker with docker compose, and wait until they are healthy
	$(COMPOSE) up --detach --build --wait

down: ## Stop and remove the containers, those of Prometheus and Grafana too; the data stays
	$(COMPOSE) --profile '*' down

restart: ## Restart the containers
	$(COMPOSE) restart

logs: ## Follow the log of API and worker
	$(COMPOSE) logs --follow api worker

logs-db: ## Follow the log of the database
	$(COMPOSE) logs --follow db

migrate: .env ## Bring the database to the schema of this version
	$(COMPOSE) run --build --rm api kasparro migrate

shell: ## Open a shell in the API's container
	$(COMPOSE) exec api sh

psql: ## Open psql on the database
	$(COMPOSE) exec db psql --username kasparro kasparro
