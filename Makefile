# Two commands do all set-up: `make demo` runs the main job, `make test` runs all tests.
# Everything is installed into .venv; Cargo's target directory is in the user's cache, so it is compiled once for all clones.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bifrost
export CARGO_TARGET_DIR ?= $(CACHE)/cargo-target
NATIVE := $(shell find native -name '*.rs' -o -name 'Cargo.*' | grep -v -E '/(target|fuzz)/')
ARGS ?=
PYTEST ?=

.PHONY: demo test test-rust test-python check fix setup wheel clean help

help: ## show the targets
	@grep -E '^[a-z%-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.demo $(VENV)/.native ## the main job on embedded defaults; ARGS="--seconds 30 --keep-running --mqtt URL"
	@$(BIN)/python -m bifrost demo $(ARGS)

test: test-rust test-python ## all tests; PYTEST="-m 'not slow'" narrows them

test-rust:
	cargo test --locked --manifest-path native/Cargo.toml -p bifrost-codec -p bifrost-series -p bifrost-wal --quiet

test-python: $(VENV)/.dev $(VENV)/.native
	$(BIN)/python -m pytest $(PYTEST)

check: $(VENV)/.dev $(VENV)/.native ## linters, types, import rules, stubs, clippy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest bifrost._native._rust
	$(BIN)/lint-imports --no-cache
	cargo fmt --manifest-path native/Cargo.toml --all --check
	cargo clippy --locked --manifest-path native/Cargo.toml --all-targets --quiet -- -D warnings

fix: $(VENV)/.dev ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cargo fmt --manifest-path native/Cargo.toml --all

setup: $(VENV)/.dev $(VENV)/.native ## only install

# The peers of the actors' benchmark live apart: one of them brings pandas, which other libraries load where they find it.
PEERS := $(VENV)/peers

$(VENV)/.peers: $(VENV)/.dev
	$(BIN)/python -m venv $(PEERS)
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  > "$$($(PEERS)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/bifrost-tools.pth"
	$(PEERS)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(PEERS)/bin/python -m pip install --quiet --group peers
	@touch $@

bench-actors: $(VENV)/.peers $(VENV)/.native ## the actor runtime beside OTP, asyncio, pykka, thespian and xoscar; ARGS="--quick --only tell,ask"
	@$(PEERS)/bin/python -m benchmarks.actors $(ARGS)

bench-%: $(VENV)/.dev $(VENV)/.native ## one benchmark: bench-modbus, bench-footprint, bench-ten-thousand-tags, bench-wal, bench-series
	@$(BIN)/python -m benchmarks.$(subst -,_,$*) $(ARGS)

wheel: $(VENV)/.dev ## build the wheel into dist/
	rm -rf dist
	$(BIN)/maturin build --locked --release --out dist --interpreter $(BIN)/python

clean: ## remove what was built in this clone
	rm -rf $(VENV) dist demo-output bifrost/_native/_rust.abi3.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bifrost needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@command -v cargo >/dev/null || { echo "bifrost needs Rust (cargo) to build its native half"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "== installing bifrost and building its native half; the first time takes a few minutes"
	$(BIN)/pip install --quiet --editable '.[demo,mqtt]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "== installing bifrost and its tools, and building its native half; the first time takes a few minutes"
	$(BIN)/pip install --quiet --editable '.[all]' --group dev
	@touch $@ $(VENV)/.demo

# The editable install has built the extension once; afterwards only changed Rust sources build it again.
$(VENV)/.native: $(NATIVE) | $(BIN)/python
	tools/build-native --quiet
	@touch $@
