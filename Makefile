# Carillon's commands. Each sets up what it needs; a warm set-up takes no time.

.PHONY: help setup build dev test contract fuzz bench check deploy

help: ## What there is to make
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the tools into this checkout
	@scripts/setup

build: setup ## Build the Worker into build/
	@scripts/build-worker

dev: setup ## Serve on http://localhost:8787 (PORT=, STATE_DIR=), with two demonstration tenants
	@scripts/dev

test: build ## Run every test (ARGS= goes to cargo test)
	@scripts/test $(ARGS)

contract: build ## Hold the Worker to its OpenAPI documents, with schemathesis
	@scripts/contract $(ARGS)

fuzz: ## Fuzz what reads bytes from outside (ARGS= seconds for each, and targets by name)
	@scripts/fuzz $(ARGS)

bench: build ## Run the benchmarks (ARGS= goes to them)
	@scripts/bench $(ARGS)

check: setup ## Format and lints, for the host and for the Worker; licences and versions of dependencies
	@scripts/check

deploy: setup ## Deploy to Cloudflare
	@scripts/deploy
