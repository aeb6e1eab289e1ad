# Each target sets up what it needs by itself, in .venv, .patrolgrid and the user's cache; nothing on the host is changed.
# See docs/adr/0001 (services), 0002 (packages) and 0003 (Chromium).
#   make demo PYTHON=/path/to/python3.11     another Python
#   make test PYTEST="tests/store -k batch"  part of the tests
SHELL := /bin/bash
PYTHON ?=
PYTEST ?= -n 2 --dist loadfile
BENCH ?=
FAULTS ?=
SOAK ?=
FUZZ ?=
EVALUATE ?=
TRACKS ?=
EPISODE ?=
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary=:all:
INSTALL_SELF := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --no-index --editable .
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: help demo test check bench faults soak fuzz evaluate lock clean

help:
	@echo "make demo    a lake with 40 patrols, cameras and sensors: prints an address and a log-in"
	@echo "make test    all tests, on a real TimescaleDB, a real Mosquitto and a real browser"
	@echo "make check   lint, types, import order"
	@echo "make bench   how fast messages are taken in, on services of its own (BENCH=--quick: about a minute)"
	@echo "make faults  break every part again and again under load, and count what was lost (FAULTS=--quick: a few minutes)"
	@echo "make soak    an hour of steady load: whether memory and latency stay flat (SOAK=\"--minutes 2 --rate 5000\")"
	@echo "make fuzz    a million broken payloads and packets through codecs, pipeline, reader and session (FUZZ=\"--inputs 20000\")"
	@echo "make evaluate  how well the detectors find what happened (EVALUATE=--quick; TRACKS=file.csv; EPISODE=shore:10001)"
	@echo "make lock    write the hash-locked requirements again after a change of pyproject.toml (UPGRADE=1: newest versions)"
	@echo "make clean   remove the virtual environment and the tools' caches; the data in .patrolgrid stay"

demo: $(BIN)/.ready-run
	$(BIN)/patrolgrid demo

test: $(BIN)/.ready-dev
	browser="$$($(BIN)/python scripts/browser.py)" && eval "$$browser" && $(BIN)/pytest $(PYTEST)

check: $(BIN)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy scripts
	$(BIN)/lint-imports

bench: $(BIN)/.ready-dev
	$(BIN)/python -m benchmarks.bench $(BENCH)

faults: $(BIN)/.ready-dev
	$(BIN)/python -m benchmarks.faults $(FAULTS)

soak: $(BIN)/.ready-dev
	$(BIN)/python -m benchmarks.soak $(SOAK)

fuzz: $(BIN)/.ready-dev
	$(BIN)/python -m benchmarks.fuzz $(FUZZ)

evaluate: $(BIN)/.ready-dev
	$(BIN)/python -m benchmarks.evaluate $(EVALUATE) $(if $(TRACKS),--tracks "$(TRACKS)") $(if $(EPISODE),--episode "$(EPISODE)")

$(BIN)/python:
	PYTHON="$(PYTHON)" scripts/make-venv .venv

$(BIN)/.ready-run: requirements.txt requirements-build.txt pyproject.toml | $(BIN)/python
	@echo "Installing PatrolGrid's Python packages into .venv"
	$(INSTALL) -r requirements.txt -r requirements-build.txt
	$(INSTALL_SELF)
	touch $@

$(BIN)/.ready-dev: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing PatrolGrid's Python packages and its tools into .venv"
	$(INSTALL) -r requirements-dev.txt
	$(INSTALL_SELF)
	touch $@ $(BIN)/.ready-run

lock: | $(BIN)/python
	$(BIN)/python -m pip --disable-pip-version-check install --quiet uv
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) --group build -o requirements-build.txt
	$(COMPILE) pyproject.toml --group dev -c requirements.txt -c requirements-build.txt -o requirements-dev.txt

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
