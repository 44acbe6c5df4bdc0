# ddb: run it and test it. Needs make and Python 3.11 or newer, nothing else.

# The first Python here that is new enough; or name one: make up PYTHON=/opt/python3.13/bin/python3
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; \
	done)
PORT   ?=
NODES  ?=
DATA   ?=
ARGS   ?=

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

.DEFAULT_GOAL := help
.PHONY: help up test bench clean

help:
	@echo 'make up      run a cluster here: 3 nodes and a gateway on port 8080, data in ./data'
	@echo '             make up PORT=9000 NODES=5 DATA=/tmp/ddb'
	@echo 'make test    lint, types and tests, on every Python from 3.11 to 3.13 found here'
	@echo 'make bench   measure it beside its peers (bench/README.md); make bench ARGS=--quick'
	@echo 'make clean   remove what make has made (never the data)'

# exec: signals meant for the cluster reach it, not a shell in between.
up: .venv/.installed
	@exec $(BIN)/python -m ddb up $(if $(PORT),--port $(PORT)) $(if $(NODES),--nodes $(NODES)) $(if $(DATA),--data $(DATA))

# Two at a time: what one processor does alone. The tests then have both processors.
test: .venv/.developed
	@$(BIN)/python -m tox run-parallel --parallel 2 --parallel-no-spinner --notest
	@$(BIN)/python -m tox run-parallel --parallel 2 --parallel-no-spinner -e lint,types
	@exec $(BIN)/python -m tox run --skip-env 'lint|types'

bench: .venv/.benched
	@exec $(BIN)/python -m bench $(ARGS)

clean:
	rm -rf .venv .tox build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find ddb tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made:
	@python='$(PYTHON)'; \
	"$${python:-none}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "ddb needs Python 3.11 or newer, and $${python:-what is installed} is not." \
	       'Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3' >&2; exit 1; }; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$$python cannot make a virtual environment: its venv module is missing." \
	       'On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Making .venv ...'
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/.installed: .venv/.made pyproject.toml requirements.txt
	@echo 'Installing ...'
	@$(PIP) install -r requirements.txt
	@$(PIP) install --no-deps --editable .
	@touch $@

.venv/.developed: .venv/.made pyproject.toml requirements.txt
	@echo 'Installing what the tests need ...'
	@$(PIP) install uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.txt --editable '.[dev]'
	@touch .venv/.installed $@

.venv/.benched: .venv/.installed bench/requirements.txt
	@echo 'Installing what the benchmark needs ...'
	@$(PIP) install -r bench/requirements.txt
	@touch $@
