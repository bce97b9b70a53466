"""The keys of an engine's recipe and their values: known, of the right kind, within what makes sense, and together."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from launch.check import together
from launch.check.finding import Findings, holds, mistake
from reward_plugins.errors import did_you_mean

Kinds = Mapping[str, Mapping[str, Any]]
"""An engine's keys with their kinds and choices, as `launch/inside/answer.py` gives them."""


class Bound(NamedTuple):
    """Where a number must lie: from `least` to `most`, or above `least` if `open`."""

    least: float
    most: float = math.inf
    open: bool = False
    why: str = ""

    def has(self, number: float) -> bool:
        """Whether the number lies inside."""
        return (number > self.least if self.open else number >= self.least) and number <= self.most

    def __str__(self) -> str:
        low = f"{'above' if self.open else 'at least'} {self.least:g}"
        high = f" and at most {self.most:g}" if self.most < math.inf else ""
        return f"{low}{high}{f' ({self.why})' if self.why else ''}"


_COUNT = Bound(1)
_SHARE = Bound(0, 1)

BOUNDS: dict[str, Bound] = {
    # ten times what full fine-tuning, LoRA or GRPO are ever run with (1e-7 to 1e-3)
    "learning_rate": Bound(0, 0.01, open=True, why="usual are 1e-6 to 5e-4"),
    "per_device_train_batch_size": _COUNT,
    "per_device_eval_batch_size": _COUNT,
    "gradient_accumulation_steps": _COUNT,
    "steps_per_generation": _COUNT,
    "prompts_per_step": _COUNT,
    "samples_per_update": _COUNT,
    "num_generations": Bound(2, why="a group of one completion has nothing to compare"),
    "num_iterations": _COUNT,
    "cutoff_len": _COUNT,
    "max_prompt_length": _COUNT,
    "max_completion_length": _COUNT,
    "max_samples": _COUNT,
    "warmup_ratio": _SHARE,
    "warmup_steps": Bound(0),
    "max_steps": Bound(-1, why="-1 leaves the end to num_train_epochs"),
    "preprocessing_num_workers": _COUNT,
    "dataloader_num_workers": Bound(0),
    "weight_decay": _SHARE,
    "max_grad_norm": Bound(0),
    "seed": Bound(0),
    "logging_steps": Bound(0, open=True),
    "save_steps": Bound(0, open=True),
    "eval_steps": Bound(0, open=True),
    "save_total_limit": _COUNT,
    "val_size": Bound(0),
    "ddp_timeout": _COUNT,
    "lora_rank": _COUNT,
    "lora_r": _COUNT,
    "lora_alpha": Bound(0, open=True),
    "lora_dropout": Bound(0, 0.9, why="at 1 nothing passes, and nothing is learned"),
    "quantization_bit": Bound(1, 8),
    "beta": Bound(0),
    "pref_beta": Bound(0, open=True),
    "epsilon": Bound(0, open=True),
    "temperature": Bound(0, 10, open=True, why="at 0 all completions of a prompt are the same"),
    "top_p": Bound(0, 1, open=True),
    "top_k": Bound(-1),
    "min_p": _SHARE,
    "repetition_penalty": Bound(0, open=True),
    "vllm_gpu_memory_utilization": Bound(0, 1, open=True, why="a share of the card"),
    "vllm_tensor_parallel_size": _COUNT,
}
"""Numbers outside these make a run fail late, or learn nothing. Keys that are not here may be any number."""

_SHELL = re.compile(r"~\w*/|\$\{?\w+\}?/")
"""How a path begins that only a shell can read: an engine would make a folder of that name."""

_NUMBERS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "list": "a list",
    "dict": "a mapping",
}


def unknown_keys(asked: Mapping[str, Any], known: set[str]) -> Findings:
    """A mistake for each key that the engine does not know."""
    for key in asked:
        if key not in known:
            yield mistake("keys", f"unknown key {key!r}{did_you_mean(str(key), known)}", str(key))


def missing_keys(asked: Mapping[str, Any], needed: tuple[str, ...]) -> Findings:
    """A mistake for each key that every run needs and this one lacks."""
    for key in needed:
        if asked.get(key) in (None, ""):
            yield mistake("keys", f"key {key!r} is missing")


def values(asked: Mapping[str, Any], kinds: Kinds) -> Findings:
    """Mistakes in the values: of another kind than the key takes, none of its choices, out of bounds."""
    wrong = False
    for key, value in asked.items():
        if said := _of_wrong_kind(key, value, kinds.get(key)) or _out_of_bounds(key, value) or _of_a_shell(key, value):
            wrong = True
            yield mistake("values", said, str(key))
    sound = of_kind(asked, kinds)
    for finding in (*_ends(sound), *together.trainer(sound)):
        wrong = True
        yield finding
    if not wrong:
        yield holds("values", f"{len(asked)} keys, each of its kind and within bounds")


def of_kind(asked: Mapping[str, Any], kinds: Kinds) -> dict[str, Any]:
    """The keys whose values are of the kinds given, and those for which none is given."""
    return {key: value for key, value in asked.items() if not _of_wrong_kind(key, value, kinds.get(key))}


def _of_wrong_kind(key: str, value: Any, takes: Mapping[str, Any] | None) -> str:
    if takes is None or "any" in takes["kinds"]:
        return ""
    if key == "resume_from_checkpoint" and isinstance(value, bool):
        return ""  # both engines take it, though their classes name a text: the newest checkpoint, or none
    kinds, choices = takes["kinds"], takes["choices"]
    words = " or ".join(_NUMBERS[kind] for kind in kinds if kind in _NUMBERS)
    kind = "null" if value is None else type(value).__name__
    if kind == "bool" and "bool" not in kinds and "str" in kinds:
        return f'{key} is {str(value).lower()}, which YAML makes of an unquoted yes or no; quote it: {key}: "no"'
    fits = kind in kinds or (kind == "int" and "float" in kinds)
    # One name is taken for a list of one; a number is not.
    fits = fits or (kind == "str" and "list" in kinds and not _is_number(value))
    if kind == "null" and not fits:
        return f"{key} has no value; give {words}, or leave the key out"
    if not fits:
        hint = ""
        if kind == "str" and {"int", "float"} & set(kinds):
            hint = "; take away the quotes" if _is_number(value) else ""
        return f"{key} is {value!r}, and takes {words}{hint}"
    if choices and kind == "str" and value not in choices:
        return f"{key}: {value!r} is none of its choices{did_you_mean(value, map(str, choices))}"
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _out_of_bounds(key: str, value: Any) -> str:
    bound = BOUNDS.get(key)
    if bound is None or isinstance(value, bool) or not isinstance(value, int | float) or bound.has(value):
        return ""
    return f"{key} is {value:g}; it must be {bound}"


def _of_a_shell(key: str, value: Any) -> str:
    if not isinstance(value, str) or not _SHELL.match(value):
        return ""
    return f"{key} is {value!r}, and nobody but a shell knows what that stands for; write the path out"


def _ends(asked: Mapping[str, Any]) -> Findings:
    steps, epochs = asked.get("max_steps", -1), asked.get("num_train_epochs", 1)
    if steps == 0 or (isinstance(epochs, int | float) and epochs <= 0 and not _positive(steps)):
        key = "max_steps" if steps == 0 else "num_train_epochs"
        yield mistake("values", f"{key} is {asked[key]}: the run would train nothing; give a number above 0")


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0
