# Everything here calls ./bootstrap, which makes the environment.  Use another one with: make check ENV=/path/to/env
ENV ?= $(shell ./bootstrap environment check)
BIN = $(ENV)/bin

.DEFAULT_GOAL := help
.PHONY: help up down status test scenario fuzz killed order parts master nodes peers check lint format types imports sizes catalogue docs unit components reproducible clean

help: ## Show this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

up: ## Start a master and a node on this machine, and order a website
	@./bootstrap up

down: ## Stop all that `up` started
	@./bootstrap down

status: ## Show what runs
	@./bootstrap status

test: ## Run the whole test suite, including the real build
	@./bootstrap test

unit: ## Run the unit tests only (about a minute)
	@$(BIN)/pytest -q tests/unit tests/architecture

scenario: ## Kill everybody at sixty seeded moments, and see that all comes true again (minutes)
	@$(BIN)/pytest -q tests/scenario

killed: ## SIGKILL at a hundred random moments of a parallel build: the store holds only what is whole (about twenty minutes)
	@HYPEROPENX_KILLED_BUILDS=$${HYPEROPENX_KILLED_BUILDS:-100} $(BIN)/pytest -q -s tests/functional/build/test_killed.py

fuzz: ## 200,000 generated requests in every dialect: no 500, no hang, no change by what is refused (about eleven minutes)
	@HYPEROPENX_FUZZ_CASES=$${HYPEROPENX_FUZZ_CASES:-200000} $(BIN)/pytest -q -n 2 tests/security/fuzz

order: ## How long an order takes, by its stages (builds the website first)
	@$(BIN)/python benchmarks/order.py

parts: ## How fast parts are built: beside `make -j` by hand and upstream's buildout, side by side, planned, cached (half an hour)
	@$(BIN)/python benchmarks/build.py

master: ## How many requests our master and slapproxy serve, and what each keeps (with the root of `make peers`; minutes)
	@$(BIN)/python benchmarks/master.py

nodes: ## How fast our node and slapgrid process 1 to 200 partitions, and how soon an order is served (with the root of `make peers`; half an hour)
	@$(BIN)/python benchmarks/node.py

peers: ## Make the root with the real SlapOS that tests/interop runs against (as root; minutes)
	@tests/interop/peers.sh make

check: lint types imports sizes catalogue docs ## Run every check below; a commit passes them all
	@echo "check: all passed"

lint: ## Style and format (ruff)
	@echo "lint"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "lint: run 'make format'" >&2; exit 1; }

format: ## Format the sources (ruff); changes files
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix-only --quiet .

types: ## Types (mypy, strict)
	@echo "types"
	@$(BIN)/mypy --no-error-summary

imports: ## Who may import whom (import-linter, with the table of the architecture)
	@echo "imports"
	@found=$$(NO_COLOR=1 $(BIN)/lint-imports --no-logo 2>&1) || { printf '%s\n' "$$found"; exit 1; }

sizes: ## Sizes, names, handlers, pages: what tests/architecture asserts
	@echo "sizes"
	@$(BIN)/pytest -q tests/architecture

catalogue: ## Checksums, layout, schemas, references of components, stacks and releases (slapos lint)
	@echo "catalogue"
	@found=$$($(BIN)/slapos lint .) || { printf '%s\n' "$$found"; exit 1; }

docs: ## Build the documentation into docs/_build/html; a warning is an error
	@echo "docs"
	@$(BIN)/sphinx-build -W --keep-going -q docs docs/_build/html

reproducible: ## Build each component again that changed since the table of the docs, or NAMES="xz curl", and compare
	@$(BIN)/python -m slapos.testing.reproducible $(NAMES)

components: ## Compile and test every component, or NAMES="xz curl" (an hour on a small machine)
	@$(BIN)/python -m slapos.testing.components $(NAMES)
	@$(BIN)/pytest -q $(if $(NAMES),$(NAMES:%=component/%/test),component)

clean: ## Remove caches and built documentation; leaves ./var alone
	@rm -rf docs/_build .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find slapos tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
