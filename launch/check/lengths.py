"""How many rows are longer than the recipe allows: of an SFT row the answer would be cut, a GRPO prompt is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from distill.tokens import Talk, TokenCounter
from launch.check.finding import Finding, Findings, holds, mistake, note, unknown
from launch.check.rows import Row, TrainingSet, spread
from reward_plugins.errors import Refused

_ROWS = 2000
"""Rows that are counted, evenly from all: seconds for long traces, and a share is known to about a percent."""

_CUT_SHARE = 0.01
"""Above it, cut rows are no accident. A cut row teaches to reason on and never to answer."""


def cut_answers(trained: TrainingSet, rows: list[Row], model: str, cutoff: int) -> Findings:
    """Rows over `cutoff_len`, whose end, the answer, LLaMA-Factory cuts off without a word."""
    counter = _counter(model)
    if counter is None:
        yield _no_tokenizer(model)
        return
    tried = spread(rows, _ROWS)
    talks = [trained.talk(row) for row in tried]
    over = sum(counter.longer([Talk(talk[:-1], talk[-1]["content"]) for talk in talks], cutoff))
    if not over:
        yield holds("tokens", f"{trained.name}: none of {len(tried):,} rows has more than cutoff_len {cutoff:,} tokens")
        return
    said = f"cutoff_len: {over:,} of {len(tried):,} rows of {trained.name} have more than {cutoff:,} tokens, and their answers would be cut"
    if over / len(tried) > _CUT_SHARE:
        yield mistake("tokens", f"{said}; raise cutoff_len, or export with cutoff_len: {cutoff}")
    else:
        yield note("tokens", f"{said}; an export with this cutoff_len leaves them out")


def long_prompts(rows: list[Row], model: str, longest: int, each_step: int) -> Findings:
    """Prompts over `max_prompt_length`, which are left out; `each_step` is how many a step needs."""
    counter = _counter(model)
    if counter is None:
        yield _no_tokenizer(model)
        return
    tried = spread(rows, _ROWS)
    over = sum(counter.longer([Talk(row["prompt"]) for row in tried], longest))
    left = round(len(rows) * (1 - over / len(tried)))
    said = f"max_prompt_length: {over:,} of {len(tried):,} prompts have more than {longest:,} tokens and are left out"
    if over and left < each_step:
        yield mistake("tokens", f"{said}, which leaves {left} for steps of {each_step}; raise max_prompt_length")
    elif over:
        yield note("tokens", f"{said}; about {left:,} are trained on")
    else:
        yield holds("tokens", f"none of {len(tried):,} prompts has more than max_prompt_length {longest:,} tokens")


def fits_model(config: Mapping[str, Any], needed: int, keys: str, stretched: bool = False) -> Findings:
    """Whether the model has positions for that many tokens. `stretched`: the recipe scales them (`rope_scaling`)."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or stretched:
        return
    if needed > positions:
        yield mistake(
            "tokens", f"{keys} ask for {needed:,} tokens, and the model has {positions:,} positions; ask for less"
        )


def configuration(model: str) -> dict[str, Any]:
    """A model folder's `config.json`; {} where there is none to read. Raises `Refused` for one that is not JSON."""
    file = Path(model) / "config.json"
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        raise Refused(f"{file} is not JSON; fetch the model again") from None
    return found if isinstance(found, dict) else {}


@cache
def _counter(model: str) -> TokenCounter | None:
    return TokenCounter(Path(model)) if (Path(model) / "tokenizer.json").is_file() else None


def _no_tokenizer(model: str) -> Finding:
    return unknown("tokens", f"{model} has no tokenizer.json on this machine, so no tokens were counted")
