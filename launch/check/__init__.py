"""What can be known of a recipe before a model is loaded: keys, files, columns, golds, rewards, lengths, batches, memory,
and the string that the model sees.

`kinds.look_over` checks a recipe of any kind and returns all that it found at once. Each finding is in one of five
states (see `finding`): it holds, it is worth a note, it is a mistake on any machine, this machine lacks something, or
it cannot be looked at from here. `need_sft`, `need_merge` and `need_grpo` are the gate before an engine: the same
checks, and a refusal of all that is wrong or lacking.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from launch.check.checked import Checked
from launch.check.finding import Finding, State, need
from launch.check.grpo_recipes import grpo, grpo_batch, grpo_data, grpo_keys, grpo_needs_hub
from launch.check.place import Machine, Place, named_machine, this_machine
from launch.check.rows import first_rows
from launch.check.sft_recipes import merge, sft, sft_data, sft_keys, sft_needs_hub
from launch.check.strings import Rendered, Trained, prompts_agree, render_by_chat_template, templates_agree
from reward_plugins.errors import Refused

__all__ = [
    "Checked",
    "Finding",
    "Machine",
    "Place",
    "Rendered",
    "State",
    "Trained",
    "all_told",
    "first_rows",
    "grpo_batch",
    "grpo_data",
    "grpo_keys",
    "grpo_needs_hub",
    "named_machine",
    "need_grpo",
    "need_merge",
    "need_sft",
    "prompts_agree",
    "render_by_chat_template",
    "sft_data",
    "sft_keys",
    "sft_needs_hub",
    "templates_agree",
    "this_machine",
]


def need_sft(asked: Mapping[str, Any], name: str) -> None:
    """Let a recipe of `finr1 sft` pass only if all its checks hold on this machine. Raises `Refused`."""
    need(name, sft(asked, Place(this_machine())).findings)


def need_merge(asked: Mapping[str, Any], name: str) -> None:
    """The same for a recipe of `finr1 merge`. Raises `Refused`."""
    need(name, merge(asked, Place(this_machine())).findings)


def need_grpo(
    asked: Mapping[str, Any],
    name: str,
    accelerate: str | None = None,
    processes: int | None = None,
    open_r1: bool = False,
) -> None:
    """The same for a recipe of `finr1 grpo` and the way in which it is launched. Raises `Refused`."""
    need(name, grpo(asked, Place(this_machine()), accelerate, processes, open_r1).findings)


@contextmanager
def all_told(tell: Callable[[], None]) -> Iterator[None]:
    """Turn the first refusal inside the block into the refusal of all that `tell` finds wrong."""
    try:
        yield
    except Refused:
        tell()
        raise
