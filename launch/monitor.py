"""Warnings while a trainer runs, from the metrics that it logs: what a person would otherwise see hours later."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

History = list[dict[str, float]]
"""The metrics of each logged step, oldest first, under the trainer's own names."""

Rule = Callable[[History], str | None]
"""What it says of a history, None where it finds nothing wrong."""

_ONE_REWARD = re.compile(r"rewards/.+/mean")

_WINDOW = 5
"""Logged steps that a rule looks at: one step of a small batch proves nothing, and five cost little to wait for."""


class Watch:
    """Tells what looks wrong in a growing history by some rules, each rule once."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = list(rules)

    def new(self, history: History) -> list[str]:
        """What looks wrong now and was not told yet, each as one sentence that begins with its subject and a colon."""
        told = {rule: said for rule in self._rules if (said := rule(history))}
        self._rules = [rule for rule in self._rules if rule not in told]
        return list(told.values())


def warnings(history: History, rules: Iterable[Rule]) -> list[str]:
    """All that looks wrong by these rules now; [] where nothing does."""
    return Watch(rules).new(history)


def numbers(log: list[dict[str, Any]]) -> History:
    """A trainer's log without what is no number (a metric of a step may be None, and a summary holds words)."""
    return [{key: value for key, value in entry.items() if isinstance(value, int | float)} for entry in log]


def _last(history: History, name: str, count: int = _WINDOW) -> list[float]:
    """The newest values of a metric, oldest first; [] where there are fewer than `count`."""
    values = [entry[name] for entry in history if entry.get(name) is not None]
    return values[-count:] if len(values) >= count else []


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _loss_is_no_number(history: History) -> str | None:
    names = ("loss", "eval_loss", "grad_norm", "reward")
    bad = [name for name in names if history and not math.isfinite(history[-1].get(name, 0))]
    return f"{bad[0]}: it is no number any more; lower learning_rate, or look at the last batch" if bad else None


def _learning_rate_is_zero(history: History) -> str | None:
    rates = _last(history, "learning_rate")
    if rates and not any(rates):
        return (
            f"learning_rate: 0 in each of the last {len(rates)} logged steps, so nothing is learned; look at learning_rate, "
            "warmup_ratio and lr_scheduler_type"
        )
    return None


def _gradient_is_zero(history: History) -> str | None:
    norms = _last(history, "grad_norm")
    if norms and not any(norms):
        return (
            f"grad_norm: 0 in each of the last {len(norms)} logged steps, so nothing is learned; the answers may be cut off "
            "(cutoff_len), or all that could be trained is frozen"
        )
    return None


def _gradient_explodes(history: History) -> str | None:
    norms = [entry["grad_norm"] for entry in history if "grad_norm" in entry]
    before, now = norms[:-_WINDOW], norms[-_WINDOW:]
    if len(before) >= _WINDOW and min(now) > _MOST_GRADIENT * statistics.median(before) > 0:
        return (
            f"grad_norm: {now[-1]:.3g}, up from {statistics.median(before):.3g}; lower learning_rate, or look at the last "
            "batches"
        )
    return None


def _loss_rises(history: History) -> str | None:
    losses = [entry["loss"] for entry in history if "loss" in entry]
    means = [_mean(losses[at : at + _WINDOW]) for at in range(len(losses) - _WINDOW + 1)]
    if means and means[-1] > _MOST_RISE * min(means) > 0:
        return f"loss: {means[-1]:.3g}, up from {min(means):.3g}; lower learning_rate, or raise warmup_ratio"
    return None


def _loss_is_flat(history: History) -> str | None:
    losses = [entry["loss"] for entry in history if "loss" in entry]
    rates = [entry["learning_rate"] for entry in history if "learning_rate" in entry]
    trained = sum(rate >= max(rates) / 2 for rate in rates)  # a warm-up teaches little, and is no reason to worry
    if len(losses) < _LONG or trained < _LONG:
        return None
    began, now = _mean(losses[:_WINDOW]), _mean(losses[-_WINDOW:])
    if now > _LEAST_FALL * began:
        return (
            f"loss: {now:.3g} after {len(losses)} logged steps, and {began:.3g} in the first; raise learning_rate, or see "
            "whether the data can be learned (template, answers)"
        )
    return None


def _evaluation_rises(history: History) -> str | None:
    losses = [entry["eval_loss"] for entry in history if "eval_loss" in entry]
    if len(losses) > 2 and min(losses[-2:]) > _MOST_EVALUATION * min(losses[:-2]):
        return (
            f"eval_loss: {losses[-1]:.3g}, up from {min(losses):.3g} two evaluations in a row: what is learned now holds for "
            "the training rows only; train fewer epochs, or keep the best (load_best_model_at_end: true)"
        )
    return None


def _reward_constant(history: History) -> str | None:
    rewards = _last(history, "reward")
    if rewards and max(rewards) == min(rewards):
        return (
            f"reward: {rewards[-1]:g} in each of the last {len(rewards)} logged steps, so nothing is learned; score the "
            "gold answers and a few samples with `finr1 explain`"
        )
    return None


def _reward_is_silent(history: History) -> str | None:
    steps = [entry for entry in history if "reward" in entry]
    for name in sorted({name for entry in steps for name in entry if _ONE_REWARD.fullmatch(name)}):
        if len(steps) >= _WINDOW and not any(name in entry for entry in steps[-_WINDOW:]):
            return (
                f"{name}: no value in each of the last {_WINDOW} logged steps, so it counts for nothing; see why it gives "
                "None or no number (a judge that is gone?)"
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

_MOST_GRADIENT = 10.0
"""Times its median so far: in healthy runs of the 135M model single batches came to 3.6 times, and five in a row never."""
_MOST_RISE = 1.5
"""Times the lowest mean of five logged steps: in healthy runs of the 135M model it rose by a twentieth at most."""
_LONG = 20
"""Logged steps after which a loss that did not fall means something."""
_LEAST_FALL = 0.99
"""Of the loss at the beginning: healthy runs of the 135M model were at a half or less by then."""
_MOST_EVALUATION = 1.01
"""Times the lowest, twice in a row: a loss that only wavers around its end is no warning."""

SFT: tuple[Rule, ...] = (
    _loss_is_no_number,
    _learning_rate_is_zero,
    _gradient_is_zero,
    _gradient_explodes,
    _loss_rises,
    _loss_is_flat,
    _evaluation_rises,
)
GRPO: tuple[Rule, ...] = (
    _loss_is_no_number,
    _learning_rate_is_zero,
    _reward_constant,
    _reward_is_silent,
    _groups_agree,
    _completions_cut,
    _kl_explodes,
    _length_collapses,
)
"""A group's agreement makes GRPO's loss and gradient zero, and its loss need not fall: rewards say how it goes."""
