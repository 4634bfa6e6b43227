# One command each; everything runs in .venv, made on first use.
SERVE ?= 1
PORT ?= 7860
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: demo test test-cpus lint bench lock seeds

demo: .venv/installed
	@git rev-parse --git-dir >/dev/null 2>&1 || dvc config --local core.no_scm true  # a copy without .git
	dvc repro
	@if [ "$(SERVE)" != 0 ]; then python -m app --port $(PORT); fi

test: .venv/installed
	python -m pytest

test-cpus: .venv/installed
	.ci/other-cpus

lint: .venv/installed
	ruff check .
	ruff format --check .
	pyright
	lint-imports

bench: .venv/installed
	python -m pipeline.bench

seeds: .venv/installed
	python -m pipeline.ablation profiles/ablations/embedded_claim.yaml --jobs 2

lock:
	uv pip compile pyproject.toml --group dev --extra train --extra app --extra gpu --universal --python-version 3.11 \
		--generate-hashes --quiet --output-file requirements.lock

.venv/installed: requirements.lock pyproject.toml
	./install.sh
	@touch $@
