"""A recipe's test set as the rows that a model is asked: read, put, and with examples in front where these are wanted."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

from eval_adapters import dialogue, few_shot, own_rows
from eval_adapters.catalogue import Benchmark
from eval_adapters.rows import SetRow, content_hash, file_hash, read_prompt, read_rows
from eval_adapters.settings import SetSpec
from reward_plugins.errors import Refused


def load(spec: SetSpec, benchmark: Benchmark) -> list[SetRow]:
    """The rows of a set, all of them, each with its whole prompt.

    Raises:
        Refused: something is missing, malformed, or does not go together; the sentence says what.
    """
    if spec.columns and not benchmark.own_rows:
        raise Refused(f"{spec.benchmark}: columns are for finr1_jsonl only; the kit's own rows have the kit's names")
    read = own_rows.reader(spec.columns) if benchmark.own_rows else None
    rows = read_rows(spec.path, spec.subset, benchmark, read_prompt(spec.system_prompt), read)
    if benchmark.history:
        told = partial(dialogue.messages, told=lambda _: None)
        rows = [row.model_copy(update={"prompt": told(row)}) for row in rows]
    if shots := spec.few_shot:
        chosen = few_shot.examples(shots.path, shots.count, shots.seed, rows, benchmark)
        rows = [few_shot.with_examples(row, chosen) for row in rows]
    return rows


def identity(spec: SetSpec, benchmark: Benchmark) -> dict[str, Any]:
    """All that decides which prompts a set gives, by content and not by place; what is not used is left out."""
    used: dict[str, Any] = {}
    if spec.system_prompt:
        used["system_prompt"] = _sha256(read_prompt(spec.system_prompt))
    if spec.few_shot:
        file = spec.few_shot.path
        if not file.is_file():
            raise Refused(f"few_shot: {file} is no file; name the train.jsonl that finr1 prepare wrote")
        used["few_shot"] = {
            "content": file_hash(file),
            "count": spec.few_shot.count,
            "seed": spec.few_shot.seed,
        }
    if spec.columns:
        used["columns"] = spec.columns
    return {
        "benchmark": benchmark.name,
        "version": benchmark.version,
        "subset": spec.subset,
        "limit": spec.limit,
        "content": content_hash(spec.path, spec.subset),
        **used,
    }


def _sha256(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
