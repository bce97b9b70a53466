"""A recipe in open-r1's own terms: old names, one text column, and no value that its TRL 0.18 lacks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launch import batch
from launch.open_r1_engine import old_data, old_recipe, run
from launch.openr1 import translate
from reward_plugins.bridges import for_open_r1
from reward_plugins.errors import Refused
from reward_plugins.rewards import finance_accuracy

REWARD = "reward_plugins.rewards.finance_accuracy"


def old(ranks: int = 2, **keys: Any) -> dict[str, Any]:
    asked = {"reward_funcs": [REWARD], **keys}
    translated = translate(asked)
    batch.of_recipe(translated, ranks)
    return old_recipe(asked, translated)


def test_an_open_r1_recipe_stays_as_it_is() -> None:
    asked = {"torch_dtype": "bfloat16", "warmup_ratio": 0.1, "max_prompt_length": 512, "report_to": ["wandb"]}
    assert old(**asked) == {"reward_funcs": [REWARD], **asked}


def test_todays_names_and_values_get_their_old_ones() -> None:
    given = old(
        dtype="float32", scale_rewards="none", warmup_steps=0.1, vllm_enable_sleep_mode=True, vllm_device="auto"
    )
    assert given == {
        "reward_funcs": [REWARD],
        "torch_dtype": "float32",
        "scale_rewards": False,
        "warmup_ratio": 0.1,
        "report_to": "none",
    }


def test_batches_are_solved_for_it_too() -> None:
    given = old(ranks=2, prompts_per_step=4, num_generations=4, per_device_train_batch_size=4)
    assert "prompts_per_step" not in given
    assert (given["per_device_train_batch_size"], given["gradient_accumulation_steps"]) == (4, 2)


@pytest.mark.parametrize("keys", [{"loss_type": "dapo"}, {"scale_rewards": "batch"}])
def test_what_trl_018_cannot_do_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"newer than the TRL 0\.18"):
        old(**keys)


def write(folder: Path, *prompts: object) -> Path:
    folder.mkdir(parents=True)
    file = folder / "train.jsonl"
    file.write_text("".join(json.dumps({"prompt": prompt, "solution": "1"}) + "\n" for prompt in prompts))
    return file


def talk(text: str, system: str = "") -> list[dict[str, str]]:
    head = [{"role": "system", "content": system}] if system else []
    return [*head, {"role": "user", "content": text}]


def test_conversations_become_one_text_column_and_a_system_prompt(home: Path) -> None:
    file = write(home / "datasets" / "x", talk("1+1?", "Think."), talk("2+2?", "Think."))
    keys = old_data({"dataset_name": "datasets/x"}, [file], home / "out")
    assert keys == {"dataset_name": str(home / "out" / "open_r1_data"), "system_prompt": "Think."}
    rows = [json.loads(line) for line in (home / "out" / "open_r1_data" / "train.jsonl").read_text().splitlines()]
    assert rows == [{"prompt": "1+1?", "solution": "1"}, {"prompt": "2+2?", "solution": "1"}]


def test_text_and_sets_of_a_hub_are_left_alone(home: Path) -> None:
    file = write(home / "datasets" / "x", "1+1?")
    assert old_data({"dataset_name": "datasets/x"}, [file], home / "out") == {"dataset_name": str(file.parent)}
    assert old_data({"dataset_name": "open-r1/OpenR1-Math-220k"}, [], home / "out") == {}


def test_prompts_that_its_script_cannot_build_are_refused(home: Path) -> None:
    two = [*talk("1+1?"), {"role": "assistant", "content": "2"}, *talk("and 2+2?")]
    with pytest.raises(Refused, match="one user turn only"):
        old_data({"dataset_name": "datasets/a"}, [write(home / "datasets" / "a", two)], home / "out")
    mixed = write(home / "datasets" / "b", talk("1?", "Think."), talk("2?"))
    with pytest.raises(Refused, match="different system prompts"):
        old_data({"dataset_name": "datasets/b"}, [mixed], home / "out")


def test_a_missing_checkout_or_environment_is_refused_in_one_sentence(home: Path) -> None:
    with pytest.raises(Refused, match="--open-r1 PATH"):
        run("recipe.yaml", [], open_r1=None, python=None)
    with pytest.raises(Refused, match="no checkout of open-r1"):
        run("recipe.yaml", [], open_r1=str(home), python=None)
    (home / "src" / "open_r1").mkdir(parents=True)
    (home / "src" / "open_r1" / "grpo.py").touch()
    with pytest.raises(Refused, match="--python PATH"):
        run("recipe.yaml", [], open_r1=str(home), python=None)


def test_the_bridge_follows_dotted_paths_and_awaits_what_must_be_awaited() -> None:
    class Later:
        __name__ = "later"

        async def __call__(self, completions: list[str], **columns: Any) -> list[float]:
            return [float(len(text)) for text in completions]

    assert for_open_r1._at_once(Later())(completions=["ab"]) == [2.0]
    assert for_open_r1._at_once(finance_accuracy) is finance_accuracy
    assert for_open_r1._at(REWARD) is finance_accuracy
