"""open-r1: put the kit's rewards where its registry looks, then run its script.

python -m reward_plugins.bridges.for_open_r1 --config recipe.yaml   # reward_funcs: [finance_accuracy, finance_format]
"""

from __future__ import annotations

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
            found += [OURS[name]] if name in OURS else original(script_args)
        script_args.reward_funcs = wanted
        return found

    theirs.get_reward_funcs = get_reward_funcs


if __name__ == "__main__":
    install()
    runpy.run_module("open_r1.grpo", run_name="__main__")
