"""OpenRLHF: `--remote_rm_url <this file>` with `--label_key solution`."""

from __future__ import annotations

from typing import Any

import torch

from reward_plugins import verify


def reward_func(queries: list[str], prompts: list[str], labels: list[str], **_: Any) -> dict[str, Any]:
    """Rewards, scores and logs as tensors; a query is its prompt followed by the completion."""
    pairs = zip(queries, prompts, labels, strict=True)
    verdicts = [verify(query.removeprefix(prompt), label, prompt) for query, prompt, label in pairs]
    scores = torch.tensor([float(verdict.correct) for verdict in verdicts])
    undecided = torch.tensor([float(verdict.status == "undecided") for verdict in verdicts])
    return {"rewards": scores, "scores": scores, "extra_logs": {"undecided": undecided}}
