"""What a learning rate's schedule takes in `lr_scheduler_kwargs`: transformers finds out in a run's first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launch.check.finding import Findings, mistake
from reward_plugins.errors import did_you_mean

_CYCLES = ("num_cycles",)
_LEAST = ("min_lr", "min_lr_rate", *_CYCLES)

TAKES: Mapping[str, tuple[str, ...]] = {
    "linear": (),
    "cosine": _CYCLES,
    "cosine_with_restarts": _CYCLES,
    "polynomial": ("lr_end", "power"),
    "inverse_sqrt": ("timescale",),
    "cosine_with_min_lr": _LEAST,
    "cosine_warmup_with_min_lr": (*_LEAST, "warmup_lr_rate"),
    "warmup_stable_decay": (
        *("num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio"),
        *_CYCLES,
    ),
}
"""The settings of each schedule in transformers 5 (and 4.52). Those that are not here take none, or any."""

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "cosine_with_min_lr": ("min_lr", "min_lr_rate"),
    "cosine_warmup_with_min_lr": ("min_lr", "min_lr_rate"),
    "warmup_stable_decay": ("num_decay_steps",),
}
"""Settings of which a schedule needs exactly one."""

_WORDS = ("warmup_type", "decay_type")


def schedule(asked: Mapping[str, Any]) -> Findings:
    """Mistakes in `lr_scheduler_kwargs` for the recipe's `lr_scheduler_type`."""
    name, given = asked.get("lr_scheduler_type", "linear"), asked.get("lr_scheduler_kwargs") or {}
    if name not in TAKES or not isinstance(given, Mapping):
        return
    for key, value in given.items():
        if key not in TAKES[name]:
            near = did_you_mean(key, TAKES[name])
            yield mistake("values", f"lr_scheduler_kwargs: {name} takes no {key!r}{near}")
            return
        if key not in _WORDS and (isinstance(value, bool) or not isinstance(value, int | float)):
            yield mistake("values", f"lr_scheduler_kwargs: {key} is {value!r}, and takes a number")
    one_of = _NEEDS.get(name, ())
    if one_of and sum(key in given for key in one_of) != 1:
        yield mistake(
            "values", f"lr_scheduler_type: {name} needs {' or '.join(one_of)} in lr_scheduler_kwargs; give one"
        )
