"""open-r1: put the kit's rewards where its registry looks, then run its script.

python -m reward_plugins.bridges.for_open_r1 --config recipe.yaml   # reward_funcs: [finance_accuracy, my_module.my_reward]

A name with a dot is a path to a function, as in `trl grpo`; one without is the kit's where it has it, else open-r1's own.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import runpy
from collections.abc import Callable
from typing import Any

from reward_plugins.rewards import finance_accuracy, finance_format

OURS: dict[str, Callable[..., Any]] = {"finance_accuracy": finance_accuracy, "finance_format": finance_format}


def install() -> None:
    """Teach open-r1's `get_reward_funcs` the kit's names; its registry is local to that function."""
    import open_r1.rewards as theirs  # type: ignore[import-not-found,unused-ignore]

    original = theirs.get_reward_funcs

    def get_reward_funcs(script_args: Any) -> list[Callable[..., Any]]:
        wanted = list(script_args.reward_funcs)
        found: list[Callable[..., Any]] = []
        for name in wanted:
            script_args.reward_funcs = [name]
            if name in OURS or "." in name:
                found.append(_at_once(OURS[name] if name in OURS else _at(name)))
            else:
                found += original(script_args)
        script_args.reward_funcs = wanted
        return found

    theirs.get_reward_funcs = get_reward_funcs


def _at(path: str) -> Callable[..., Any]:
    """The function that a dotted path leads to."""
    module, _, name = path.rpartition(".")
    reward: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return reward


def _at_once(reward: Callable[..., Any]) -> Callable[..., Any]:
    """TRL 0.18 takes what a reward gives as the scores: those of one that must be awaited are awaited here."""
    if not any(map(inspect.iscoroutinefunction, (reward, type(reward).__call__))):
        return reward

    @functools.wraps(reward, updated=())
    def scores(**columns: Any) -> Any:
        return asyncio.run(reward(**columns))

    return scores


if __name__ == "__main__":
    install()
    runpy.run_module("open_r1.grpo", run_name="__main__")
