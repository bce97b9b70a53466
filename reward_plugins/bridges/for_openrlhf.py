"""OpenRLHF: `--reward.remote_url <this file> --data.label_key solution` (older releases: `--remote_rm_url`, `--label_key`)."""

from __future__ import annotations

from typing import Any

import torch

from reward_plugins import verify
from reward_plugins.bridges import row_of
from reward_plugins.rows import fields_of

_TAIL = 64  # characters of a prompt that tell where it ends; a chat template's last marks are shorter


def completion_of(query: str, prompt: str) -> str:
    """What follows the prompt; a prompt that was too long comes back in the query without its beginning."""
    if query.startswith(prompt):
        return query[len(prompt) :]
    _, found, rest = query.partition(prompt[-_TAIL:])
    return rest if found else query


def reward_func(queries: list[str], prompts: list[str], labels: list[str], **_: Any) -> dict[str, Any]:
    """Rewards, scores and logs as tensors; a query is its prompt followed by the completion; a label see `row_of`.

    OpenRLHF has no "no score": an undecided answer scores 0 and is counted in the log.
    """
    verdicts = []
    for query, prompt, label in zip(queries, prompts, labels, strict=True):
        _name, gold, question, meta = fields_of({"question": prompt, **row_of(label)})
        verdicts.append(verify(completion_of(query, prompt), gold, question, meta))
    scores = torch.tensor([float(verdict.correct) for verdict in verdicts])
    undecided = torch.tensor([float(verdict.status == "undecided") for verdict in verdicts])
    return {"rewards": scores, "scores": scores, "extra_logs": {"undecided": undecided}}
