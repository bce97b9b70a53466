"""What an engine's keys may each be, and not together: the engines say so minutes after their start, or never."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launch.check import schedules
from launch.check.finding import Findings, mistake, note
from reward_plugins.errors import did_you_mean

Asked = Mapping[str, Any]

_LORA_ONLY = ("use_dora", "use_rslora", "loraplus_lr_ratio", "pissa_init")
_SFT_ONLY = ("neat_packing", "train_on_prompt", "mask_history", "predict_with_generate")

_NAMES: Mapping[str, tuple[str, ...]] = {
    "loss_type": ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"),
    "importance_sampling_level": ("token", "sequence"),
    "scale_rewards": ("group", "batch", "none"),
    "vllm_mode": ("colocate", "server"),
    "dtype": ("auto", "bfloat16", "float16", "float32"),
    "attn_implementation": ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"),
}
"""What TRL 1.16 takes for these; it reads them as any text, and fails in its first step."""


_FSDP = ("full_shard", "shard_grad_op", "no_shard", "hybrid_shard", "hybrid_shard_zero2", "offload", "auto_wrap")
"""The words that transformers 5 takes in `fsdp`, with spaces between them."""


def sft(asked: Asked, stage: int) -> Findings:
    """Mistakes of a LLaMA-Factory recipe; `stage` is ZeRO's, 0 without DeepSpeed."""
    if not asked.get("do_train"):
        yield mistake("values", "do_train is not true: LLaMA-Factory would start and train nothing; set do_train: true")
    yield from _evaluation(asked)
    yield from _adapter(asked)
    yield from _mixture(asked)
    yield from _zero(asked, stage)
    if asked.get("stage") == "ppo" and not asked.get("reward_model"):
        yield mistake("values", "stage: ppo needs reward_model, a model trained by stage: rm; name it")
    if asked.get("stage", "sft") != "sft":
        for key in _SFT_ONLY:
            if asked.get(key):
                yield mistake("values", f"{key} is for stage: sft, and stage is {asked['stage']}; leave it out", key)
    if asked.get("mask_history") and asked.get("train_on_prompt"):
        yield mistake("values", "mask_history and train_on_prompt are both true; leave one")
    if asked.get("save_only_model") and asked.get("save_strategy", "steps") != "no":
        yield note("values", "save_only_model: a run that is stopped begins anew, its checkpoints hold weights alone")


def _evaluation(asked: Asked) -> Findings:
    data, share = asked.get("eval_dataset"), asked.get("val_size")
    if str(asked.get("eval_strategy", "no")) != "no" and not data and not share:
        yield mistake(
            "values",
            f"eval_strategy is {asked['eval_strategy']}, and there is nothing to evaluate on; give eval_dataset or val_size, "
            'or set eval_strategy: "no"',
        )
    elif asked.get("do_eval") and not data and not share:
        yield mistake("values", "do_eval is true, and there is nothing to evaluate on; give eval_dataset or val_size")
    if data and share:
        yield mistake("values", "eval_dataset and val_size are both set; leave one")
    if asked.get("do_predict") and not asked.get("predict_with_generate"):
        yield mistake("values", "do_predict needs predict_with_generate: true; set it, or leave do_predict out")


def _adapter(asked: Asked) -> Findings:
    kind = asked.get("finetuning_type", "lora")
    if asked.get("adapter_name_or_path") and kind != "lora":
        yield mistake(
            "values", f"adapter_name_or_path with finetuning_type: {kind}; merge the adapter first, or set lora"
        )
    for key in _LORA_ONLY:
        if asked.get(key) and kind != "lora":
            yield mistake("values", f"{key} is for finetuning_type: lora, and it is {kind}; leave {key} out", key)
    bits = asked.get("quantization_bit")
    if bits and asked.get("quantization_method", "bnb") == "bnb" and bits not in (4, 8):
        yield mistake("quantisation", f"quantization_bit is {bits}; bitsandbytes has 4 and 8", "quantization_bit")


def _mixture(asked: Asked) -> Findings:
    named = asked.get("dataset") or []
    names = [str(each).strip() for each in (named if isinstance(named, list) else str(named).split(","))]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield note("data", f"dataset: {twice[0]} is named twice, and its rows are trained on twice")
    if shares := asked.get("interleave_probs"):
        count = len(shares if isinstance(shares, list) else str(shares).split(","))
        if asked.get("mix_strategy", "concat") == "concat":
            yield mistake("values", "interleave_probs needs mix_strategy: interleave_under or interleave_over")
        elif count != len(names):
            yield mistake("values", f"interleave_probs has {count} numbers for {len(names)} sets; give one for each")
    if asked.get("streaming"):
        if int(asked.get("max_steps", -1)) <= 0:
            yield mistake("values", "streaming needs max_steps: a stream has no length; set it")
        for key in ("max_samples", "val_size"):
            if asked.get(key) and (key == "max_samples" or float(asked[key]) < 1):
                yield mistake("values", f"{key} is {asked[key]}, and a stream has no length; leave it out", key)


def _zero(asked: Asked, stage: int) -> Findings:
    if asked.get("deepspeed") and asked.get("fsdp"):
        yield mistake("values", "deepspeed and fsdp are both set; leave one")
    if stage != 3:
        return
    for key in ("pure_bf16", "predict_with_generate", "use_unsloth", "pissa_init"):
        if asked.get(key):
            yield mistake("deepspeed", f"{key} does not work with ZeRO-3; leave it out, or take zero2.json", key)
    if asked.get("quantization_bit") not in (None, 4):
        yield mistake(
            "quantisation",
            f"quantization_bit is {asked['quantization_bit']}, and with ZeRO-3 only 4-bit weights are trained; set 4, or "
            "take zero2.json",
        )


def grpo(asked: Asked, ranks: int) -> Findings:
    """Mistakes of a GRPO recipe in TRL's keys, for a launch on so many ranks."""
    for key, names in _NAMES.items():
        value = asked.get(key)
        # With a slash it is a kernel of the hub.
        if isinstance(value, str) and value not in names and "/" not in value:
            yield mistake("values", f"{key}: {value!r} is none of its choices{did_you_mean(value, names)}")
    if asked.get("sync_ref_model") and not asked.get("beta"):
        yield mistake("values", "sync_ref_model is true, and beta is 0, so there is no reference model; set beta")
    if asked.get("auto_find_batch_size"):
        yield mistake(
            "batch", "auto_find_batch_size would tear groups of completions apart; set per_device_train_batch_size"
        )
    spread = asked.get("vllm_tensor_parallel_size", 1)
    if asked.get("use_vllm") and asked.get("vllm_mode", "server") == "colocate" and ranks % spread:
        yield mistake(
            "vllm", f"vllm_tensor_parallel_size: {ranks} ranks are no multiple of {spread}; set a divisor of {ranks}"
        )
    if asked.get("generation_batch_size") and asked.get("steps_per_generation"):
        yield mistake("batch", "generation_batch_size and steps_per_generation are both set; leave one")
    low, high = asked.get("epsilon", 0.2), asked.get("epsilon_high")
    if high is not None and high < low:
        yield mistake("values", f"epsilon_high is {high:g}, below epsilon, {low:g}; they clip from above and below")
    weights = asked.get("reward_weights") or []
    if isinstance(weights, str):
        yield mistake("rewards", f"reward_weights is {weights!r}, and takes a list of numbers, as [1.0, 0.2]")
    elif odd := [each for each in weights if isinstance(each, bool) or not isinstance(each, int | float)]:
        yield mistake("rewards", f"reward_weights: {odd[0]!r} is no number")
    elif weights and not any(weights):
        yield mistake("rewards", "reward_weights are all 0: the reward would be constant and teach nothing")
    if str(asked.get("eval_strategy", "no")) != "no":
        each = int(asked.get("per_device_eval_batch_size", 8))
        group = int(asked.get("num_generations_eval") or asked.get("num_generations", 8))
        if each * ranks % group:
            yield mistake(
                "batch",
                f"per_device_eval_batch_size: {each} a device x {ranks} ranks are no multiple of the {group} completions of "
                "a prompt; change it",
            )


def trainer(asked: Asked) -> Findings:
    """Mistakes that transformers' trainer, under either engine, finds when it is made."""
    if asked.get("bf16") and asked.get("fp16"):
        yield mistake("values", "bf16 and fp16 are both true; leave one")
    yield from schedules.schedule(asked)
    words = asked.get("fsdp")
    for word in words.split() if isinstance(words, str) else ():
        if word not in _FSDP:
            yield mistake("values", f"fsdp: {word!r} is none of its words{did_you_mean(word, _FSDP)}", "fsdp")
    for key, value in asked.items():
        if key.endswith("_kwargs") and isinstance(value, str) and not value.lstrip().startswith("{"):
            yield mistake("values", f"{key} is {value!r}, and takes a mapping: each key on a line of its own under it")
    if asked.get("load_best_model_at_end"):
        yield from _best(asked)
    if asked.get("save_strategy") == "no" and asked.get("resume_from_checkpoint"):
        yield mistake(
            "values", 'resume_from_checkpoint is set and save_strategy is "no": a second stop would lose all; set steps'
        )
    if asked.get("trust_remote_code"):
        yield mistake("values", "trust_remote_code would run a stranger's code; the kit does not: take it out")


def _best(asked: Asked) -> Findings:
    tried, saved = str(asked.get("eval_strategy", "no")), str(asked.get("save_strategy", "steps"))
    if tried == "no":
        yield mistake("values", 'load_best_model_at_end needs evaluations: set eval_strategy to "steps" or "epoch"')
    elif saved not in (tried, "best"):
        yield mistake(
            "values", f"load_best_model_at_end: eval_strategy is {tried} and save_strategy {saved}; set both alike"
        )
    elif saved == "steps":
        # Shares of the run (below 1) are left alone: they are rounded to steps by the trainer.
        each, save = asked.get("eval_steps") or asked.get("logging_steps", 500), asked.get("save_steps", 500)
        if each >= 1 and save >= 1 and save % each:
            yield mistake(
                "values", f"load_best_model_at_end: save_steps ({save:g}) must be a multiple of eval_steps ({each:g})"
            )
