# make run        sets up everything, runs the pipeline on the demo data, ends with a pushed model
# make test       sets up everything, passes the tests
# make test-fast  those tests that take seconds: some of every package
# make lint       style, types and imports
# make lock       resolves the dependencies of pyproject.toml anew
# make audit      lists what in the locks has a newer release, and what was yanked
# make test-platform    the first two in a new Debian 13, with TFX's own packages; needs root
# make test-portable    the pipeline's Beam jobs on a job service, Beam's Prism; needs Go
# make test-container   builds the image and runs a pipeline in it, without Docker; needs root

BIN := .venv/bin
READY := .venv/ready
DEMO := datasets/demo/dataset.json

.PHONY: run test test-fast test-platform test-portable test-container lint lock audit setup
.DELETE_ON_ERROR:

setup: $(READY)

$(READY): $(wildcard requirements*.lock) pyproject.toml tools/setup.sh tools/find_uv.sh tools/glibc.sh \
		tools/uv.lock
	@sh tools/setup.sh
	@touch $@

run: $(READY) $(DEMO)
	@$(BIN)/dexmatch run --config recipes/demo.toml

$(DEMO): $(wildcard data/demo/*.py) | $(READY)
	@$(BIN)/dexmatch data demo --out $(@D) --overwrite

PROCESSORS := $(shell getconf _NPROCESSORS_ONLN)
# One more than there are processors: tests wait for servers, browsers and disks.
WORKERS := $(shell expr $(PROCESSORS) + 1)
PYTEST := $(BIN)/python -m pytest --dist loadfile --no-loadscope-reorder --numprocesses

test: $(READY)
	@$(PYTEST) $(WORKERS)

# Each worker loads TensorFlow and TFX, which takes as long as a sixth of these tests.
test-fast: $(READY)
	@$(PYTEST) $(PROCESSORS) -m "not slow"

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock:
	@sh tools/lock.sh

audit:
	@sh tools/audit.sh

test-platform:
	@sh tools/test_platform.sh

# Prism is of the same release as Beam.
test-portable: $(READY)
	@GOBIN=$(abspath $(BIN)) go install github.com/apache/beam/sdks/v2/go/cmd/prism@v$$($(BIN)/python \
		-c 'from importlib.metadata import version; print(version("apache-beam"))')
	@DEXMATCH_PRISM=$(abspath $(BIN))/prism $(BIN)/python -m pytest tests/end_to_end/test_portable.py

test-container:
	@sh tools/test_container.sh
