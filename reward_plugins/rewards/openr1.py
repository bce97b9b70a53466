"""The rewards that open-r1's recipes name, with its parameters: accuracy, format, cosine, ...

What counts as right is the kit's verifier. The shapes follow open-r1's documentation and the papers it names:
cosine, repetition: "Demystifying Long Chain-of-Thought Reasoning in LLMs"; length: "Kimi k1.5"; overlong: "DAPO".
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_plugins.completion import completion_text
from reward_plugins.errors import Refused, did_you_mean
from reward_plugins.rewards.accuracy import finance_accuracy
from reward_plugins.rewards.form import finance_format
from reward_plugins.rewards.overlong import SoftOverlong
from reward_plugins.rewards.repeats import Repetition

Completions = Sequence[str | Sequence[Mapping[str, Any]]]
Scores = list[float | None]
Reward = Callable[..., Scores]

_STEP = re.compile(
    r"Step \d+:|^\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,|第[一二三四五六七八九十]+步|首先|其次|然后|最后"
)
_STEPS_WANTED = 3

NAMES = (
    "accuracy",
    "format",
    "tag_count",
    "reasoning_steps",
    "cosine",
    "repetition_penalty",
    "length",
    "soft_overlong_punishment",
)


def reward(
    name: str,
    *,
    cosine_min_value_wrong: float = 0.0,
    cosine_max_value_wrong: float = -0.5,
    cosine_min_value_correct: float = 0.5,
    cosine_max_value_correct: float = 1.0,
    cosine_max_len: int = 1000,
    repetition_n_grams: int = 3,
    repetition_max_penalty: float = -1.0,
    max_completion_len: int = 16384,
    soft_punish_cache: int = 4096,
) -> Reward:
    """The reward of that name; the parameters are the keys of open-r1's recipes, with its defaults.

    Raises `Refused` for a name that open-r1 or the kit does not have.
    """
    made: dict[str, Callable[[], Reward]] = {
        "accuracy": lambda: finance_accuracy,
        "format": lambda: finance_format,
        "tag_count": lambda: tag_count,
        "reasoning_steps": lambda: reasoning_steps,
        "cosine": lambda: Cosine(
            (cosine_min_value_wrong, cosine_max_value_wrong),
            (cosine_min_value_correct, cosine_max_value_correct),
            cosine_max_len,
        ),
        "repetition_penalty": lambda: Repetition(repetition_n_grams, repetition_max_penalty),
        "length": lambda: kimi_length,
        "soft_overlong_punishment": lambda: SoftOverlong(max_completion_len, soft_punish_cache),
    }
    if name not in made:
        raise Refused(f"no reward is named {name!r} (one of your own is a dotted path){did_you_mean(name, made)}")
    return made[name]()


def tag_count(completions: Completions, **columns: Any) -> Scores:
    """A quarter for each of the four tags that stands exactly once."""
    tags = ("<think>", "</think>", "<answer>", "</answer>")
    texts = [completion_text(completion) for completion in completions]
    return [sum(text.count(tag) == 1 for tag in tags) / len(tags) for text in texts]


def reasoning_steps(completions: Completions, **columns: Any) -> Scores:
    """The number of visible steps (Step 1:, 1., bullets, First, 首先, ...), full at three."""
    texts = [completion_text(completion) for completion in completions]
    return [min(1.0, sum(1 for _ in _STEP.finditer(text)) / _STEPS_WANTED) for text in texts]


class Cosine:
    """Shorter is better when right, longer is better when wrong, along half a cosine up to `longest` characters.

    `wrong`, `right`: the (least, greatest) values, the first at `longest` for a right answer; None where only a judge
    could tell.
    """

    def __init__(self, wrong: tuple[float, float], right: tuple[float, float], longest: int) -> None:
        self.wrong, self.right, self.longest = wrong, right, longest
        self.__name__ = "cosine"

    def __call__(self, completions: Completions, solution: Sequence[str], **columns: Any) -> Scores:
        """One score for each completion."""
        columns.pop("log_metric", None)  # the shares are logged by the accuracy reward
        verdicts = finance_accuracy(completions, solution, **columns)
        sizes = [len(completion_text(completion)) for completion in completions]
        return [
            None if score is None else self.value(score == 1.0, size)
            for score, size in zip(verdicts, sizes, strict=True)
        ]

    def value(self, right: bool, size: int) -> float:
        """The score of an answer of that many characters."""
        start, end = (self.right[1], self.right[0]) if right else (self.wrong[1], self.wrong[0])
        progress = min(size / self.longest, 1.0)
        return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def kimi_length(completions: Completions, solution: Sequence[str], **columns: Any) -> Scores:
    """From 0.5 for the shortest to -0.5 for the longest completion of the batch; never above 0 for one that is not right."""
    columns.pop("log_metric", None)
    verdicts = finance_accuracy(completions, solution, **columns)
    sizes = [len(completion_text(completion)) for completion in completions]
    least, span = min(sizes, default=0), max(sizes, default=0) - min(sizes, default=0)
    if span == 0:
        return [0.0] * len(sizes)
    values = [0.5 - (size - least) / span for size in sizes]
    return [value if score == 1.0 else min(0.0, value) for value, score in zip(values, verdicts, strict=True)]
