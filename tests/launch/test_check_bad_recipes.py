"""Recipes with one mistake each: `finr1 check` names it in a sentence, and no command starts an engine on it."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_runs import GRPO, REWARDS, SFT, furnish, register, rewrite, rows_of, write

from distill.dataset_info import entry
from launch import cli, engine, models
from launch.check import Place, State, place, rewards, surroundings
from launch.check.finding import of
from launch.check.kinds import look_over

pytestmark = pytest.mark.engine  # the engines are asked about keys, templates and memory, in their own stacks

Home = Path
Change = Callable[[Home], object]


@dataclass(frozen=True)
class Bad:
    """One mistake: keys changed in the good recipe, what is done to the home folder, and what the sentence says."""

    name: str
    says: tuple[str, ...]
    keys: dict[str, Any] = field(default_factory=dict)
    change: Change = lambda home: None
    without: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    cards: float = 0.0
    """GiB of the machine's one card, 0 for a machine without any."""
    capability: float = 9.0
    """The card's compute capability."""


def broken_line(part: str) -> Change:
    def change(home: Home) -> None:
        file = home / "datasets" / "small" / part / "train.jsonl"
        write(file, file.read_text(encoding="utf-8") + '{"half": \n')

    return change


def without_column(part: str, column: str) -> Change:
    def change(home: Home) -> None:
        rewrite(
            home, part, [{key: value for key, value in row.items() if key != column} for row in rows_of(home, part)]
        )

    return change


def golds_taken_away(home: Home) -> None:
    rows = rows_of(home, "grpo")
    for row in rows[::4]:
        row["solution"] = " "
    rewrite(home, "grpo", rows)


def own_reward(body: str, arguments: str = "completions, **columns") -> Change:
    return lambda home: write(home / "own_rewards.py", f"def reward({arguments}):\n    {body}\n")


def pairs_without_rejected(home: Home) -> None:
    rows = [{**row, "chosen": row["conversations"][-1]} for row in rows_of(home, "sft")]
    rewrite(home, "sft", [{**row, "conversations": row["conversations"][:-1]} for row in rows])
    register(home, small_sft=entry("datasets/small/sft/train.jsonl", ranking=True))


def misspelt_tag(home: Home) -> None:
    wrong = entry("datasets/small/sft/train.jsonl")
    wrong["columns"]["message"] = wrong["columns"].pop("messages")
    register(home, small_sft=wrong)


def deepspeed_file(text: str) -> Change:
    return lambda home: write(home / "zero.json", text)


def mixture(name: str, named: tuple[str, ...], **keys: Any) -> Bad:
    """A mixture of one set, with these keys of it."""
    parts = {"dataset_mixture": {"datasets": [{"id": "datasets/small/grpo", **keys}]}}
    return Bad(name, named, parts, without=("dataset_name",))


def accelerate_file(**keys: Any) -> Change:
    def change(home: Home) -> None:
        shape = yaml.safe_load((home / "recipes" / "accelerate" / "cpu_zero3.yaml").read_text(encoding="utf-8"))
        write(home / "shape.yaml", yaml.safe_dump(shape | keys))

    return change


def more_sft_rows(*turns: str, **columns: Any) -> Change:
    """Append a row whose turns come from these roles."""

    def change(home: Home) -> None:
        talk = [{"from": role, "value": "净利润？"} for role in turns]
        rewrite(home, "sft", [*rows_of(home, "sft"), {"conversations": talk, **columns}])

    return change


def in_utf16(home: Home) -> None:
    file = home / "datasets" / "small" / "sft" / "train.jsonl"
    file.write_text(file.read_text(encoding="utf-8"), encoding="utf-16")


def empty_prompts(home: Home) -> None:
    rewrite(home, "grpo", [{**row, "prompt": [{"role": "user", "content": " "}]} for row in rows_of(home, "grpo")])


def other_roles(home: Home) -> None:
    rewrite(home, "grpo", [{**row, "prompt": [{"role": "human", "content": "?"}]} for row in rows_of(home, "grpo")])


def beside_the_data(home: Home, name: str) -> None:
    """Another file in the folder, and names that tell the library no split: it loads both."""
    folder = home / "datasets" / "small" / "grpo"
    (folder / "train.jsonl").rename(folder / "sums.jsonl")
    write(folder / name, '{"note": "written by hand"}\n')


def only_an_adapter(home: Home) -> None:
    (home / "model" / "config.json").rename(home / "model" / "adapter_config.json")


def no_longer_there(*names: str) -> Change:
    """Take files out of the model's folder."""
    return lambda home: [(home / "model" / name).unlink() for name in names if (home / "model" / name).is_file()]


def no_chat_template(home: Home) -> None:
    no_longer_there("chat_template.jinja")(home)
    file = home / "model" / "tokenizer_config.json"
    settings = json.loads(file.read_text(encoding="utf-8"))
    settings.pop("chat_template", None)
    write(file, json.dumps(settings))


def another_kind(home: Home) -> None:
    write(home / "model" / "config.json", json.dumps({"model_type": "llama9", "architectures": ["Llama9ForCausalLM"]}))


def half_fetched(home: Home) -> None:
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    write(home / "model" / "model.safetensors.index.json", json.dumps({"weight_map": shards}))
    (home / "model" / "model.safetensors").rename(home / "model" / "model-1.safetensors")


ZERO3 = {"deepspeed": "recipes/deepspeed/zero3.json"}
LORA = {"finetuning_type": "lora"}
EVERY_STEP = {"eval_strategy": "steps", "eval_steps": 2}

SFT_MISTAKES = [
    Bad("misspelt key", ("unknown key 'cutof_len'", "did you mean 'cutoff_len'"), {"cutof_len": 512}),
    Bad("missing key", ("key 'template' is missing",), without=("template",)),
    Bad("unknown template", ("template", "'chatmll'", "did you mean 'chatml'"), {"template": "chatmll"}),
    Bad("template of another model", ("template 'llama3'", "another string"), {"template": "llama3"}),
    Bad("answers cut", ("cutoff_len", "answers would be cut"), {"cutoff_len": 48}),
    Bad("more than the model's positions", ("cutoff_len", "positions"), {"cutoff_len": 100_000}),
    Bad("set that is not registered", ("no set 'smal_sft'", "did you mean 'small_sft'"), {"dataset": "smal_sft"}),
    Bad(
        "file that is gone",
        ("small_sft", "train.jsonl", "no such file"),
        change=lambda home: (home / "datasets/small/sft/train.jsonl").unlink(),
    ),
    Bad("unreadable data", ("sft/train.jsonl, line 17", "not a JSON object"), change=broken_line("sft")),
    Bad(
        "missing column",
        ("sft/train.jsonl, row 1", "no column 'conversations'"),
        change=without_column("sft", "conversations"),
    ),
    Bad("misspelt column in the registry", ("unknown key 'columns.message'", "'messages'"), change=misspelt_tag),
    Bad(
        "empty answer",
        ("row 1", "a turn of the conversation is empty"),
        change=lambda home: rewrite(
            home, "sft", [{"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": ""}]}]
        ),
    ),
    Bad("empty data", ("sft/train.jsonl is empty",), change=lambda home: rewrite(home, "sft", [])),
    Bad("pairs needed", ("stage: dpo", "ranking"), {"stage": "dpo"}),
    Bad("pair without its half", ("no column 'rejected'",), {"stage": "dpo"}, change=pairs_without_rejected),
    Bad("unknown stage", ("stage: 'sftt'", "did you mean 'sft'"), {"stage": "sftt"}),
    Bad("nothing to do", ("do_train",), {"do_train": False}),
    Bad("no epochs", ("num_train_epochs is 0",), {"num_train_epochs": 0}),
    Bad("quoted number", ("learning_rate is '1e-5'", "take away the quotes"), {"learning_rate": "1e-5"}),
    Bad("learning rate of another unit", ("learning_rate is 5", "at most 0.01"), {"learning_rate": 5}),
    Bad("no batch", ("per_device_train_batch_size is 0",), {"per_device_train_batch_size": 0}),
    Bad("unquoted no", ("save_strategy is false", "quote it"), {"save_strategy": False}),
    Bad("no data to evaluate on", ("eval_strategy is steps", "val_size"), {"eval_strategy": "steps", "eval_steps": 5}),
    Bad("bf16 without a GPU", ("bf16 needs a GPU",), {"bf16": True}),
    Bad("flash attention without a GPU", ("flash_attn: fa2", "sdpa"), {"flash_attn": "fa2"}),
    Bad(
        "quantised weights trained whole",
        ("quantization_bit", "finetuning_type is full"),
        {"quantization_bit": 4},
        cards=80,
    ),
    Bad("W&B without a login", ("report_to: wandb", "WANDB_API_KEY"), {"report_to": "wandb"}),
    Bad("unknown tracker", ("report_to: 'tensorbord'", "did you mean 'tensorboard'"), {"report_to": "tensorbord"}),
    Bad(
        "deepspeed file that is not there",
        ("deepspeed", "zero3.jsn", "zero3.json"),
        {"deepspeed": "recipes/deepspeed/zero3.jsn"},
    ),
    Bad(
        "deepspeed file that is broken",
        ("deepspeed", "zero.json is not JSON"),
        {"deepspeed": "zero.json"},
        deepspeed_file("{"),
    ),
    Bad(
        "misspelt key of ZeRO",
        ("zero_optimization.overlap_com", "did you mean 'overlap_comm'"),
        {"deepspeed": "zero.json"},
        deepspeed_file(json.dumps({"zero_optimization": {"stage": 3, "overlap_com": True}})),
    ),
    Bad(
        "two batch sizes",
        ("per_device_train_batch_size is 4", "train_micro_batch_size_per_gpu", "is 2"),
        {"deepspeed": "zero.json"},
        deepspeed_file(json.dumps({"train_micro_batch_size_per_gpu": 2, "zero_optimization": {"stage": 2}})),
    ),
    Bad("too small a card", ("a card has 1", "0.13B parameters"), cards=1),
    Bad(
        "folder of somebody's files",
        ("output_dir", "no run's"),
        change=lambda home: write(home / "runs" / "sft" / "thesis.txt", "mine"),
    ),
    Bad("model in the way", ("output_dir", "model_name_or_path reads"), {"output_dir": "model"}),
    Bad(
        "half a model",
        ("is no model folder", "config.json"),
        change=lambda home: (home / "model" / "config.json").unlink(),
    ),
    Bad("stranger's code", ("trust_remote_code",), {"trust_remote_code": True}),
    Bad(
        "two sets to evaluate on",
        ("eval_dataset and val_size",),
        {"eval_dataset": "small_sft", "val_size": 2, **EVERY_STEP},
    ),
    Bad("unknown set to evaluate on", ("eval_dataset: no set 'smal_sft'",), {"eval_dataset": "smal_sft", **EVERY_STEP}),
    Bad("nothing left to train on", ("val_size: 20", "none of 16 rows"), {"val_size": 20}),
    Bad(
        "best of what is not saved",
        ("load_best_model_at_end", "eval_strategy is steps and save_strategy epoch"),
        {"load_best_model_at_end": True, "val_size": 4, "save_strategy": "epoch", **EVERY_STEP},
    ),
    Bad(
        "best of steps that are not saved",
        ("save_steps (3)", "multiple of eval_steps (2)"),
        {"load_best_model_at_end": True, "val_size": 4, "save_strategy": "steps", "save_steps": 3, **EVERY_STEP},
    ),
    Bad(
        "adapter that is gone",
        ("adapter_name_or_path", "runs/none"),
        {**LORA, "adapter_name_or_path": "runs/none"},
    ),
    Bad("adapter that is none", ("holds no adapter", "adapter_config.json"), {**LORA, "adapter_name_or_path": "model"}),
    Bad(
        "checkpoint that is gone",
        ("resume_from_checkpoint", "checkpoint-5"),
        {"resume_from_checkpoint": "runs/sft/checkpoint-5", "save_strategy": "steps"},
    ),
    Bad("DoRA without LoRA", ("use_dora is for finetuning_type: lora", "full"), {"use_dora": True}),
    Bad("misspelt module", ("lora_target", "'q_porj'", "'q_proj'"), {**LORA, "lora_target": "v_proj,q_porj"}),
    Bad("stream without an end", ("streaming needs max_steps",), {"streaming": True}),
    Bad(
        "shares of sets that are not mixed",
        ("interleave_probs needs mix_strategy",),
        {"interleave_probs": "1.0"},
    ),
    Bad("both masks", ("mask_history and train_on_prompt",), {"mask_history": True, "train_on_prompt": True}),
    Bad("pure bf16 with ZeRO-3", ("pure_bf16 does not work with ZeRO-3",), {"pure_bf16": True, **ZERO3}, cards=80),
    Bad(
        "8 bits with ZeRO-3",
        ("quantization_bit is 8", "only 4-bit"),
        {**LORA, "quantization_bit": 8, **ZERO3},
        cards=80,
    ),
    Bad("3 bits", ("quantization_bit is 3", "4 and 8"), {**LORA, "quantization_bit": 3}, cards=80),
    Bad(
        "package beside the stack",
        ("enable_liger_kernel needs the package liger_kernel",),
        {"enable_liger_kernel": True},
    ),
    Bad("optimiser of a GPU", ("optim: paged_adamw_8bit needs a GPU",), {"optim": "paged_adamw_8bit"}),
    Bad("bf16 on an old card", ("bf16 needs", "8.0"), {"bf16": True}, cards=16, capability=7.5),
    Bad("question without its answer", ("row 17", "take turns"), change=more_sft_rows("human", "gpt", "human")),
    Bad("answer before its question", ("row 17", "take turns"), change=more_sft_rows("gpt", "human")),
    Bad(
        "column of two kinds",
        ("row 18", "year is a number, and a text before"),
        change=lambda home: (
            more_sft_rows("human", "gpt", year="2024")(home),
            more_sft_rows("human", "gpt", year=2024)(home),
        ),
    ),
    Bad("data in UTF-16", ("sft/train.jsonl, line 1", "UTF-8"), change=in_utf16),
    Bad(
        "broken registry",
        ("dataset_info.json is not JSON",),
        change=lambda home: write(home / "dataset_info.json", "{"),
    ),
    Bad(
        "answer that is a number",
        ("row 1", "'value' of a turn is 4", "takes a text"),
        change=lambda home: rewrite(
            home, "sft", [{"conversations": [{"from": "human", "value": 4}, {"from": "gpt", "value": 5}]}]
        ),
    ),
    Bad(
        "answer that is null",
        ("row 1", "a turn of the conversation is empty"),
        change=lambda home: rewrite(
            home, "sft", [{"conversations": [{"from": "human", "value": "?"}, {"from": "gpt", "value": None}]}]
        ),
    ),
    Bad(
        "half a letter",
        ("sft/train.jsonl, line 17", "half a letter"),
        change=lambda home: write(
            home / "datasets/small/sft/train.jsonl",
            (home / "datasets/small/sft/train.jsonl").read_text(encoding="utf-8") + '{"conversations": "\\ud83d"}\n',
        ),
    ),
    Bad(
        "misspelt form",
        ("formatting: 'shareGPT'", "did you mean 'sharegpt'"),
        change=lambda home: register(
            home, small_sft={**entry("datasets/small/sft/train.jsonl"), "formatting": "shareGPT"}
        ),
    ),
    Bad("KTO without its column", ("stage: kto needs columns.kto_tag",), {"stage": "kto"}),
    Bad("word of another engine", ("lora_target: 'all-linear'", "'all'"), {**LORA, "lora_target": "all-linear"}),
    Bad("path of a shell", ("output_dir is '~/runs/x'", "write the path out"), {"output_dir": "~/runs/x"}),
    Bad("variable of a shell", ("output_dir is '${HOME}/x'",), {"output_dir": "${HOME}/x"}),
    Bad("PPO without its reward", ("stage: ppo needs reward_model",), {"stage": "ppo"}),
    Bad("evaluated on nothing", ("do_eval is true", "val_size"), {"do_eval": True}),
    Bad("steps below none", ("max_steps is -5",), {"max_steps": -5}),
    Bad("words for another case", ("finetuning_type: 'LoRA'", "did you mean 'lora'"), {"finetuning_type": "LoRA"}),
    Bad(
        "schedule without its end",
        ("cosine_with_min_lr needs min_lr or min_lr_rate",),
        {"lr_scheduler_type": "cosine_with_min_lr"},
    ),
    Bad(
        "setting of another schedule",
        ("cosine takes no 'min_lr_rate'",),
        {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
    ),
    Bad(
        "mapping as text", ("gradient_checkpointing_kwargs",), {"gradient_checkpointing_kwargs": "use_reentrant=false"}
    ),
    Bad("misspelt word of FSDP", ("fsdp: 'full_shrad'", "'full_shard'"), {"fsdp": "full_shrad auto_wrap"}),
    Bad(
        "file of llama.cpp",
        ("q4.gguf is a file", "llama.cpp"),
        {"model_name_or_path": "model/q4.gguf"},
        change=lambda home: write(home / "model" / "q4.gguf", "GGUF"),
    ),
    Bad("adapter as the model", ("holds an adapter", "finr1 merge"), change=only_an_adapter),
    Bad("model without weights", ("has no weights",), change=no_longer_there("model.safetensors")),
    Bad("model half fetched", ("lacks model-2.safetensors",), change=half_fetched),
    Bad(
        "pointer in place of weights",
        ("Git LFS", "git lfs pull"),
        change=lambda home: write(home / "model" / "model.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
    ),
    Bad("model without a tokenizer", ("has no tokenizer",), change=no_longer_there(*models.TOKENIZER_FILES)),
    Bad("model of an unknown kind", ("does not know",), change=another_kind),
    Bad("folder under a file", ("output_dir", "dataset_info.json is a file"), {"output_dir": "dataset_info.json/run"}),
]

GRPO_MISTAKES = [
    Bad("misspelt key", ("unknown key 'num_generation'", "did you mean 'num_generations'"), {"num_generation": 4}),
    Bad("missing key", ("key 'model_name_or_path' is missing",), without=("model_name_or_path",)),
    Bad(
        "old and new name",
        ("'torch_dtype' is the old name of 'dtype'",),
        {"torch_dtype": "float32", "dtype": "float32"},
    ),
    Bad("indivisible batch", ("not a whole number", "num_generations"), {"num_generations": 3}),
    Bad("group of one", ("num_generations is 1",), {"num_generations": 1}),
    Bad(
        "indivisible prompts",
        ("do not divide over 2 ranks",),
        {"prompts_per_step": 1, "num_generations": 3},
        options=("--processes", "2"),
    ),
    Bad("more prompts a step than there are", ("16 prompts", "a step takes 32"), {"per_device_train_batch_size": 64}),
    Bad("no data named", ("dataset_name",), without=("dataset_name",)),
    Bad("folder that is not there", ("datasets/smal/grpo", "no such file"), {"dataset_name": "datasets/smal/grpo"}),
    Bad("unreadable data", ("grpo/train.jsonl, line 17", "not a JSON object"), change=broken_line("grpo")),
    Bad("missing prompts", ("row 1", "no column 'prompt'"), change=without_column("grpo", "prompt")),
    Bad(
        "column that a reward needs",
        ("reward_plugins.rewards.finance_accuracy needs the column 'solution'",),
        change=without_column("grpo", "solution"),
    ),
    Bad(
        "golds that nothing satisfies",
        ("4 of 16 golds can be satisfied by no answer", "solution"),
        change=golds_taken_away,
    ),
    Bad(
        "constant reward",
        ("own_rewards.reward gives 1", "constant"),
        {"reward_funcs": ["own_rewards.reward"], "reward_weights": [1.0]},
        own_reward("return [1.0] * len(completions)"),
    ),
    Bad(
        "reward that fails",
        ("own_rewards.reward fails", "KeyError"),
        {"reward_funcs": ["own_rewards.reward"], "reward_weights": [1.0]},
        own_reward("return [columns['level'][0] for _ in completions]"),
    ),
    Bad(
        "reward with one value too few",
        ("own_rewards.reward", "values for"),
        {"reward_funcs": ["own_rewards.reward"], "reward_weights": [1.0]},
        own_reward("return [0.0]"),
    ),
    Bad(
        "column that one's own reward needs",
        ("own_rewards.reward needs the column 'level'",),
        {"reward_funcs": ["own_rewards.reward"], "reward_weights": [1.0]},
        own_reward("return level", "completions, level, **columns"),
    ),
    Bad(
        "reward that is not there",
        ("'reward_plugins.rewards.finance_acuracy' cannot be imported",),
        {"reward_funcs": ["reward_plugins.rewards.finance_acuracy"], "reward_weights": [1.0]},
    ),
    Bad("weights for other rewards", ("reward_weights has 1", "2 reward_funcs"), {"reward_weights": [1.0]}),
    Bad("reward that runs code", ("'code'", "sandbox"), {"reward_funcs": ["code"], "reward_weights": [1.0]}),
    Bad("no rewards", ("reward_funcs",), {"reward_funcs": []}),
    Bad("prompts that are left out", ("max_prompt_length", "left out"), {"max_prompt_length": 8}),
    Bad("always the same completion", ("temperature is 0",), {"temperature": 0}),
    Bad("nothing to train", ("max_steps is 0",), {"max_steps": 0}),
    Bad("vLLM without a GPU", ("use_vllm needs a GPU",), {"use_vllm": True}),
    Bad("bf16 on a CPU", ("bf16 and use_cpu",), {"bf16": True}),
    Bad("no split to evaluate on", ("eval_strategy is steps", "'test'"), {"eval_strategy": "steps", "eval_steps": 1}),
    Bad("quantised without an adapter", ("load_in_4bit", "use_peft"), {"load_in_4bit": True}, cards=80),
    Bad(
        "misspelt key of accelerate",
        ("unknown key 'mixed_precison'", "did you mean 'mixed_precision'"),
        change=accelerate_file(mixed_precison="no"),
        options=("--accelerate", "shape.yaml"),
    ),
    Bad(
        "too small a card",
        ("a card has 1", "vLLM"),
        {"use_cpu": False, "use_vllm": True, "vllm_mode": "colocate", "vllm_gpu_memory_utilization": 0.9},
        options=("--accelerate", "recipes/accelerate/ddp.yaml", "--processes", "1"),
        cards=1,
    ),
    Bad("reference that is not there", ("sync_ref_model", "beta"), {"sync_ref_model": True, "beta": 0.0}),
    Bad("misspelt loss", ("loss_type: 'grop'", "did you mean 'grpo'"), {"loss_type": "grop"}),
    Bad("misspelt mode of vLLM", ("vllm_mode: 'colocat'", "did you mean 'colocate'"), {"vllm_mode": "colocat"}),
    Bad("clipped the wrong way round", ("epsilon_high is 0.1",), {"epsilon": 0.2, "epsilon_high": 0.1}),
    Bad(
        "two sizes of a rollout",
        ("generation_batch_size and steps_per_generation",),
        {"generation_batch_size": 8, "steps_per_generation": 1},
    ),
    Bad("batch that shrinks", ("auto_find_batch_size",), {"auto_find_batch_size": True}),
    Bad("weights of nothing", ("reward_weights are all 0", "constant"), {"reward_weights": [0.0, 0]}),
    Bad("weight in words", ("reward_weights: 'high' is no number",), {"reward_weights": [1.0, "high"]}),
    Bad(
        "indivisible evaluation",
        ("per_device_eval_batch_size: 3",),
        {"per_device_eval_batch_size": 3, **EVERY_STEP},
        change=lambda home: write(home / "datasets/small/grpo/test.jsonl", json.dumps(rows_of(home, "grpo")[0]) + "\n"),
    ),
    Bad("broken chat template", ("chat template cannot be read",), {"chat_template": "{{ messages }"}),
    Bad("split that is not there", ("dataset_train_split", "'trian'"), {"dataset_train_split": "trian"}),
    Bad("empty prompts", ("grpo/train.jsonl, row 1", "'prompt' is empty"), change=empty_prompts),
    Bad(
        "more than all of a set",
        ("dataset_mixture: weight", "is 2"),
        {"dataset_mixture": {"datasets": [{"id": "datasets/small/grpo", "weight": 2}]}},
        without=("dataset_name",),
    ),
    Bad("misspelt module", ("lora_target_modules", "'q_porj'"), {"use_peft": True, "lora_target_modules": ["q_porj"]}),
    Bad(
        "checkpoint that is gone",
        ("resume_from_checkpoint", "checkpoint-5"),
        {"resume_from_checkpoint": "runs/grpo/checkpoint-5", "save_strategy": "steps"},
    ),
    Bad(
        "reward that ends the process",
        ("reward_funcs could not be tried", "exit code 3"),
        {"reward_funcs": ["own_rewards.reward"], "reward_weights": [1.0]},
        own_reward("raise SystemExit(3)"),
    ),
    Bad(
        "stage that ZeRO does not have",
        ("deepspeed_config.zero_stage is 5",),
        change=accelerate_file(deepspeed_config={"zero_stage": 5}),
        options=("--accelerate", "shape.yaml"),
    ),
    Bad(
        "misspelt way to spread",
        ("distributed_type: 'DEEPSPED'", "did you mean 'DEEPSPEED'"),
        change=accelerate_file(distributed_type="DEEPSPED"),
        options=("--accelerate", "shape.yaml"),
    ),
    Bad(
        "misspelt key of DeepSpeed in accelerate's file",
        ("'deepspeed_config.zero_stge'", "did you mean 'zero_stage'"),
        change=accelerate_file(deepspeed_config={"zero_stge": 3}),
        options=("--accelerate", "shape.yaml"),
    ),
    Bad(
        "misspelt key of FSDP",
        ("'fsdp_config.fsdp_verson'", "did you mean 'fsdp_version'"),
        change=accelerate_file(fsdp_config={"fsdp_verson": 2}),
        options=("--accelerate", "shape.yaml"),
    ),
    Bad(
        "list where accelerate reads a mapping",
        ("deepspeed_config is [3]", "a mapping"),
        change=accelerate_file(deepspeed_config=[3]),
        options=("--accelerate", "shape.yaml"),
    ),
    mixture("column of a part that is not there", ("columns", "no column 'promt'"), columns=["prompt", "promt"]),
    mixture(
        "mixture without its prompts", ("columns of datasets/small/grpo leave out 'prompt'",), columns=["solution"]
    ),
    mixture("mixture without its golds", ("solution",), columns=["prompt"]),
    mixture("misspelt key of a part", ("unknown key 'wieght'", "did you mean 'weight'"), wieght=0.5),
    mixture("split of a part that is not there", ("has no split 'trian'", "did you mean 'train'"), split="trian"),
    mixture("configuration of a part that is not there", ("dataset_mixture: config", "'sums'"), config="sums"),
    Bad(
        "misspelt key of a mixture",
        ("unknown key 'test_split'", "did you mean 'test_split_size'"),
        {"dataset_mixture": {"datasets": [{"id": "datasets/small/grpo"}], "test_split": 0.5}},
        without=("dataset_name",),
    ),
    Bad(
        "mixture to evaluate on that holds nothing back",
        ("no split 'test'", "dataset_mixture.test_split_size"),
        {"dataset_mixture": {"datasets": [{"id": "datasets/small/grpo"}]}, **EVERY_STEP},
        without=("dataset_name",),
    ),
    Bad("configuration that is not there", ("dataset_config", "'sums'"), {"dataset_config": "sums"}),
    Bad(
        "another file beside the data",
        ("notes.jsonl", "no column 'prompt'"),
        change=lambda home: beside_the_data(home, "notes.jsonl"),
    ),
    Bad("roles of another form", ("row 1", "the role system, user or assistant"), change=other_roles),
    Bad(
        "column named as the trainer's own",
        ("a column 'completions'", "rename it"),
        change=lambda home: rewrite(home, "grpo", [{**row, "completions": "x"} for row in rows_of(home, "grpo")]),
    ),
    Bad("number type by its nickname", ("dtype: 'bf16'", "did you mean 'bfloat16'"), {"torch_dtype": "bf16"}),
    Bad("unknown attention", ("attn_implementation: 'sdap'", "did you mean 'sdpa'"), {"attn_implementation": "sdap"}),
    Bad("weights as text", ("reward_weights is '1.0, 0.2'", "a list"), {"reward_weights": "1.0, 0.2"}),
    Bad(
        "reward by its file", ("'own_rewards.py'", "MODULE.FUNCTION"), {"reward_funcs": ["own_rewards.py", REWARDS[0]]}
    ),
    Bad(
        "misspelt setting of a schedule",
        ("takes no 'min_lr_ratio'", "did you mean 'min_lr_rate'"),
        {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_ratio": 0.1}},
    ),
    Bad("DeepSpeed file that is gone", ("deepspeed", "zero9.json"), {"deepspeed": "recipes/deepspeed/zero9.json"}),
    Bad("model that knows no conversation", ("has no chat template",), change=no_chat_template),
    Bad("word of another engine", ("'all'", "'all-linear'"), {"use_peft": True, "lora_target_modules": ["all"]}),
    Bad(
        "cards that vLLM cannot share",
        ("vllm_tensor_parallel_size: 2 ranks are no multiple of 3",),
        {"use_cpu": False, "use_vllm": True, "vllm_mode": "colocate", "vllm_tensor_parallel_size": 3},
        options=("--accelerate", "recipes/accelerate/ddp.yaml", "--processes", "2"),
        cards=80,
    ),
    Bad("push without a login", ("push_to_hub: there is no login",), {"push_to_hub": True}),
]


@pytest.fixture
def run_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A furnished home; no login, no key, and the code in it can be imported."""
    furnish(home)
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DISABLED", "HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    monkeypatch.setenv("NETRC", str(home / "netrc"))
    monkeypatch.setenv("PYTHONPATH", str(home))
    return home


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Engines that were started, of which there must be none."""
    begun: list[str] = []

    def start(words: Any, *, name: str, **_: Any) -> float:
        begun.append(name)
        return 0.0

    monkeypatch.setattr(engine, "run", start)
    return begun


def machine(monkeypatch: pytest.MonkeyPatch, card: float, capability: float = 9.0) -> None:
    """Make this a machine with one card of so many GiB, or without any."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(place, "gpus", lambda: [("a card", card, capability)] if card else [])
    monkeypatch.setattr(place, "has_gpu", lambda: bool(card))


def finr1(*words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The command in this process: (exit code, what it said to standard error as one line)."""
    monkeypatch.setattr(sys, "argv", ["finr1", *words])
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        cli.main()
    return int(end.value.code or 0), capsys.readouterr().err


def recipe_of(good: dict[str, Any], bad: Bad, home: Path) -> str:
    whole = {key: value for key, value in {**good, **bad.keys}.items() if key not in bad.without}
    write(home / "bad.yaml", json.dumps(whole, ensure_ascii=False))  # JSON is YAML, and quotes what is a text
    return "bad.yaml"


CASES = [("sft", SFT, bad) for bad in SFT_MISTAKES] + [("grpo", GRPO, bad) for bad in GRPO_MISTAKES]


@pytest.mark.parametrize(("command", "good", "bad"), CASES, ids=[f"{kind}: {bad.name}" for kind, _, bad in CASES])
def test_a_mistake_is_named_and_reaches_no_trainer(
    command: str,
    good: dict[str, Any],
    bad: Bad,
    run_home: Path,
    no_engine: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(monkeypatch, bad.cards, bad.capability)
    bad.change(run_home)
    path = recipe_of(good, bad, run_home)
    code, said = finr1("check", path, *bad.options, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2, said
    named = [line for line in said.splitlines() if all(part in line for part in bad.says)]
    assert len(named) == 1, said
    assert said.count("\n- ") <= 2, said  # the mistake, and at most what follows from it
    code, said = finr1(command, path, *bad.options, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2, said
    assert all(part in " ".join(said.split()) for part in bad.says), said
    assert no_engine == []


@pytest.mark.parametrize(("command", "good"), [("sft", SFT), ("grpo", GRPO)])
def test_the_good_recipe_has_nothing_to_mend(
    command: str,
    good: dict[str, Any],
    run_home: Path,
    no_engine: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Else every test above would pass for the wrong reason."""
    machine(monkeypatch, 0)
    path = recipe_of(good, Bad("", ()), run_home)
    code, said = finr1("check", path, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 0, said


def test_all_mistakes_are_told_at_once(
    run_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, 0)
    bad = Bad("", (), {"learning_rate": 5, "cutof_len": 512, "template": "chatmll", "report_to": "wandb"})
    code, said = finr1("check", recipe_of(SFT, bad, run_home), monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "4 things to mend" in said
    for part in ("learning_rate", "cutof_len", "chatmll", "WANDB_API_KEY"):
        assert part in said


ODD = [None, -1, 1.5, True, [1], {"a": 1}, float("nan")]
READ_EARLY = [("sft", SFT, key) for key in ("cutoff_len", "dataset", "report_to", "model_name_or_path")] + [
    ("grpo", GRPO, key)
    for key in ("dataset_name", "dataset_mixture", "reward_funcs", "num_generations", "max_prompt_length", "output_dir")
]


@pytest.mark.parametrize(("kind", "good", "key"), READ_EARLY, ids=[f"{kind}: {key}" for kind, _, key in READ_EARLY])
def test_a_value_of_any_kind_is_told_and_breaks_nothing(
    kind: str, good: dict[str, Any], key: str, run_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that fails on a recipe's value would say nothing about the recipe."""
    machine(monkeypatch, 0)
    monkeypatch.setattr(rewards, "worth", lambda *_: iter(()))  # a process of its own each time, on the same rewards
    for value in ODD:
        findings = look_over(kind, {**good, key: value}, Place(place.this_machine())).findings
        assert of(findings, State.MISTAKE, State.LACKING, State.UNKNOWN) or value is None, value


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield int(taken.getsockname()[1])


MERGE = "model_name_or_path: model\nadapter_name_or_path: model\ntemplate: chatml\nexport_dir: out\n"

OTHERS = [
    ("serve", "model: model\nport: PORT\n", ("port PORT on 127.0.0.1 is in use", "another one")),
    ("serve open to all", "model: model\nhost: 0.0.0.0\nport: 18011\n", ("host 0.0.0.0", "api_key_env")),
    ("serve by vLLM", "model: model\nengine: vllm\nport: 18011\n", ("engine: vllm needs a GPU",)),
    (
        "merge",
        "model_name_or_path: model\nadapter_name_or_path: model\ntemplate: chatml\nexport_dir: out\nquantization_bit: 4\n",
        ("quantization_bit", "quantised weights"),
    ),
    ("merge, misspelt key", f"{MERGE}export_sise: 5\n", ("unknown key 'export_sise'", "'export_size'")),
    ("merge, template", MERGE.replace("chatml", "chatmll"), ("'chatmll'", "did you mean 'chatml'")),
    ("merge, device", f"{MERGE}export_device: gpu\n", ("export_device: 'gpu'", "cpu")),
    ("merge, no adapter", MERGE, ("holds no adapter",)),
    ("prepare", "out: q\nsources: [{name: finmath, split: train, cuont: 2, seed: 1}]\n", ("cuont", "'count'")),
    ("distill", "questions: q.jsonl\nout: t.jsonl\nteachers: [{name: r, kind: reference}]\n", ("questions", "q.jsonl")),
    (
        "key",
        "questions: recipes/serve/local.yaml\nout: t.jsonl\n"
        "teachers: [{name: t, base_url: 'http://127.0.0.1:9/v1', model: m, api_key_env: NO_SUCH_KEY_HERE}]\n",
        ("NO_SUCH_KEY_HERE",),
    ),
    (
        "eval",
        "out: e\nmodels: [{name: m, path: model}]\nsets: [{benchmark: finr1_finmath, path: datasets/none, subset: finmath}]\n",
        ("datasets/none/finmath.jsonl", "no such file"),
    ),
    ("pipeline", "out: p\nstages: [{stage: trian, recipe: {}}]\n", ("no stage is called 'trian'",)),
    (
        "pipeline's stage",
        "out: p\nstages: [{stage: sft, recipe: recipes/sft/none.yaml}]\n",
        ("stage 1, sft", "none.yaml"),
    ),
    ("key twice", "template: chatml\ntemplate: qwen\n", ("key 'template' stands twice (line 2)",)),
    ("no YAML", "template: [\n", ("is not YAML",)),
    ("no recipe", "colour: red\n", ("none of the keys by which a recipe is told",)),
]


@pytest.mark.parametrize(("text", "says"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS])
def test_a_mistake_in_another_recipe_is_named(
    text: str,
    says: tuple[str, ...],
    run_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine(monkeypatch, 0)
    with taken_port() as port:
        write(run_home / "bad.yaml", text.replace("PORT", str(port)))
        code, said = finr1("check", "bad.yaml", monkeypatch=monkeypatch, capsys=capsys)
        assert code == 2, said
        assert [line for line in said.splitlines() if all(p.replace("PORT", str(port)) in line for p in says)], said


def test_a_port_that_is_taken_keeps_a_launch_from_starting(
    run_home: Path, no_engine: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, 0)
    path = recipe_of(GRPO, Bad("", ()), run_home)
    with taken_port() as port:
        accelerate_file(main_process_port=port)(run_home)
        for command in ("check", "grpo"):
            code, said = finr1(command, path, "--accelerate", "shape.yaml", monkeypatch=monkeypatch, capsys=capsys)
            assert code == 2
            assert f"main_process_port: port {port} on 127.0.0.1 is in use" in said
    assert no_engine == []


def test_workers_of_ray_need_ray(
    run_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(monkeypatch, 0)
    path = recipe_of(SFT, Bad("", (), {"ray_num_workers": 2}), run_home)
    monkeypatch.delenv("USE_RAY", raising=False)
    assert finr1("check", path, monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    monkeypatch.setenv("USE_RAY", "1")
    monkeypatch.setattr(surroundings, "has_package", lambda stack, module: module != "ray")
    code, said = finr1("check", path, monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "Ray is not in the stack sft" in said


def test_another_machine_is_checked_for_by_its_cards(
    run_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What this machine lacks is told and does not count; what the named one lacks does."""
    machine(monkeypatch, 0)
    path = recipe_of(SFT, Bad("", (), {"bf16": True}), run_home)
    assert finr1("check", path, monkeypatch=monkeypatch, capsys=capsys)[0] == 2
    assert finr1("check", path, "--gpu", "80", monkeypatch=monkeypatch, capsys=capsys)[0] == 0
    code, said = finr1("check", path, "--gpu", "1", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "a card has 1" in said
    code, said = finr1("check", path, "--gpu", "big", monkeypatch=monkeypatch, capsys=capsys)
    assert code == 2
    assert "--gpu takes" in said
