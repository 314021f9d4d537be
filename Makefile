# Entente: `make help` lists the targets. `make demo` and `make test` need nothing but
# Python 3.11 or newer: each makes its own virtual environment first.

PYTHON      ?= python3
VENV        ?= .venv
# PyTorch is installed first and alone. Elsewhere, choose your build, for example a CUDA one:
#   make setup TORCH='torch==2.13.0' TORCH_FLAGS='--index-url <the index PyTorch names for it>'
TORCH       ?= torch==2.13.0
TORCH_FLAGS ?=
EXTRAS      := server,agent,he,demo
BIN         := $(VENV)/bin
READY       := $(VENV)/.ready
SCENARIO    ?= hospitals
DEMO_DIR    ?= entente-demo
DEMO_FLAGS  ?=
TEST_FLAGS  ?=
NAME        ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check format bench proto docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make the virtual environment and install Entente in it

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Entente needs Python 3.11 or newer; $(PYTHON) is older. Set PYTHON=python3.12, say."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet $(TORCH_FLAGS) '$(TORCH)'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRAS)]' --group dev
	@touch $@

demo: $(READY) ## Run a whole federation on this machine (SCENARIO=hospitals or digits)
	$(BIN)/entente demo --scenario $(SCENARIO) --dir $(DEMO_DIR) $(DEMO_FLAGS)

test: $(READY) ## Run the tests
	$(BIN)/python -m pytest $(TEST_FLAGS)

test-slow: $(READY) ## Run the tests that take minutes
	$(BIN)/python -m pytest -m slow $(TEST_FLAGS)

check: $(READY) ## Lint, types, layers, documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy common client server simulations
	$(BIN)/lint-imports
	$(BIN)/python tools/check_docs.py

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: $(READY) ## Run one benchmark: make bench NAME=aggregation
	@test -f 'tests/benchmarks/$(NAME).py' || \
	  { echo "There is no benchmark '$(NAME)'. There are:"; ls tests/benchmarks/*.py | xargs -n1 basename -s .py; exit 2; } >&2
	@$(BIN)/python tests/benchmarks/$(NAME).py

bench-%: ## Run one benchmark: make bench-aggregation
	@$(MAKE) --no-print-directory bench NAME=$*

proto: $(READY) ## Generate the gRPC code again
	$(BIN)/python tools/generate_protocol.py

docs: $(READY) ## Write the generated documents again
	$(BIN)/python tools/check_docs.py --write

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
