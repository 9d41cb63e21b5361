# Everything a contributor types. Root installs what is missing; others are told in one line.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := keepalived haproxy libpcap0.8 tcpdump tshark iproute2 nftables procps python3-venv prometheus prometheus-alertmanager
TOOLS := keepalived haproxy tcpdump tshark ip nft promtool prometheus-alertmanager

.PHONY: help demo run test test-all check format bench accuracy golden docs pictures system clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv system ## Watch the original bug happen and be named (root, under two minutes)
	@$(BIN)/python -m tests.demo

run: .venv ## Watch this machine's interfaces
	$(BIN)/vrrp-observer run

test: .venv system ## Every test that fits in ten minutes
	$(BIN)/python -m pytest -m "not slow"

test-all: .venv system ## Every test
	$(BIN)/python -m pytest

check: .venv ## Style, types, import contracts, generated docs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python dashboards/build.py --check

format: .venv ## Rewrite to style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv system ## Measure, and write docs/performance.md
	$(BIN)/python -m tests.bench

accuracy: .venv ## Verdicts on every case, from every vantage point, whole and degraded; writes docs/accuracy.md
	$(BIN)/python -m tests.accuracy

golden: .venv ## Write the machine-written verdicts and expositions anew; read the difference before you commit it
	$(BIN)/python -m tests.golden
	REWRITE_GOLDEN=1 $(BIN)/python -m pytest -q tests/sinks

docs: .venv ## Write the generated docs and dashboards
	$(BIN)/python docs/generate.py
	$(BIN)/python dashboards/build.py

pictures: .venv system ## Pictures of the dashboards over a storm in the lab (root; npm and Chromium)
	$(BIN)/python tests/dashboards/pictures.py

.venv: pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv 2>/dev/null || { $(MAKE) --no-print-directory system && $(PYTHON) -m venv .venv; }
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch .venv

system:
	@missing=""; for tool in $(TOOLS); do PATH="$$PATH:/usr/sbin:/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing:$$missing"; export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null; \
	  else echo "missing:$$missing; as root: apt-get install $(PACKAGES)"; fi; \
	fi

clean: ## Remove what was built
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
