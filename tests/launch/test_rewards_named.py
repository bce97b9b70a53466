"""What a training says when a reward fails in its middle: which one, and what it did."""

from __future__ import annotations

from typing import Any

import pytest

from launch.grpo import _told_by_name
from reward_plugins.rewards import finance_format

SAID = [[{"role": "assistant", "content": "4"}]]


def divides(completions: list[Any], **columns: Any) -> list[float]:
    return [1 / 0 for _ in completions]


def forgets(completions: list[Any], **columns: Any) -> None:
    return None


def words(completions: list[Any], **columns: Any) -> list[str]:
    return ["high" for _ in completions]


@pytest.mark.parametrize(
    ("reward", "says"),
    [(divides, "mine.reward fails: ZeroDivisionError"), (forgets, "gives None"), (words, r"gives \['high'\]")],
)
def test_a_fault_names_its_reward(reward: Any, says: str) -> None:
    with pytest.raises(RuntimeError, match=says):
        _told_by_name("mine.reward", reward)(completions=SAID)


def test_a_good_reward_stays_what_it_is() -> None:
    told = _told_by_name("reward_plugins.rewards.finance_format", finance_format)
    assert told.__name__ == "finance_format"  # the trainer names its metric by it
    assert told(completions=SAID) == finance_format(completions=SAID)
