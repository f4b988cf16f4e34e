# make dev    everything at once, with no account
# make test   the tests
# make trials whole processes: deaths, outages, floods of half requests, `make dev`, in short; CI runs some
# make lint   ruff, mypy, import-linter
# make older  what touches SQL, on another Postgres: BINARIES=/usr/lib/postgresql/15/bin
#
# By hand, longer than what CI runs:
# make simulate SEEDS=100000   both sides in one thread, by seed
# make chaos                   real processes and Postgres, killed under load and at every step
# make outages                 HubSpot and Postgres in trouble, for hours of virtual time
# make fuzz                    a million forged signatures, and more
# make types                   a million values of every type of column, through the border and back
# make planted                 faults planted one at a time: the tests must catch each
# make bench [ONLY="get walk"] figures beside their targets and physical limits; needs wrk and pgbench for some

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

# Runs a long suite and keeps what it printed last in docs/figures.md.
FIGURE := $(BIN)/python tests/support/figures.py

SEEDS ?= 20000
BINARIES ?= /usr/lib/postgresql/15/bin

# What one process of a run has compiled, the others find.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup dev test trials older lint format record expose postman simulate chaos outages fuzz types planted bench

$(READY): requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $(READY)

setup: $(READY)

dev: $(READY)
	@exec $(BIN)/python -m reconciler dev

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(ARGS)

trials: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "trial and not long" $(ARGS)

older: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --binaries $(BINARIES) -m "not long" -k "not memory and not simulated" tests/sync tests/store tests/long/simulation/test_state_machine.py $(ARGS)

simulate: $(READY)
	$(FIGURE) "make simulate SEEDS=$(SEEDS)" $(BIN)/python -m simulation --seeds $(SEEDS)

chaos: $(READY)
	CHAOS_SECONDS=240 CHAOS_STRIDE=10 $(FIGURE) "make chaos" $(BIN)/python -m pytest tests/long/chaos -s -m "long or not long" $(ARGS)

outages: $(READY)
	$(FIGURE) "make outages" $(BIN)/python -m pytest tests/long/outages -m "long or not long" $(ARGS)

fuzz: $(READY)
	$(FIGURE) "make fuzz" $(BIN)/python tests/proxied/fuzz.py --inputs 1000000

types: $(READY)
	VALUES=1000000 $(FIGURE) "make types" $(BIN)/python -m pytest tests/mapping/test_round_trip.py --timeout 0 $(ARGS)

planted: $(READY)
	$(FIGURE) "make planted" $(BIN)/python tests/long/planted/plant.py

bench: $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	$(BIN)/python -m bench $(ONLY)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

postman: $(READY)
	$(BIN)/python -m api.postman > api.postman_collection.json

# Records the gateway's cassettes anew: against the local HubSpot, or a test portal when HUBSPOT_ACCESS_TOKEN is set.
record: $(READY)
	$(BIN)/python -m pytest tests/gateway --record

# Shows the webhook port to HubSpot; needs the ngrok agent with an authtoken.
expose:
	ngrok http $${WEBHOOK_PORT:-8081}
