"""Batch sizes are solved so that a recipe means the same on any number of devices."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch.batch import most_ranks, of_recipe, solve
from launch.openr1 import Translation, translate
from reward_plugins.errors import Refused


def test_one_recipe_on_eight_devices_and_on_one() -> None:
    eight = solve(prompts_per_step=64, num_generations=8, ranks=8, most=8)
    one = solve(prompts_per_step=64, num_generations=8, ranks=1, most=8)
    assert (eight.per_device, eight.accumulation, eight.steps_per_generation) == (8, 8, 8)
    assert (one.per_device, one.accumulation, one.steps_per_generation) == (8, 64, 64)
    assert str(eight) == "64 prompts x 8 completions = 512 a rollout = 8 a device x 8 ranks x 8 passes, one update"


def test_several_updates_of_one_rollout() -> None:
    batch = solve(prompts_per_step=64, num_generations=8, ranks=4, most=16, samples_per_update=128)
    assert (batch.per_device, batch.accumulation, batch.steps_per_generation) == (16, 2, 8)
    assert str(batch).endswith("16 a device x 4 ranks x 8 passes; 128 an update, 4 updates")


def test_what_does_not_divide_is_refused_with_what_would() -> None:
    with pytest.raises(
        Refused, match=r"24 completions an update do not divide over 5 ranks; run on 1, 2, 3, 4, 6 or 8"
    ):
        solve(prompts_per_step=6, num_generations=4, ranks=5, most=4)
    with pytest.raises(Refused, match="take a divisor of 24"):
        solve(prompts_per_step=6, num_generations=4, ranks=2, most=4, samples_per_update=10)
    with pytest.raises(Refused, match="at least 2"):
        solve(prompts_per_step=6, num_generations=1, ranks=2, most=4)


def recipe(**keys: object) -> Translation:
    return translate({"reward_funcs": ["reward_plugins.rewards.finance_accuracy"], **keys})


def test_as_many_ranks_as_divide() -> None:
    assert most_ranks(recipe(prompts_per_step=6, num_generations=4), 5) == 4
    assert most_ranks(recipe(prompts_per_step=7, num_generations=3), 2) == 1
    assert most_ranks(recipe(prompts_per_step=6, num_generations=4, samples_per_update=3), 8) == 3
    assert most_ranks(recipe(num_generations=3), 2) == 2


def test_a_recipe_gets_the_solution_in_trls_keys() -> None:
    asked = recipe(prompts_per_step=4, num_generations=4, per_device_train_batch_size=8, gradient_accumulation_steps=99)
    solved = of_recipe(asked, ranks=2)
    assert solved is not None and asked.trl["gradient_accumulation_steps"] == 1
    assert (asked.trl["per_device_train_batch_size"], asked.trl["steps_per_generation"]) == (8, 1)
    assert of_recipe(recipe(), ranks=2) is None
    with pytest.raises(Refused, match="needs prompts_per_step"):
        of_recipe(recipe(samples_per_update=8), ranks=2)


@given(
    prompts=st.integers(1, 100),
    group=st.integers(2, 16),
    ranks=st.integers(1, 16),
    most=st.integers(1, 64),
    parts=st.integers(1, 8),
)
def test_a_solution_does_what_was_asked(prompts: int, group: int, ranks: int, most: int, parts: int) -> None:
    total = prompts * group
    try:
        batch = solve(
            prompts_per_step=prompts,
            num_generations=group,
            ranks=ranks,
            most=most,
            samples_per_update=total // parts or 1,
        )
    except Refused:
        assert total % (total // parts or 1) or (total // parts or 1) % ranks
        return
    assert batch.rollout == total
    assert batch.update == (total // parts or 1)
    assert 1 <= batch.per_device <= most
