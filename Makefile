SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
# What only reads the code needs settings, but no services.
DUMMY := DATABASE_URL=postgresql://nobody@127.0.0.1:1/none REDIS_URL=redis://127.0.0.1:1/0 \
	SECRET_KEY=a-key-that-signs-nothing-but-is-long-enough-for-the-checks-of-django-0123456789 \
	CREDENTIAL_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
	NUMBER_PEPPERS=a-pepper-of-nothing-but-long-enough-to-be-one
LAYERS := smsplatform campaigns compliance providers tracking
JOBS ?= 3

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v != (3, 11) and "Python 3.11 is needed; this is %d.%d. Give another one with: make PYTHON=python3.11 …" % v)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --no-compile --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(DEV_STAMP): $(STAMP) requirements-dev.txt
	$(BIN)/pip install --no-compile --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.PHONY: install
install: $(DEV_STAMP)  ## make .venv and install everything into it

.PHONY: demo
demo: $(STAMP)  ## watch a campaign go out through a misbehaving provider, then read its report
	$(BIN)/python -m smsplatform.demo

.PHONY: run
run: $(STAMP)  ## start the whole platform and keep it up, with addresses and a login
	$(BIN)/python manage.py up

.PHONY: test
test: $(DEV_STAMP)  ## run every test
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q

.PHONY: chaos
chaos: $(DEV_STAMP)  ## break everything that can break, one after the other, and audit (SHORT=1, SEED=n, ONLY=name)
	$(BIN)/python -m tests.chaos $(if $(SHORT),--short) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

.PHONY: bench
bench: $(DEV_STAMP)  ## measure how fast it is, against this machine without us (SHORT=1, ONLY=module)
	$(BIN)/python -m tests.bench $(if $(SHORT),--short) $(if $(ONLY),--only $(ONLY))

.PHONY: soak
soak: $(DEV_STAMP)  ## measure with 20 million old messages in the tables (SHORT=1; half an hour, 20 GB of disk)
	$(BIN)/python -m tests.soak $(if $(SHORT),--short)

.PHONY: adapter
adapter: $(DEV_STAMP)  ## write the two files of a new provider: make adapter name=acme_sms
	@$(DUMMY) $(BIN)/python manage.py start_adapter $(if $(name),$(name),$(error name it: make adapter name=acme_sms))

.PHONY: check
check: $(DEV_STAMP)  ## lint, format, types, layers, migrations, docs, deployment
	@echo "· lint";        $(BIN)/ruff check .
	@echo "· format";      $(BIN)/ruff format --check .
	@echo "· types";       $(DUMMY) $(BIN)/mypy
	@echo "· layers";      $(DUMMY) $(BIN)/lint-imports --no-cache | tail -n 6
	@echo "· migrations";  $(DUMMY) $(BIN)/python -W ignore manage.py makemigrations --check --dry-run
	@echo "· diagram";     $(DUMMY) $(BIN)/python manage.py state_diagram --check docs/architecture.md
	@echo "· law";         $(DUMMY) $(BIN)/python manage.py law_tables --check docs/compliance.md
	@echo "· deployment";  $(DUMMY) PUBLIC_URL=https://sms.example.com $(BIN)/python manage.py check --deploy --fail-level WARNING

.PHONY: fix
fix: $(DEV_STAMP)  ## format, and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: coverage
coverage: $(DEV_STAMP)  ## run every test and show what none of them touches
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup -q --cov --cov-report=term-missing:skip-covered

.PHONY: lock
lock:  ## compile requirements*.in to pins (needs uv)
	uv pip compile -q --python-version 3.11 --python-platform x86_64-manylinux_2_28 requirements.in -o requirements.txt
	uv pip compile -q --python-version 3.11 --python-platform x86_64-manylinux_2_28 requirements-dev.in -o requirements-dev.txt

.PHONY: clean
clean:  ## remove .venv, caches and the embedded services' data
	rm -rf $(VENV) .var .mypy_cache .ruff_cache .pytest_cache .hypothesis staticfiles
