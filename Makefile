# make dev    everything at once, with no account
# make test   the tests
# make lint   ruff, mypy, import-linter

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready

.PHONY: setup dev test lint format record expose postman

$(READY): requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $(READY)

setup: $(READY)

dev: $(READY)
	@exec $(BIN)/python -m reconciler dev

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

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
