# Two commands do everything: `make quickstart` and `make test`. Nothing but Python, git, make and g++ is needed before.
PYTHON ?= $(shell command -v python3.12 || command -v python3.11 || command -v python3)
UV := .venv/bin/uv
KIT := .venvs/kit/bin
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
STACKS := uv kit sft rl rl-vllm chat

.PHONY: quickstart test lint bench lock kit
.DEFAULT_GOAL := quickstart

# Questions -> traces -> training sets -> SFT -> GRPO -> evaluation -> runs/quickstart/report/report.html
quickstart: kit
	$(KIT)/finr1 run recipes/pipelines/quickstart.yaml

test: lint
	$(KIT)/python -m pytest

lint: kit
	$(KIT)/ruff check .
	$(KIT)/ruff format --check .
	$(KIT)/mypy

bench: kit
	$(KIT)/python benchmarks/stages.py

# The environment of the kit itself, made anew when its pinned file changes; the engines' follow on first use.
kit: $(UV)
	@if ! cmp -s stacks/kit.txt .venvs/kit/.made-from; then \
	  echo "stack kit: installing stacks/kit.txt into .venvs/kit (once)"; \
	  rm -rf .venvs/kit && UV_PYTHON_DOWNLOADS=never $(UV) venv --quiet --python $(PYTHON) .venvs/kit && \
	  $(UV) pip sync --quiet --require-hashes --python .venvs/kit stacks/kit.txt && \
	  $(UV) pip install --quiet --no-deps --python .venvs/kit --editable . && \
	  ln -sf ../../.venvs/kit/bin/finr1 .venv/bin/finr1 && \
	  cp stacks/kit.txt .venvs/kit/.made-from; \
	fi

$(UV): stacks/uv.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v not in ((3, 11), (3, 12)) and \
	  "finr1-kit needs Python 3.11 or 3.12, this is %d.%d: make PYTHON=python3.12 ..." % v)'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r stacks/uv.txt
	@touch $(UV)

# Pin all stacks anew from stacks/*.in; the files record no download address.
lock: $(UV)
	for stack in $(STACKS); do $(LOCK) stacks/$$stack.in -o stacks/$$stack.txt || exit 1; done
	$(LOCK) --no-deps stacks/model.in -o stacks/model.txt
