"""Warnings while a trainer runs, from the metrics that it logs: what a person would otherwise see hours later."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

History = list[dict[str, float]]
"""The metrics of each logged step, oldest first, under the trainer's own names."""

_WINDOW = 5
"""Logged steps that a rule looks at: one step of a small batch proves nothing, and five cost little to wait for."""


def warnings(history: History) -> list[str]:
    """What looks wrong now, each as one sentence that begins with its subject and a colon; [] where nothing does."""
    return [said for rule in RULES if (said := rule(history))]


def numbers(log: list[dict[str, Any]]) -> History:
    """A trainer's log without what is no number (a metric of a step may be None, and a summary holds words)."""
    return [{key: value for key, value in entry.items() if isinstance(value, int | float)} for entry in log]


def _last(history: History, name: str, count: int = _WINDOW) -> list[float]:
    """The newest values of a metric, oldest first; [] where there are fewer than `count`."""
    values = [entry[name] for entry in history if entry.get(name) is not None]
    return values[-count:] if len(values) >= count else []


def _loss_is_no_number(history: History) -> str | None:
    bad = [name for name in ("loss", "grad_norm", "reward") if history and not math.isfinite(history[-1].get(name, 0))]
    return f"{bad[0]}: it is no number any more; lower learning_rate, or look at the last batch" if bad else None


def _reward_constant(history: History) -> str | None:
    rewards = _last(history, "reward")
    if rewards and max(rewards) == min(rewards):
        return (
            f"reward: {rewards[-1]:g} in each of the last {len(rewards)} logged steps, so nothing is learned; score the "
            "gold answers and a few samples with `finr1 explain`"
        )
    return None


def _groups_agree(history: History) -> str | None:
    shares = _last(history, "frac_reward_zero_std")
    if shares and min(shares) > _MOST_AGREEING:
        return (
            f"frac_reward_zero_std: {shares[-1]:.0%} of the groups have one reward for all their completions and teach "
            "nothing; take prompts of middling difficulty, a higher temperature or more num_generations"
        )
    return None


def _completions_cut(history: History) -> str | None:
    shares = _last(history, "completions/clipped_ratio")
    if shares and min(shares) > _MOST_CUT:
        return (
            f"completions/clipped_ratio: {shares[-1]:.0%} of the completions end at max_completion_length, before their "
            "answer; raise it, or train the form by SFT first"
        )
    return None


def _kl_explodes(history: History) -> str | None:
    values = _last(history, "kl")
    if values and min(values) > _MOST_KL:
        return f"kl: {values[-1]:.3g} from the reference model; lower learning_rate or raise beta"
    return None


def _length_collapses(history: History) -> str | None:
    lengths = _last(history, "completions/mean_length", 2 * _WINDOW)
    if lengths:
        before, now = sum(lengths[:_WINDOW]) / _WINDOW, sum(lengths[-_WINDOW:]) / _WINDOW
        best = max(before, max(entry.get("completions/mean_length") or 0 for entry in history[:_WINDOW]))
        if now < best * _LEAST_LENGTH:
            return (
                f"completions/mean_length: {now:.0f} tokens, down from {best:.0f}; the model may have learned to answer "
                "without reasoning: read some completions (log_completions: true)"
            )
    return None


_MOST_AGREEING = 0.9
"""Above it fewer than one group in ten has a gradient."""
_MOST_CUT = 0.5
"""Most completions never reach their answer, so the reward judges a fragment."""
_MOST_KL = 10.0
"""Nats a token summed as TRL logs it: published GRPO runs stay below 1; at 10 the model is another one."""
_LEAST_LENGTH = 0.25
"""A quarter of what it wrote before: shortening to a half is common where answers were padded."""

RULES: tuple[Callable[[History], str | None], ...] = (
    _loss_is_no_number,
    _reward_constant,
    _groups_agree,
    _completions_cut,
    _kl_explodes,
    _length_collapses,
)
