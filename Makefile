# `make demo` and `make test` are all the set-up there is: each makes .venv first where it is missing.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: help install demo test test-distributed check lint types doctest bench bench-peers docs format lock clean test-faults test-torch

help:
	@echo "make install fetch what Flowpress needs into .venv; the others do so as well"
	@echo "make demo    install, train and compress a small network, write runs/demo/"
	@echo "make test    run the tests"
	@echo "make test-distributed  build and install Horovod, run the tests of several workers"
	@echo "make test-faults  wrong calls, hostile files, kills, full disks; the long form is a bench"
	@echo "make test-torch  fetch PyTorch (CPU) too and run the tests that need it"
	@echo "make check   lint, types, doctests, tests (what CI runs)"
	@echo "make bench   measure everything (hours); TOPIC=graph measures one table"
	@echo "make bench-peers  measure the peer in an environment of its own; ROWS='--budgets=0.5'"
	@echo "make docs    build the documentation into .site/"
	@echo "make format  format the code, repair what ruff can, rewrite the lists of flags"
	@echo "make lock    resolve all packages anew and write requirements.lock"

# The lock pins every package; -c lets other Python versions and platforms take what they need.
$(VENV)/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Flowpress needs Python 3.11, 3.12 or 3.13; choose one: make demo PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV): about 1 GB is fetched, which takes a few minutes."
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade pip
	@$(PIP) -c requirements.lock '.[dev]'
	@touch $@

install: $(VENV)/installed

demo: $(VENV)/installed
	$(PY) main.py --model_helper=convnet_at_digits --learner=full-prec,chn-pruned-rmt \
	  --budget=flops:0.5 --enbl_dst --out_dir=runs/demo --resume=False

# One worker for each core; a file's tests stay together, since they share networks. The order is
# that of tests/conftest.py: files that take longest come first.
test: $(VENV)/installed
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder

# One file after the other: each test starts workers, which take the cores.
test-distributed: $(VENV)/installed
	scripts/install_horovod.sh
	$(PY) -m pytest tests/distributed

# A part of `make test`; the long form is `make bench TOPIC=faults`.
test-faults: $(VENV)/installed
	$(PY) -m pytest tests/benchmarks/faults tests/utils/ownership_test.py tests/utils/output_test.py \
	  tests/utils/keras_loading_test.py tests/utils/archives_test.py tests/utils/atomic_test.py

# PyTorch is fetched only for this: Flowpress reads and writes its networks, but runs without it.
$(VENV)/installed-torch: $(VENV)/installed
	@$(PIP) -c requirements.lock --extra-index-url https://download.pytorch.org/whl/cpu '.[torch]'
	@touch $@

test-torch: $(VENV)/installed-torch
	$(PY) -m pytest tests/utils/frontends/torch $(wildcard tests/utils/reconstructors)

check: lint types doctest test

lint: $(VENV)/installed
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) tools/docs/flag_lists.py --check

types: $(VENV)/installed
	$(PY) -m mypy .

doctest: $(VENV)/installed  # but for a module that is PyTorch's alone, which need not be installed
	$(PY) -m pytest --doctest-modules --ignore=utils/reconstructors/torch_parts.py learners utils rl_agents datasets nets flowpress.py

format: $(VENV)/installed
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .
	$(PY) tools/docs/flag_lists.py

bench: $(VENV)/installed
	$(PY) -m benchmarks $(TOPIC)

# The peer needs torch, which Flowpress does not: both stay apart.
.venv-peers/installed: benchmarks/peers/requirements.txt
	@test -x .venv-peers/bin/python || $(PYTHON) -m venv .venv-peers
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

bench-peers: $(VENV)/installed .venv-peers/installed
	@$(PY) -c 'from benchmarks.real_data import cifar10_dir; cifar10_dir()'
	.venv-peers/bin/python -m benchmarks.peers --self_test
	.venv-peers/bin/python -m benchmarks.peers $(ROWS)
	@$(PY) -c 'from benchmarks.results import write_tables; from benchmarks.runner import FOLDER; \
	  write_tables(FOLDER / "results.json")'

docs: $(VENV)/installed
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict --site-dir .site && echo "Open .site/index.html."

lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check '.[dev]'
	{ head -n 1 requirements.lock; build/lock/bin/python -m pip freeze --exclude flowpress; } > build/new.lock
	mv build/new.lock requirements.lock
	rm -rf build/lock

clean:
	rm -rf runs logs build .site .pytest_cache .ruff_cache .mypy_cache
