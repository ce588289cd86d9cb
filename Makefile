# `make demo` and `make test` set everything up by themselves; `make help` lists the rest.
# Each virtual environment is built once: a stamp file per requirement set remembers what is installed,
# and only a change of the files that set is made of installs it again.

PYTHON         ?= python3
VENV           ?= .venv
VENV_OPENMMLAB ?= .venv-openmmlab
# One test process per core, one thread each: two busy processes beat one process with two threads,
# because most tests are small; an idle process takes over the other's rest, because a few files are
# long. `make test WORKERS=8` on a bigger machine.
WORKERS        ?= 2
PYTEST_ARGS    ?=
# torch and torchvision have to come from the same place: a CPU-only torch beside a CUDA torchvision
# does not import.
TORCH          ?= torch torchvision

TEST_FILES  = $(patsubst %,requirements/%.txt,runtime timm export optuna tests)
PIP_FLAGS   = --constraint requirements/constraints.txt
TEST        = -m pytest --numprocesses $(WORKERS) --dist worksteal $(PYTEST_ARGS)
ONE_THREAD  = OMP_NUM_THREADS=1

# The demo: supernet, search, verdict; with one thread, so that the number of cores changes no result.
DEMO_CONFIG = configs/ean/resnet20_se_lamp_digits.py
# A search whose ticket travels to other tasks, and what it leaves.
CUED_CONFIG  = configs/ean/resnet20_se_digits.py
CUED_RESULTS = work_dirs/resnet20_se_digits/results.json
CUED_TICKET  = work_dirs/resnet20_se_digits/ticket.json
# Attention that costs nothing once it is deployed.
ASR_CONFIG   = resnet14_asr_se_digits

.DEFAULT_GOAL := help
.NOTPARALLEL:
.SECONDARY:
.PHONY: help demo demo-compare demo-transfer demo-count demo-deploy test test-slow test-openmmlab lint docs-backbones venv clean clean-venv

help:  ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

demo: $(VENV)/.stamp-project  ## search where to plug attention (handwritten digits, no download): ticket, verdict, report
	$(ONE_THREAD) $(VENV)/bin/python tools/search.py $(DEMO_CONFIG)

demo-compare: $(VENV)/.stamp-project  ## train no attention, attention everywhere, the ticket and a random scheme from scratch, side by side
	$(ONE_THREAD) $(VENV)/bin/python tools/search.py $(DEMO_CONFIG)
	$(ONE_THREAD) $(VENV)/bin/python tools/compare.py $(DEMO_CONFIG)

demo-transfer: $(VENV)/.stamp-project $(CUED_RESULTS)  ## a ticket of cued digits in a segmentor: none, all, ticket and a random one side by side
	$(VENV)/bin/python tools/transfer.py $(CUED_TICKET) configs/ean/fcn_resnet20_se_ticket_digitscenes.py

demo-count: $(VENV)/.stamp-project $(CUED_RESULTS)  ## the same for counting
	$(VENV)/bin/python tools/transfer.py $(CUED_TICKET) configs/ean/counter_resnet20_se_ticket_digitcrowds.py

demo-deploy: $(VENV)/.stamp-project  ## train attention that is the same for every image (ASR), and fold it away
	$(VENV)/bin/python tools/train.py configs/ean/$(ASR_CONFIG).py --resume
	$(VENV)/bin/python tools/deploy.py configs/ean/$(ASR_CONFIG).py work_dirs/$(ASR_CONFIG)/epoch_40.pth --format pth onnx

$(CUED_RESULTS): | $(VENV)/.stamp-project
	$(VENV)/bin/python tools/search.py $(CUED_CONFIG)

test: $(VENV)/.stamp-project  ## run the test suite
	@$(ONE_THREAD) $(VENV)/bin/python $(TEST)

test-slow: $(VENV)/.stamp-project  ## run the long tests
	@$(ONE_THREAD) $(VENV)/bin/python $(TEST) -m 'slow and not gpu'

test-openmmlab: $(VENV_OPENMMLAB)/.stamp-project  ## run the test suite on upstream mmengine, mmcv-lite and mmpretrain
	@$(ONE_THREAD) $(VENV_OPENMMLAB)/bin/python $(TEST)

lint: $(VENV)/.stamp-project  ## ruff and mypy
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m ruff format --check .
	$(VENV)/bin/python -m mypy

docs-backbones: $(VENV)/.stamp-project  ## write docs/backbones.md anew, the table of what is supported
	@$(ONE_THREAD) $(VENV)/bin/python tests/models/backbone_sweep.py docs/backbones.md

venv: $(VENV)/.stamp-project  ## only create the virtual environment

clean:  ## remove caches and build outputs; results and virtual environments stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find ean_mm tests tools configs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

clean-venv:  ## remove the virtual environments
	rm -rf $(VENV) $(VENV_OPENMMLAB)

# -- virtual environments --------------------------------------------------------------------------

%/.stamp-venv:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo '`PYTHON` must name a Python interpreter, but got "$(PYTHON)"; try `make PYTHON=python3.12 ...`.' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "\`PYTHON\` must be Python 3.10 or newer, but got \"$(PYTHON)\", which is" \
	    "$$($(PYTHON) -c 'import sys; print(sys.version.split()[0])'); try \`make PYTHON=python3.12 ...\`." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo '`PYTHON` must be able to create virtual environments, but "$(PYTHON)" lacks venv or ensurepip;' \
	    'install them (Debian, Ubuntu: the package python3-venv) or name another interpreter with PYTHON=.' >&2; exit 1; }
	$(PYTHON) -m venv $*
	@$*/bin/python -m pip install --quiet 'pip>=23'
	@touch $@

# First torch, from one place, so that nothing below brings in another build.
%/.stamp-torch: requirements/constraints.txt | %/.stamp-venv
	@echo '$*: torch and torchvision (about 5 GB on Linux, once)'
	$*/bin/python -m pip install $(PIP_FLAGS) $(TORCH)
	@touch $@

$(VENV)/.stamp-family: requirements/onedl.txt requirements/seg.txt $(VENV)/.stamp-torch
	$(VENV)/bin/python -m pip install --quiet $(PIP_FLAGS) -r requirements/onedl.txt -r requirements/seg.txt
	@touch $@

$(VENV_OPENMMLAB)/.stamp-family: requirements/openmmlab.txt $(VENV_OPENMMLAB)/.stamp-torch
	$(VENV_OPENMMLAB)/bin/python -m pip install --quiet $(PIP_FLAGS) -r requirements/openmmlab.txt
	@touch $@

# mmcv asks for opencv-python, which needs the system's X11 and OpenGL libraries; where they are missing (containers),
# the headless build of the same version takes its place.
%/.stamp-opencv: %/.stamp-family
	@$*/bin/python -c 'import cv2' 2>/dev/null || { \
	  echo '$*: opencv-python needs system libraries which are missing here; its headless build takes its place' && \
	  $*/bin/python -m pip uninstall --quiet --yes opencv-python && \
	  $*/bin/python -m pip install --quiet --no-deps --force-reinstall $(PIP_FLAGS) opencv-python-headless && \
	  $*/bin/python -c 'import cv2'; }
	@touch $@

%/.stamp-project: setup.py pyproject.toml $(TEST_FILES) %/.stamp-opencv
	$*/bin/python -m pip install --quiet $(PIP_FLAGS) $(TEST_FILES:%=-r %) --editable .
	@touch $@
