"""OpenR1's recipe on TRL 1.16: nothing changes its meaning in silence."""

from __future__ import annotations

import pytest

from launch.openr1 import OLD_DEFAULTS, translate
from reward_plugins.errors import Refused

REWARD = "reward_plugins.rewards.finance_accuracy"


def test_old_names_become_new_ones_and_old_defaults_are_written_out() -> None:
    done = translate({"torch_dtype": "bfloat16", "warmup_ratio": 0.1, "reward_funcs": [REWARD]})
    assert done.trl["dtype"] == "bfloat16"
    assert done.trl["warmup_steps"] == 0.1
    assert {key: done.trl[key] for key in OLD_DEFAULTS} == OLD_DEFAULTS
    assert dict(done.notes)["beta"] == "written out as 0.04, its default in TRL 0.18"


def test_what_a_recipe_says_wins_over_old_defaults() -> None:
    done = translate({"beta": 0.0, "scale_rewards": False, "reward_funcs": REWARD})
    assert done.trl["beta"] == 0.0
    assert done.trl["scale_rewards"] == "none"
    assert done.rewards == [REWARD]


def test_wandb_names_become_environment_variables() -> None:
    done = translate({"wandb_project": "fin", "wandb_entity": None, "reward_funcs": [REWARD]})
    assert done.environment == {"WANDB_PROJECT": "fin"}


def test_reward_parameters_and_data_keys_are_kept_apart() -> None:
    asked = {"cosine_max_len": 500, "system_prompt": "Think.", "max_prompt_length": 64, "reward_funcs": ["cosine"]}
    done = translate(asked, known=set())
    assert done.reward_parameters == {"cosine_max_len": 500}
    assert done.data == {"system_prompt": "Think.", "max_prompt_length": 64}


def test_an_unknown_key_is_refused_with_a_suggestion() -> None:
    with pytest.raises(Refused, match=r"'num_generation'; did you mean 'num_generations'\?"):
        translate({"num_generation": 4, "reward_funcs": [REWARD]}, known={"num_generations"})


def test_a_key_and_its_old_name_together_are_refused() -> None:
    with pytest.raises(Refused, match="old name of 'dtype'"):
        translate({"torch_dtype": "float32", "dtype": "bfloat16", "reward_funcs": [REWARD]})


@pytest.mark.parametrize("names", [[], None, ["code"], ["accuracy", "ioi_code"]])
def test_no_reward_or_one_that_runs_code_is_refused(names: list[str] | None) -> None:
    with pytest.raises(Refused):
        translate({"reward_funcs": names})


def test_the_resolved_recipe_translates_to_itself() -> None:
    asked = {"torch_dtype": "float32", "warmup_ratio": 0.0, "max_prompt_length": 9, "reward_funcs": [REWARD]}
    once = translate(asked)
    again = translate(once.resolved())
    assert (again.trl, again.data, again.rewards) == (once.trl, once.data, once.rewards)
