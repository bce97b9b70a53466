"""What several samples of each question say: pass@k, and the answer that most of them give.

Source of pass@k: M. Chen et al., "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, section 2.1: of n
samples with c right ones, 1 - C(n - c, k) / C(n, k) is the unbiased chance that one of k is right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from eval_adapters.reviews import Row
from launch.report.intervals import proportion
from reward_plugins import verify
from reward_plugins.spans import normal


def several_samples(questions: Sequence[Sequence[Row]], seed: int) -> dict[str, Any] | None:
    """pass@k for k = 1, 2, 4, ... and the majority's accuracy, over questions of which n samples are rated.

    None where each question was asked once. A question with fewer rated samples than the others (one failed, or only a
    judge can decide it) is left out of all of them, so that each k speaks of the same questions; `left_out` counts it.
    """
    most = max((len(samples) for samples in questions), default=0)
    if most < 2:
        return None
    whole = [samples for samples in questions if len(samples) == most and all(row.rated for row in samples)]
    documents = [samples[0].doc for samples in whole]
    right = [sum(row.correct for row in samples) for samples in whole]

    def estimate(values: list[float]) -> dict[str, Any] | None:
        found = proportion(values, documents, seed)
        return asdict(found) if found else None

    ks = sorted({2**power for power in range(most.bit_length())} | {most})
    return {
        "samples": most,
        "questions": len(whole),
        "left_out": len(questions) - len(whole),
        "pass_at_k": {str(k): estimate([pass_at_k(most, c, k) for c in right]) for k in ks if k <= most},
        "majority": estimate([majority(samples) for samples in whole]),
    }


def pass_at_k(n: int, right: int, k: int) -> float:
    """The unbiased chance that of `k` samples, drawn from `n` of which `right` are right, at least one is."""
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def majority(samples: Sequence[Row]) -> float:
    """Whether the answer that most samples give is right; a share where several answers are given equally often.

    Samples without an answer do not vote. Two answers are one if the verifier takes the one for the other; the gold has
    no part in that. Where no sample answers it is 0.
    """
    votes: list[list[Row]] = []
    for row in samples:
        if row.status not in ("correct", "wrong"):
            continue
        same = next((group for group in votes if _same(group[0], row)), None)
        if same is None:
            votes.append([row])
        else:
            same.append(row)
    most = max(map(len, votes), default=0)
    leading = [group for group in votes if len(group) == most]
    # A group may hold a right and a wrong writing of nearly one value: then the first one speaks for it.
    return sum(group[0].correct for group in leading) / len(leading) if leading else 0.0


def _same(one: Row, other: Row) -> bool:
    if normal(one.extracted) == normal(other.extracted):
        return True
    if not one.extracted or not other.extracted:
        return False
    return verify(f"<answer>{other.extracted}</answer>", one.extracted, one.question).correct
