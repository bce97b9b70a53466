"""GRPO from an OpenR1 recipe: TRL's trainer, our rewards, any accelerate configuration. Runs in the rl stack.

accelerate launch --config_file recipes/accelerate/cpu_zero3.yaml --num_processes 2 \
    launch/grpo.py --config recipes/grpo/smollm2_135m_cpu.yaml
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch import batch, checkpoints, curves, models, monitor, openr1, recipe, resolved
from launch.engine import die_with_parent
from launch.openr1 import Translation
from launch.paths import home
from reward_plugins.errors import Refused


def main(arguments: list[str] | None = None) -> None:
    """Read the recipe, say what became of its keys, build the parts, and let TRL train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="an OpenR1 GRPO recipe (YAML)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a key")
    parser.add_argument("--dry-run", action="store_true", help="write the resolved recipe and stop before loading")
    options = parser.parse_args(arguments)
    die_with_parent()
    try:
        run(options.config, options.set, options.dry_run)
    except Refused as refusal:
        sys.exit(f"finr1: {refusal}")


def run(config: str, overrides: list[str], dry_run: bool = False) -> None:
    """One GRPO run; see `main`."""
    asked = openr1.translate(recipe.load(config, overrides), _known_keys())
    model = models.resolve(asked.trl.get("model_name_or_path", ""), home())
    asked.trl["model_name_or_path"] = model
    # As the model and the data do, the run's folder starts in the home folder, wherever the launch was typed.
    if not asked.trl.get("output_dir"):
        raise Refused(f"{config}: key 'output_dir' is missing")
    out = home() / asked.trl["output_dir"]
    asked.trl["output_dir"] = str(out)
    os.environ.update(asked.environment)
    if os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true":
        # Else the trainer counts one process on a CPU, and DeepSpeed finds that the batch does not add up.
        asked.trl.setdefault("use_cpu", True)
    solved = batch.of_recipe(asked, int(os.environ.get("WORLD_SIZE", "1")))
    if os.environ.get("RANK", "0") == "0":
        print(openr1.table(asked.fates), solved or "", sep="\n", flush=True)
        resolved.write(asked, out)
    if dry_run:
        return
    openr1.refuse_code_rewards(asked)

    from transformers import AutoTokenizer, HfArgumentParser
    from trl import GRPOConfig, GRPOTrainer, ModelConfig, ScriptArguments, get_peft_config, get_quantization_config

    parts = HfArgumentParser((ScriptArguments, GRPOConfig, ModelConfig)).parse_dict(asked.trl)
    script, training, model_config = parts
    training.model_init_kwargs = {
        "revision": model_config.model_revision,
        "attn_implementation": model_config.attn_implementation,
        "dtype": model_config.dtype,
        **(training.model_init_kwargs or {}),
    }
    tokenizer = AutoTokenizer.from_pretrained(model, revision=model_config.model_revision)
    if asked.data.get("chat_template"):
        tokenizer.chat_template = asked.data["chat_template"]
    data = _load(script, asked, tokenizer)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[_told_by_name(name, reward) for name, reward in zip(asked.rewards, rewards(asked), strict=True)],
        args=training,
        train_dataset=data[script.dataset_train_split],
        eval_dataset=data[script.dataset_test_split] if training.eval_strategy != "no" else None,
        processing_class=tokenizer,
        quantization_config=get_quantization_config(model_config),
        peft_config=get_peft_config(model_config),
        callbacks=[_warnings()],
    )
    ranks = trainer.accelerator.num_processes
    trainer.train(resume_from_checkpoint=checkpoints.to_go_on_from(out, training.resume_from_checkpoint, ranks))
    trainer.save_model(training.output_dir)
    trainer.save_state()
    if trainer.accelerator.is_main_process:
        curves.draw(out)
        if Path(model).is_dir() and not asked.data.get("chat_template"):
            models.keep_tokenizer(Path(model), out)
    trainer.accelerator.wait_for_everyone()
    trainer.end()


def _warnings() -> Any:
    """A callback that prints what `launch.monitor` finds wrong."""
    from transformers import TrainerCallback

    class Warnings(TrainerCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.watch = monitor.Watch(monitor.GRPO)

        def on_log(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if not state.is_world_process_zero:
                return
            for sentence in self.watch.new(monitor.numbers(state.log_history)):
                print(f"warning, step {state.global_step}: {sentence}", file=sys.stderr, flush=True)

    return Warnings()


def _told_by_name(name: str, reward: Callable[..., Any]) -> Callable[..., Any]:
    """The same reward; what goes wrong in it says its name, where the trainer's words are of lists and tensors."""
    if inspect.iscoroutinefunction(reward) or inspect.iscoroutinefunction(type(reward).__call__):
        return reward

    @functools.wraps(reward)
    def told(*given: Any, **columns: Any) -> Any:
        try:
            scores = reward(*given, **columns)
        except Refused:
            raise
        except Exception as error:
            raise RuntimeError(f"reward {name} fails: {type(error).__name__}: {error}") from error
        if scores is None or any(isinstance(each, str) for each in scores):
            raise RuntimeError(
                f"reward {name} gives {scores!r:.80}, and must give a number or None for each completion"
            )
        return scores

    return told


def rewards(asked: Translation) -> list[Callable[..., Any]]:
    """The reward functions of a recipe, in its order: dotted paths as they are, open-r1's names made with parameters.

    Raises:
        Refused: a name that leads to nothing that can be called.
    """
    found = []
    for name in asked.rewards:
        if "." not in name:
            from reward_plugins.rewards.openr1 import reward as named_reward

            found.append(named_reward(name, **asked.reward_parameters))
            continue
        module, _, function = name.rpartition(".")
        try:
            reward = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            raise Refused(
                f"reward {name!r} cannot be imported: {error}; its name is MODULE.FUNCTION, the module on PYTHONPATH"
            ) from None
        if not callable(reward):
            raise Refused(f"reward {name!r} is no function")
        found.append(reward)
    return found


def _load(script: Any, asked: Translation, tokenizer: Any) -> Any:
    """The data set with its conversational `prompt` column, without prompts over `max_prompt_length` tokens."""
    from datasets import DatasetDict, concatenate_datasets, load_dataset

    mixture = asked.data.get("dataset_mixture")
    if mixture:
        shares = []
        for part in mixture["datasets"]:
            rows = load_dataset(_place(part["id"]), part.get("config"), split=part.get("split", "train"))
            if part.get("columns"):
                rows = rows.select_columns(part["columns"])
            # open-r1's weight is a share of the set's own rows, not of the mixture.
            keep = int(len(rows) * part.get("weight", 1.0))
            shares.append(rows.shuffle(seed=mixture.get("seed", 0)).select(range(keep)))
        mixed = concatenate_datasets(shares).shuffle(seed=mixture.get("seed", 0))
        share = mixture.get("test_split_size")
        data = mixed.train_test_split(share, seed=mixture.get("seed", 0)) if share else DatasetDict(train=mixed)
    elif script.dataset_name:
        data = load_dataset(_place(script.dataset_name), script.dataset_config)
    else:
        raise Refused("the recipe names no data: give dataset_name (a folder or a hub id) or dataset_mixture")

    column, system = asked.data.get("dataset_prompt_column", "prompt"), asked.data.get("system_prompt")
    head = [{"role": "system", "content": system}] if system else []
    for split, rows in data.items():
        if column not in rows.column_names:
            raise Refused(f"split {split} has no column {column!r}; it has {', '.join(rows.column_names)}")

    def conversation(row: dict[str, Any]) -> dict[str, Any]:
        said = row[column]
        turns = [{"role": "user", "content": said}] if isinstance(said, str) else said
        return {"prompt": turns if turns[0]["role"] == "system" else head + turns}

    longest: int = asked.data.get("max_prompt_length") or 0

    def fits(row: dict[str, Any]) -> bool:
        ids = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
        return bool(len(ids) <= longest)

    data = data.map(conversation)
    if longest:
        before = {split: len(rows) for split, rows in data.items()}
        data = data.filter(fits)
        for split, rows in data.items():
            if before[split] > len(rows):
                print(f"{split}: {before[split] - len(rows)} prompts over {longest} tokens are left out", flush=True)
    return data


def _place(name: str) -> str:
    """A set's folder, which starts in the home folder, or its name on a hub."""
    local = home() / name
    return str(local) if local.exists() else name


def _known_keys() -> set[str]:
    from trl import GRPOConfig, ModelConfig, ScriptArguments

    return {field.name for kind in (ScriptArguments, GRPOConfig, ModelConfig) for field in dataclasses.fields(kind)}


if __name__ == "__main__":
    main()
