# Everything a contributor types. Root installs what is missing; others are told in one line.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := keepalived haproxy libpcap0.8 tcpdump tshark iproute2 nftables procps curl openssl systemd python3-venv prometheus prometheus-alertmanager
TOOLS := keepalived haproxy tcpdump tshark ip nft curl openssl systemd-analyze promtool prometheus-alertmanager

# The slow tests install the agent for real: in a booted system, and as an image. A Node.js that is here already brings its npm.
SLOW_PACKAGES := chromium podman buildah runc mmdebstrap systemd-container $(if $(shell command -v npm),,npm)
SLOW_TOOLS := chromium podman buildah runc mmdebstrap systemd-nspawn npm
OPT := /opt/vrrp-observer

# One process for what uses the machine itself, which goes first, and one for the rest.
TOGETHER := -n 2 --dist loadgroup
COMMAND := /usr/local/bin/vrrp-observer

.PHONY: help demo tour run program install uninstall test test-all check format bench accuracy golden docs pictures system clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv system ## Watch the original bug happen and be named (root, under two minutes)
	@$(BIN)/python -m tests.demo

tour: .venv system ## From an install to a webhook: agents with TLS, Prometheus, alerts, dashboards (root, five minutes)
	@$(BIN)/python -m tests.tour

run: .venv ## Watch this machine's interfaces
	$(BIN)/vrrp-observer run

program: # The agent alone, in a venv of its own at $(OPT)
	@$(PYTHON) -c 'import ctypes.util, sys; sys.exit(not ctypes.util.find_library("pcap"))' \
	  || { echo "missing: libpcap; as root: apt-get install libpcap0.8, or dnf install libpcap" >&2; exit 1; }
	umask 022; $(PYTHON) -m venv $(OPT)
	umask 022; $(OPT)/bin/pip install --quiet --disable-pip-version-check --upgrade .

install: program ## Install the agent and its systemd unit on this machine (root)
	@command -v systemd-sysusers >/dev/null || { echo "missing: systemd; without it, run $(OPT)/bin/vrrp-observer" >&2; exit 1; }
	ln -sfn $(OPT)/bin/vrrp-observer $(COMMAND)
	install -D -m 644 systemd/vrrp-observer.service /etc/systemd/system/vrrp-observer.service
	install -D -m 644 systemd/vrrp-observer.sysusers /etc/sysusers.d/vrrp-observer.conf
	test -e /etc/vrrp-observer/config.toml || install -D -m 644 systemd/config.toml /etc/vrrp-observer/config.toml
	systemd-sysusers vrrp-observer.conf
	if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	@echo "installed; start it: systemctl enable --now vrrp-observer"

uninstall: ## Remove what install put here; settings and recordings stay (root)
	if [ -d /run/systemd/system ]; then systemctl disable --now vrrp-observer; fi
	rm -rf $(OPT) $(COMMAND) /etc/systemd/system/vrrp-observer.service /etc/sysusers.d/vrrp-observer.conf
	if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi

test: .venv system ## Every test that fits in ten minutes
	$(BIN)/python -m pytest $(TOGETHER) -m "not slow"

test-all: PACKAGES += $(SLOW_PACKAGES)
test-all: TOOLS += $(SLOW_TOOLS)
test-all: .venv system ## Every test
	$(BIN)/python -m pytest $(TOGETHER)

check: .venv ## Style, types, import contracts, generated docs up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check
	$(BIN)/python dashboards/build.py --check
	$(BIN)/python kubernetes/generate.py --check

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
	$(BIN)/python kubernetes/generate.py

pictures: .venv system ## Pictures of the dashboards over a storm in the lab (root; npm and Chromium)
	$(BIN)/python tests/dashboards/pictures.py

.venv: pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv >/dev/null 2>&1 || { $(MAKE) --no-print-directory system && $(PYTHON) -m venv .venv; }
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
