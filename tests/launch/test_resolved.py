"""What stands beside a run: the recipe as it was used, for `trl grpo` too where that can do it; and its curves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from launch import batch, checkpoints, curves, recipe, resolved
from launch.openr1 import Translation, translate
from launch.paths import KIT

REWARD = "reward_plugins.rewards.finance_accuracy"


def asked(**keys: object) -> Translation:
    return translate({"reward_funcs": [REWARD], "output_dir": "runs/x", **keys})


def test_the_recipe_for_trl_has_dotted_rewards_absolute_paths_and_the_environment(home: Path, tmp_path: Path) -> None:
    (home / "datasets" / "mine").mkdir(parents=True)
    keys = {"reward_funcs": ["accuracy", "tag_count"], "dataset_name": "datasets/mine", "wandb_project": "fin"}
    resolved.write(asked(**keys, model_name_or_path="Qwen/Qwen3-4B"), tmp_path / "out")
    written = yaml.safe_load((tmp_path / "out" / "trl_recipe.yaml").read_text(encoding="utf-8"))
    assert written["reward_funcs"] == [REWARD, "reward_plugins.rewards.openr1.tag_count"]
    assert written["dataset_name"] == str(home / "datasets" / "mine")
    assert written["output_dir"] == str(home / "runs" / "x")
    assert written["model_name_or_path"] == "Qwen/Qwen3-4B"
    assert written["env"] == {"WANDB_PROJECT": "fin"}


@pytest.mark.parametrize(
    "keys",
    [
        {"system_prompt": "Think."},
        {"chat_template": "{{ messages }}"},
        {"dataset_prompt_column": "problem"},
        {"dataset_mixture": {"datasets": []}},
        {"reward_funcs": ["cosine"]},
    ],
)
def test_no_recipe_for_trl_is_written_where_it_would_train_on_something_else(
    keys: dict[str, object], home: Path, tmp_path: Path
) -> None:
    (tmp_path / "trl_recipe.yaml").write_text("of an earlier run")
    said = resolved.write(asked(**keys), tmp_path)["trl_recipe.yaml"]
    assert said.startswith("not written: `trl grpo` knows no ")
    assert not (tmp_path / "trl_recipe.yaml").exists()
    assert (tmp_path / "resolved_recipe.yaml").is_file()


def test_what_is_written_translates_to_itself(home: Path, tmp_path: Path) -> None:
    first = asked(prompts_per_step=4, num_generations=4, max_prompt_length=9, warmup_ratio=0.1)
    batch.of_recipe(first, ranks=2)
    resolved.write(first, tmp_path)
    again = translate(recipe.load(tmp_path / "resolved_recipe.yaml"))
    assert (again.trl, again.data, again.batch, again.rewards) == (first.trl, first.data, first.batch, first.rewards)


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_a_shipped_recipe_means_the_same_on_any_number_of_gpus(ranks: int) -> None:
    shipped = translate(recipe.load(KIT / "recipes" / "grpo" / "fin_r1_7b.yaml"))
    solved = batch.of_recipe(shipped, ranks)
    assert solved is not None
    assert (solved.update, solved.per_device, solved.accumulation) == (512, 8, 64 // ranks)


def test_curves_are_drawn_from_the_trainers_log(tmp_path: Path) -> None:
    assert curves.draw(tmp_path) is None
    log = [{"step": step, "reward": step / 10, "kl": None, "rewards/a/mean": 0.5} for step in (1, 2)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": [*log, {"step": 2, "train_loss": 0.1}]}))
    drawn = curves.draw(tmp_path)
    assert drawn is not None and drawn.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.glob("*.part*")) == []
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": []}))
    assert curves.draw(tmp_path) is None


def test_a_checkpoint_that_was_not_written_whole_is_passed_over(tmp_path: Path) -> None:
    for step, names in (
        (2, ["trainer_state.json", "rng_state_0.pth", "rng_state_1.pth"]),
        (10, ["trainer_state.json", "rng_state_0.pth"]),
        (12, ["rng_state_0.pth", "rng_state_1.pth"]),
    ):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in names:
            (folder / name).write_text("{}", encoding="utf-8")
    assert checkpoints.latest(tmp_path, ranks=2) == tmp_path / "checkpoint-2"
    assert checkpoints.latest(tmp_path, ranks=1) is None
