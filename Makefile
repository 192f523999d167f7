# Every target makes .venv and installs what it needs, once; later calls are quick.
#   make demo              train three submissions on real data, show a leaderboard
#   make test              the test suite          make test-slow   what takes minutes
#   make test-faults       kills, damaged checkpoints, full disks (some need root)
#   make lint              format, lint and types  make bench       the recorded figures
#   make docs              the tables of docs/workloads.md
#   make browser           Chromium, for the tests that open leaderboard.html
# PYTHON=python3.12 chooses the interpreter, EXTRAS=dev,cuda13 more packages.

PYTHON ?= python3
EXTRAS ?= dev
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed-$(EXTRAS)
DEMO := demo
DEMO_WORKLOADS := digits,mnist_mini
RUN := $(BIN)/algoperf run --workload=$(DEMO_WORKLOADS) --experiment_dir=$(DEMO) --rng_seed=2026 --num_studies=2

.PHONY: demo test test-slow test-faults lint format bench docs browser clean

demo: $(INSTALLED)
	$(RUN) --submission_path=adamw --num_tuning_trials=4
	$(RUN) --submission_path=momentum --num_tuning_trials=4
	$(RUN) --submission_path=nadamw
	$(BIN)/algoperf score --submission_directory=$(DEMO) --rules=mini --workloads=$(DEMO_WORKLOADS) --studies=2 --trials=4 --reference=adamw --output_dir=$(DEMO)_scores

# Most of the suite's time is compilation: without most optimisations, and each program
# once a run (tests/conftest.py).
test test-faults: export JAX_DISABLE_MOST_OPTIMIZATIONS := true
test: export TESTS_COMPILED := $(CURDIR)/.pytest_cache/compiled
test: $(INSTALLED)
	rm -rf $(TESTS_COMPILED)
	$(BIN)/pytest --numprocesses=2 --dist=loadscope

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow --timeout=0 --numprocesses=2

test-faults: $(INSTALLED)
	$(BIN)/pytest -m faults tests/faults --timeout=0 --numprocesses=2 --dist=loadscope

lint: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(INSTALLED)
	$(BIN)/python benchmarks/loop_overhead.py
	$(BIN)/python benchmarks/clock.py
	$(BIN)/python benchmarks/command_line.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/sweep.py
	$(BIN)/python benchmarks/resume.py
	$(BIN)/python benchmarks/image_pipeline.py
	$(BIN)/python benchmarks/vision_step.py
	$(BIN)/python benchmarks/mini_steps.py
	$(BIN)/python benchmarks/prepare_imagenet.py
	$(BIN)/python benchmarks/speech.py
	$(BIN)/python benchmarks/speech_host.py
	$(BIN)/python benchmarks/speech_ctc.py
	$(BIN)/python benchmarks/wmt.py
	$(BIN)/python benchmarks/text_lm.py
	$(BIN)/python benchmarks/lr_sensitivity.py
	$(BIN)/python benchmarks/graphs.py
	$(BIN)/python benchmarks/clicks.py
	$(BIN)/python benchmarks/mri.py
	$(BIN)/python benchmarks/preflight.py
	$(BIN)/python benchmarks/compile_cache.py

docs: $(INSTALLED)
	$(BIN)/python docs/make_workloads.py

# Debian's Chromium where that can be installed, else the build that Playwright fetches.
browser: $(INSTALLED)
	command -v chromium || command -v chromium-browser || command -v google-chrome \
	  || { test "$$(id -u)" = 0 && command -v apt-get && apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core; } \
	  || $(BIN)/playwright install chromium

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) $(DEMO)_scores .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
