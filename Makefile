# Two commands do everything: `make quickstart` and `make test`. Nothing but Python, git, make and g++ is needed before.
# The first Python here that runs and is 3.11 or 3.12 (a name alone says little: version managers put stand-ins there).
FITS := import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python; do \
	$$p -c '$(FITS)' >/dev/null 2>&1 && { command -v $$p; break; }; done)
UV := .venv/bin/uv
KIT := .venvs/kit/bin
LOCK := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
STACKS := uv kit ray sft rl rl-vllm compress chat

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
# Compiled, for its commands start often, and not every machine lets Python keep what it compiles.
kit: $(UV)
	@if ! cmp -s stacks/kit.txt .venvs/kit/.made-from; then \
	  echo "stack kit: installing stacks/kit.txt into .venvs/kit (once)"; \
	  rm -rf .venvs/kit && UV_PYTHON_DOWNLOADS=never $(UV) venv --quiet --python .venv/bin/python .venvs/kit && \
	  $(UV) pip sync --quiet --require-hashes --compile-bytecode --python .venvs/kit stacks/kit.txt && \
	  $(UV) pip install --quiet --no-deps --python .venvs/kit --editable . && \
	  ln -sf ../../.venvs/kit/bin/finr1 .venv/bin/finr1 && \
	  cp stacks/kit.txt .venvs/kit/.made-from; \
	fi

$(UV): stacks/uv.txt
	@$(or $(PYTHON),false) -c '$(FITS)' || { echo "finr1-kit needs Python 3.11 or 3.12: make PYTHON=/path/to/python3.12 ..."; exit 2; }
	$(PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r stacks/uv.txt
	@touch $(UV)

# Pin all stacks anew from stacks/*.in; the files record no download address.
lock: $(UV)
	for stack in $(STACKS); do $(LOCK) stacks/$$stack.in -o stacks/$$stack.txt || exit 1; done
	$(LOCK) --no-deps stacks/model.in -o stacks/model.txt
