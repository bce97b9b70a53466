"""OpenR1's recipe on TRL 1.16: nothing changes its meaning in silence."""

from __future__ import annotations

import pytest

from launch.openr1 import OLD_DEFAULTS, refuse_code_rewards, table, translate
from reward_plugins.errors import Refused

REWARD = "reward_plugins.rewards.finance_accuracy"


def test_old_names_become_new_ones_and_old_defaults_are_written_out() -> None:
    done = translate({"torch_dtype": "bfloat16", "warmup_ratio": 0.1, "reward_funcs": [REWARD]})
    assert done.trl["dtype"] == "bfloat16"
    assert done.trl["warmup_steps"] == 0.1
    assert {key: done.trl[key] for key in OLD_DEFAULTS} == OLD_DEFAULTS
    assert dict(done.notes)["beta"] == "written out as 0.04, its default in OpenR1"


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


@pytest.mark.parametrize("names", [[], None])
def test_no_reward_is_refused(names: list[str] | None) -> None:
    with pytest.raises(Refused, match="reward_funcs is missing"):
        translate({"reward_funcs": names})


@pytest.mark.parametrize("names", [["code"], ["accuracy", "ioi_code"]])
def test_a_recipe_with_code_rewards_is_read_but_runs_only_on_a_real_open_r1(names: list[str]) -> None:
    done = translate({"reward_funcs": names})
    assert "--engine open-r1" in dict(done.notes)["reward_funcs"]
    with pytest.raises(Refused, match="--engine open-r1"):
        refuse_code_rewards(done)
    refuse_code_rewards(translate({"reward_funcs": ["accuracy", REWARD]}))


def test_every_key_of_a_recipe_has_one_fate_and_the_table_counts_those_that_stay() -> None:
    asked = {"torch_dtype": "float32", "beta": 0.1, "seed": 7, "overwrite_output_dir": True, "reward_funcs": [REWARD]}
    done = translate(asked)
    assert [fate.key for fate in done.fates if fate.kind != "default"] == list(asked)
    shown = table(done.fates)
    assert "dtype: float32" in shown
    assert "3 other keys mean today what they meant" in shown  # beta, seed and the dotted reward


def test_a_bare_no_of_yaml_is_the_word() -> None:
    assert translate({"save_strategy": False, "reward_funcs": [REWARD]}).trl["save_strategy"] == "no"


def test_vllm_is_told_the_longest_sequence() -> None:
    asked = {"use_vllm": True, "max_prompt_length": 100, "max_completion_length": 30, "reward_funcs": [REWARD]}
    assert translate(asked).trl["vllm_max_model_length"] == 130
    assert "vllm_max_model_length" not in translate({**asked, "use_vllm": False}).trl
    assert translate({**asked, "vllm_max_model_length": 500}).trl["vllm_max_model_length"] == 500


@pytest.mark.parametrize("value", [0, -1, 2.5, "64", True])
def test_the_kits_batch_keys_are_whole_numbers(value: object) -> None:
    with pytest.raises(Refused, match="prompts_per_step must be a whole number"):
        translate({"prompts_per_step": value, "reward_funcs": [REWARD]})


def test_the_resolved_recipe_translates_to_itself() -> None:
    asked = {
        "torch_dtype": "float32",
        "warmup_ratio": 0.0,
        "max_prompt_length": 9,
        "wandb_project": "fin",
        "reward_funcs": [REWARD],
    }
    once = translate(asked)
    again = translate(once.resolved())
    assert (again.trl, again.data, again.rewards) == (once.trl, once.data, once.rewards)
    assert again.environment == once.environment
