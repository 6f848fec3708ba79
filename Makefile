# Every target sets itself up: a virtual environment in .venv with fedsql (editable) and the tools of the dev group.
# It is made once and refreshed when pyproject.toml changes. Needed: make, Python 3.11 or newer, a package index.
#
#   make check      the whole gate, the same here and in CI: style, types, imports, and the built wheel in an empty place
#   make test       the tests
#   make fuzz-sql   10,000 random queries over random federations against DuckDB (QUERIES=...)
#   make fuzz-rules 10,000 random examples for the rules of what is shown, and of what may not raise (QUERIES=...)
#   make tpcds      all 99 queries of TPC-DS over three parties against DuckDB (minutes; make test asks a handful)
#   make test-bi    the tests of tools that want older libraries: SQLAlchemy 1.4's own suite for dialects, and Apache
#                   Superset over a gateway (minutes to set up, 1 GB)
#   make picture    what Superset shows, for docs/bi.md (Debian's chromium is installed where there is none)
#   make fuzz-wire  100,000 random frames at a coordinator and at parties (FRAMES=...)
#   make demo       the shell on three hospitals
#   make clean      remove everything that these made
#
# Another Python: make PYTHON=/usr/bin/python3.13 (after make clean, if .venv is there already).

SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.14 python3.11; do \
	if $$p -c '$(SUITABLE)' 2>/dev/null; then echo $$p; break; fi; done)
BIN := .venv/bin
READY := .venv/.ready
TPCDS := .venv/tpcds/.ready
DBAPI20 := .venv/dbapi20/.ready
SQLALCHEMY14 := .venv/bi/sqlalchemy14
SUPERSET := .venv/bi/superset

# What the main job is tested by, once more with a real coordinator between all participants: every kind of message (two are
# in tests/network/test_siblings.py) and all that people see. Not which values are shown, which is the same wherever
# messages go, nor what asks nobody.
OVER_NETWORK := tests/golden tests/dbapi tests/shell tests/demo tests/security/test_lending.py $(patsubst \
	%,tests/equality/test_%.py,distinct_values docs no_rows padded private_stars required unions)
NOT_OVER_NETWORK := $(patsubst %,tests/dbapi/test_%.py,dbapi20 local module writing)

QUERIES ?= 10000
FRAMES ?= 100000

.PHONY: check style types imports wheel test test-bi picture tpcds fuzz-sql fuzz-rules fuzz-wire demo clean

check: style types imports wheel

style: $(READY)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports --no-logo

wheel: $(READY)
	$(BIN)/python tools/check_wheel.py

test: $(READY) $(TPCDS) $(DBAPI20)
	$(BIN)/pytest --durations 15 --durations-min 5
	$(BIN)/pytest --network $(addprefix --ignore ,$(NOT_OVER_NETWORK)) $(OVER_NETWORK)

test-bi: $(SQLALCHEMY14)/.ready $(SUPERSET)/.ready
	$(SQLALCHEMY14)/bin/python -m pytest -n 0 -W default -p no:cacheprovider tests/sqlalchemy
	FEDSQL_SUPERSET=$(SUPERSET) $(BIN)/pytest -n 0 tests/bi

tpcds: $(READY) $(TPCDS)
	FEDSQL_TPCDS=1 $(BIN)/pytest -n 0 tests/tpcds

picture: $(SUPERSET)/.ready
	@command -v chromedriver >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver; }
	$(BIN)/python -m tests.bi.dashboard $(SUPERSET) docs/images/superset.png

fuzz-sql: $(READY)
	FEDSQL_FUZZ_SQL=$(QUERIES) $(BIN)/pytest -o faulthandler_timeout=0 tests/fuzz

fuzz-rules: $(READY)
	FEDSQL_FUZZ=$(QUERIES) $(BIN)/pytest -o faulthandler_timeout=0 \
	  tests/equality/test_cells.py tests/security/test_siblings.py tests/planner/test_safe.py

fuzz-wire: $(READY)
	$(BIN)/pytest -n 0 --frames $(FRAMES) --durations 5 tests/network/test_fuzz.py

demo: $(READY)
	@$(BIN)/fedsql demo

$(READY): pyproject.toml
	@$(or $(PYTHON),python3) -c '$(SUITABLE)' || { echo \
	  'fedsql needs Python 3.11 or newer with venv and pip (Debian: apt install python3-venv),' \
	  'or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@echo 'Setting up .venv ...'
	@test -x $(BIN)/python || $(or $(PYTHON),python3) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@touch $@

# DuckDB's extension for TPC-DS, and the older DuckDB that it is for: beside the one that is tested.
$(TPCDS): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target .venv/tpcds \
	  duckdb==1.5.5 duckdb-extension-tpcds==1.5.5
	@touch $@

# Two test suites of PEP 249 that others wrote: dbapi-compliance's, and psycopg's, which its source holds. Nothing of psycopg
# is built, but pip asks its source for metadata, and that asks for a pg_config, whatever it says.
$(DBAPI20): $(READY)
	@rm -rf .venv/dbapi20 && mkdir -p .venv/dbapi20/bin
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv/dbapi20/compliance \
	  dbapi-compliance==1.15.*
	@printf '#!/bin/sh\necho PostgreSQL 16.0\n' > .venv/dbapi20/bin/pg_config && chmod +x .venv/dbapi20/bin/pg_config
	@PATH="$(CURDIR)/.venv/dbapi20/bin:$$PATH" $(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps \
	  --no-binary psycopg2 --dest .venv/dbapi20 'psycopg2==2.9.*'
	@$(BIN)/python tools/unpack.py .venv/dbapi20/psycopg2-*.tar.gz tests/dbapi20.py .venv/dbapi20/psycopg/dbapi20.py
	@touch $@

# SQLAlchemy as Superset has it.
$(SQLALCHEMY14)/.ready: $(READY)
	@$(BIN)/python -m venv $(SQLALCHEMY14)
	@$(SQLALCHEMY14)/bin/python -m pip install --quiet --disable-pip-version-check --editable . 'sqlalchemy==1.4.54' \
	  adbc-driver-flightsql hypothesis pandas pytest pytest-xdist
	@touch $@

# Superset pins older versions of what the engine needs, so fedsql comes here as it does to its users: without. What else is
# named, Superset 6.1.0 imports and does not ask for (cachetools, rich), or cannot start with a newer one of.
$(SUPERSET)/.ready: $(READY)
	@echo 'Setting up Superset ...'
	@test -x $(SUPERSET)/bin/python || $(BIN)/python -m venv $(SUPERSET)
	@$(SUPERSET)/bin/python -m pip install --quiet --disable-pip-version-check \
	  apache-superset==6.1.0 'flask-caching<2.4' cachetools rich adbc-driver-flightsql
	@$(SUPERSET)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
