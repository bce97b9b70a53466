"""OpenR1's GRPO recipe, kept in meaning on TRL 1.16.

open-r1 is pinned to TRL 0.18; a quarter of the keys in its shipped recipes are gone today, and some that are left
mean something else. The tables below were made from both published packages' own dataclasses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from launch.recipe import did_you_mean
from reward_plugins.errors import Refused

RENAMED = {
    "torch_dtype": "dtype",
    "warmup_ratio": "warmup_steps",  # below 1 it is a ratio in transformers 5
    "vllm_guided_decoding_regex": "vllm_structured_outputs_regex",
    "wandb_log_unique_prompts": "log_unique_prompts",
    "hub_model_revision": "hub_revision",
}

DROPPED = {
    "overwrite_output_dir": "an output folder is continued or refused, never overwritten",
    "vllm_device": "TRL places vLLM itself",
    "use_liger_loss": "gone from TRL; `use_liger_kernel` is what is left",
    "save_safetensors": "always so now",
    "benchmarks": "evaluation is a stage of its own (`finr1 eval`)",
    "callbacks": "open-r1's callbacks push to its own hub and are not part of the kit",
    "push_to_hub_revision": "part of open-r1's hub callback",
    "overwrite_hub_revision": "part of open-r1's hub callback",
    "code_language": "for open-r1's code rewards, which the kit does not have",
    "code_provider": "for open-r1's code rewards, which the kit does not have",
    "code_eval_test_batch_size": "for open-r1's code rewards, which the kit does not have",
    "code_eval_scoring_mode": "for open-r1's code rewards, which the kit does not have",
    "parallel_code_exec_per_proc": "for open-r1's code rewards, which the kit does not have",
    "ioi_provider": "for open-r1's code rewards, which the kit does not have",
    "e2b_router_url": "for open-r1's code rewards, which the kit does not have",
    "morph_router_url": "for open-r1's code rewards, which the kit does not have",
}

ENVIRONMENT = {
    "wandb_project": "WANDB_PROJECT",
    "wandb_entity": "WANDB_ENTITY",
    "wandb_run_group": "WANDB_RUN_GROUP",
}

OLD_DEFAULTS: dict[str, Any] = {
    # TRL 0.18 / transformers 4.52 -> what TRL 1.16 / transformers 5.23 would do in silence
    "beta": 0.04,  # 0.0
    "loss_type": "bnpo",  # dapo
    "scale_rewards": "group",  # True and "group" are one thing
    "max_completion_length": 256,  # 512
    "gradient_checkpointing": False,  # True
    "vllm_mode": "server",  # colocate
    "use_bias_correction_kl": False,  # True
    "vllm_importance_sampling_correction": False,  # True
    "logging_steps": 500,  # 10
    "bf16": False,  # None: bf16 wherever the machine has it
    "optim": "adamw_torch",  # adamw_torch_fused
    "average_tokens_across_devices": False,  # True
}
"""Defaults that changed between the versions, with today's in the comment. They are written out unless set.

`report_to` is left at today's "none": the old one meant every tracker that happened to be installed.
"""

REWARD_PARAMETERS = (
    "cosine_min_value_wrong",
    "cosine_max_value_wrong",
    "cosine_min_value_correct",
    "cosine_max_value_correct",
    "cosine_max_len",
    "repetition_n_grams",
    "repetition_max_penalty",
    "max_completion_len",
    "soft_punish_cache",
)

KIT_KEYS = ("system_prompt", "dataset_prompt_column", "chat_template", "max_prompt_length", "dataset_mixture")
"""Keys of open-r1 and TRL 0.18 that `launch/grpo.py` carries out on the data, since today's trainer does not."""

CODE_REWARDS = ("code", "binary_code", "ioi_code", "cf_code", "code_format")


@dataclass
class Translation:
    """A recipe as TRL 1.16 takes it, and what became of each key that is not the same there."""

    trl: dict[str, Any]
    """Keys of TRL's own dataclasses."""
    rewards: list[str]
    """Reward names in order: dotted paths, or names of open-r1's registry."""
    reward_parameters: dict[str, Any]
    data: dict[str, Any]
    """Those of `KIT_KEYS` that the recipe gives."""
    environment: dict[str, str]
    notes: list[tuple[str, str]] = field(default_factory=list)
    """(key, what became of it), for the table that is shown before the run."""

    def resolved(self) -> dict[str, Any]:
        """All of it as one recipe again, to be written beside the run."""
        return {**self.trl, "reward_funcs": self.rewards, **self.reward_parameters, **self.data}


def translate(recipe: dict[str, Any], known: set[str] | None = None) -> Translation:
    """Read an OpenR1 recipe for TRL 1.16.

    `known` are the keys of TRL's dataclasses; with it, a key that nobody knows is refused here, with a suggestion.

    Raises:
        Refused: an unknown key, a key beside its own old name, or a reward that the kit does not have.
    """
    done = Translation({}, [], {}, {}, {})
    for key, value in recipe.items():
        if key == "reward_funcs":
            done.rewards = [value] if isinstance(value, str) else list(value or [])
        elif key in REWARD_PARAMETERS:
            done.reward_parameters[key] = value
        elif key in KIT_KEYS:
            done.data[key] = value
            done.notes.append((key, "carried out on the data before training"))
        elif key in ENVIRONMENT:
            if value is not None:
                done.environment[ENVIRONMENT[key]] = str(value)
            done.notes.append((key, f"environment variable {ENVIRONMENT[key]}"))
        elif key in DROPPED:
            done.notes.append((key, f"dropped: {DROPPED[key]}"))
        elif key in RENAMED:
            _rename(done, recipe, key, value)
        elif key == "gradient_checkpointing_use_reentrant":
            done.trl.setdefault("gradient_checkpointing_kwargs", {"use_reentrant": bool(value)})
            done.notes.append((key, "gradient_checkpointing_kwargs.use_reentrant"))
        elif known is not None and key not in known:
            everything = [*known, *DROPPED, *RENAMED, *ENVIRONMENT, *REWARD_PARAMETERS, *KIT_KEYS, "reward_funcs"]
            raise Refused(f"unknown key {key!r}{did_you_mean(key, everything)}")
        else:
            done.trl[key] = value
    _check_rewards(done.rewards)
    _keep_meaning(done)
    return done


def _rename(done: Translation, recipe: dict[str, Any], old: str, value: Any) -> None:
    new = RENAMED[old]
    if new in recipe:
        raise Refused(f"{old!r} is the old name of {new!r}, and the recipe gives both; leave one")
    if old == "torch_dtype" and value is None:
        value = "float32"
    done.trl[new] = value
    done.notes.append((old, f"now {new}: {value}"))


def _check_rewards(names: list[str]) -> None:
    if not names:
        raise Refused("reward_funcs is missing: name at least one, such as reward_plugins.rewards.finance_accuracy")
    for name in names:
        if name in CODE_REWARDS:
            raise Refused(f"reward {name!r} runs code in a sandbox of open-r1's; the kit has none for it")


def _keep_meaning(done: Translation) -> None:
    if isinstance(done.trl.get("scale_rewards"), bool):
        done.trl["scale_rewards"] = "group" if done.trl["scale_rewards"] else "none"
    for key, value in OLD_DEFAULTS.items():
        if key not in done.trl:
            done.trl[key] = value
            done.notes.append((key, f"written out as {value!r}, its default in TRL 0.18"))
