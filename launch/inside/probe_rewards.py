"""rl or kit stack: call a recipe's rewards, as the trainer would, on completions that should not all be worth the same.

Usage: probe_rewards.py < {"rewards": [...], "parameters": {...}, "columns": {name: [...]}, "completions": [...],
"tokens": [...]}. Each column, `completions` (chat messages) and `tokens` (how many each completion counts for) have
one entry for each completion. The answer is a list, in the order of the rewards, of
{"error": why it cannot be called} or {"needs": columns without a default, "scores": [number or null, ...]}.
"""

import asyncio
import inspect
import json
import math
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from launch.grpo import rewards
from launch.openr1 import Translation
from reward_plugins.errors import Refused

# No judge is asked: a check sends nothing and costs nothing.
for name in ("FINR1_JUDGE_URL", "FINR1_JUDGE_MODEL"):
    os.environ.pop(name, None)

given = json.load(sys.stdin)
GIVEN_BY_TRAINER = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric")


def needed(reward: Callable[..., Any]) -> list[str]:
    """The data columns that a reward cannot do without."""
    taken = inspect.signature(reward).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [
        each.name
        for each in taken
        if each.kind in by_name and each.default is inspect.Parameter.empty and each.name not in GIVEN_BY_TRAINER
    ]


def scores(reward: Callable[..., Any]) -> list[float | None]:
    """One number or None for each completion."""
    found = reward(
        completions=given["completions"],
        completion_ids=[list(range(count)) for count in given["tokens"]],
        trainer_state=None,
        log_extra=lambda *_: None,
        log_metric=lambda *_: None,
        **given["columns"],
    )
    if inspect.isawaitable(found):
        found = asyncio.run(_awaited(found))
    if len(found) != len(given["completions"]):
        raise ValueError(f"it gives {len(found)} values for {len(given['completions'])} completions")
    numbers = [None if each is None else float(each) for each in found]
    if not all(each is None or math.isfinite(each) for each in numbers):
        raise ValueError("it gives a value that is no finite number")
    return numbers


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


def probe(name: str) -> dict[str, Any]:
    """What is to be known of one reward."""
    try:
        reward = rewards(Translation(rewards=[name], reward_parameters=given["parameters"]))[0]
        needs = needed(reward)
        lost = [column for column in needs if column not in given["columns"]]
        return {"needs": needs} if lost else {"needs": needs, "scores": scores(reward)}
    except Refused as refusal:
        return {"error": str(refusal)}
    except Exception as error:  # the code is the user's: whatever it raises, it would raise in training
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "failed": True}


out = sys.stdout
sys.stdout = sys.stderr  # what a reward prints is not an answer
answers = [probe(name) for name in given["rewards"]]
print(json.dumps(answers), file=out)
