# Every verb bootstraps what it needs: only Python 3.11, gcc and make must be there.
# LOYALTY_EXT_CHECKED=1 before any verb builds the kernel with its run-time checks on.

.DEFAULT_GOAL := help
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Without PYTHON=path the fastest Python 3.11 there is: builds of it differ by half.
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python
# cython-lint and protoc look for their own helpers on the path.
export PATH := $(CURDIR)/$(BIN):$(PATH)
PIP := $(RUN) -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt

# One stamp a build of the kernel: flipping the switch installs again.
KERNEL := $(if $(filter 1,$(LOYALTY_EXT_CHECKED)),checked,release)
STAMP := $(VENV)/.installed-$(KERNEL)
# A new top-level package must be installed again to be seen; edits inside one need nothing.
SOURCES := pyproject.toml setup.py constraints.txt \
	$(wildcard ext/*.py ext/*.pyx ext/*.pxd ext/*.pxi) \
	$(wildcard pos_sim/__init__.py rewards/__init__.py server/__init__.py protos/loyalty/__init__.py)
SITE_PACKAGES = $(shell $(RUN) -c "import sysconfig; print(sysconfig.get_paths()['purelib'])")
PROTOS := $(wildcard protos/loyalty/v1/*.proto)

.PHONY: help setup demo storm faults serve test test-long mutate fuzz peer-cases check bench \
	protos clean

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv, install what is pinned, build the kernel (every verb does)
	@:

$(RUN):
	@any=$$(command -v python3.11 || command -v python3) \
		|| { echo "Python 3.11 is needed; name it with PYTHON=..." >&2; exit 1; }; \
	python="$(PYTHON)"; [ -n "$$python" ] || python=$$("$$any" bench/fastest_python.py) || exit 1; \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "$$python is not Python 3.11; name it with PYTHON=..." >&2; exit 1; }; \
	echo "setup: making $(VENV) with $$("$$python" --version) ($$python)"; \
	"$$python" -m venv $(VENV)

# Without build isolation the kernel is compiled by the pinned Cython and setuptools.
$(STAMP): $(SOURCES) | $(RUN)
	@echo "setup: installing pinned dependencies and building the $(KERNEL) kernel"
	@rm -f $(VENV)/.installed-*
	@$(PIP) setuptools cython
	@$(PIP) --no-build-isolation -e '.[dev]'
	@touch $@

demo: $(STAMP) ## replay receipts through a server of its own (RECEIPTS=dir: your own ones)
	@$(RUN) -m pos_sim demo $(if $(RECEIPTS),--receipts "$(RECEIPTS)") $(ARGS)

storm: $(STAMP) ## tills that do everything while servers are killed (ARGS="--acts 500 --seed 7")
	@$(RUN) -m pos_sim storm $(ARGS)

faults: $(STAMP) ## sell through a cash server over failing links (ARGS="--scenario all --seed 7")
	@$(RUN) -m pos_sim faults $(or $(ARGS),--scenario all)

serve: $(STAMP) ## run the server until it is stopped
	@$(RUN) -m server $(ARGS)

test: $(STAMP) ## run the tests, without the long ones
	@$(RUN) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(STAMP) ## run all tests with 20,000 examples a property: about two hours on two cores
	@LOYALTY_HYPOTHESIS=long $(RUN) -m pytest -q -m "" -n 2 --dist loadfile --timeout=3600 $(ARGS)

mutate: $(STAMP) ## run the tests on mutants of rewards/ (ARGS="--sample 400 --seed 1" or --all)
	@$(PIP) mutmut
	@$(RUN) -m tests.mutation $(ARGS)

fuzz: $(STAMP) ## kernel against twin on random programs and receipts (ARGS="--minutes 1 --seed 7")
	@$(RUN) -m tests.fuzz $(ARGS)

peer-cases: $(STAMP) ## run scenarios of other engines (FILE=path: another file of the same form)
	@$(RUN) -m tests.peer_cases $(if $(FILE),"$(FILE)")

check: $(STAMP) ## lint, format, types, import law, tidy
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet . || { echo "run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/cython-lint ext
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(RUN) -m pytest -q tests/tidy

bench: $(STAMP) ## measure (ARGS="--json": machine-readable)
	@$(RUN) -m bench all $(ARGS)

# The second root holds google/rpc/*.proto, from googleapis-common-protos.
protos: $(STAMP) ## generate the stubs beside the protos
	@echo "protos: generating stubs of $(words $(PROTOS)) files"
	@$(RUN) -m grpc_tools.protoc -I protos -I $(SITE_PACKAGES) --python_out=protos \
		--grpc_python_out=protos --mypy_out=protos --mypy_grpc_out=protos $(PROTOS)

clean: ## remove all that the other verbs made
	@rm -rf $(VENV) build var *.egg-info ext/*.so ext/*.c .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
