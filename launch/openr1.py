"""OpenR1's GRPO recipe, kept in meaning on TRL 1.16.

open-r1 is pinned to TRL 0.18 and transformers 4.52; a quarter of the keys in its shipped recipes are gone today, and
some that are left mean something else. The tables below were made from the published packages' own dataclasses, and
`tests/launch/test_openr1_packages.py` reads them again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from reward_plugins.errors import Refused, did_you_mean

RENAMED = {
    "torch_dtype": "dtype",
    "warmup_ratio": "warmup_steps",  # below 1 it is a ratio in transformers 5
    "vllm_guided_decoding_regex": "vllm_structured_outputs_regex",
    "wandb_log_unique_prompts": "log_unique_prompts",
    "hub_model_revision": "hub_revision",
    "no_cuda": "use_cpu",
    "push_to_hub_token": "hub_token",
    "push_to_hub_model_id": "hub_model_id",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
}

_SANDBOX = "for open-r1's code rewards, which the kit does not have"
_GONE = "gone from transformers 5, which does without it"
_HUB = "part of open-r1's callbacks, which push to its own hub account"

DROPPED = {
    "overwrite_output_dir": "an output folder is continued or moved aside, never overwritten",
    "vllm_device": "TRL places vLLM itself (0.18 already refused this key)",
    "use_liger_loss": "Liger's fused loss left TRL's GRPO trainer; the plain one has the same value and needs more memory",
    "save_safetensors": "weights are always saved as safetensors now",
    "benchmarks": "evaluation is a stage of its own (`finr1 eval`)",
    "callbacks": _HUB,
    "push_to_hub_revision": _HUB,
    "overwrite_hub_revision": _HUB,
    "code_language": _SANDBOX,
    "code_provider": _SANDBOX,
    "code_eval_test_batch_size": _SANDBOX,
    "code_eval_scoring_mode": _SANDBOX,
    "parallel_code_exec_per_proc": _SANDBOX,
    "ioi_provider": _SANDBOX,
    "e2b_router_url": _SANDBOX,
    "morph_router_url": _SANDBOX,
    "adafactor": "gone from transformers 5; say `optim: adafactor`",
    "group_by_length": "GRPO draws its prompts by a sampler of its own, then and now",
    "fsdp_min_num_params": "belongs into accelerate's configuration file",
    "fsdp_transformer_layer_cls_to_wrap": "belongs into accelerate's configuration file",
    **dict.fromkeys(
        (
            "fp16_backend",
            "fp16_opt_level",
            "half_precision_backend",
            "include_inputs_for_metrics",
            "include_tokens_per_second",
            "jit_mode_eval",
            "mp_parameters",
            "past_index",
            "push_to_hub_organization",
            "ray_scope",
            "torchdynamo",
            "tpu_metrics_debug",
            "tpu_num_cores",
            "use_ipex",
            "use_legacy_prediction_loop",
            "use_mps_device",
        ),
        _GONE,
    ),
}

ENVIRONMENT = {
    "wandb_project": "WANDB_PROJECT",
    "wandb_entity": "WANDB_ENTITY",
    "wandb_run_group": "WANDB_RUN_GROUP",
    "logging_dir": "TENSORBOARD_LOGGING_DIR",
}

OLD_DEFAULTS: dict[str, Any] = {
    # TRL 0.18 / transformers 4.52 / open-r1 -> what TRL 1.16 / transformers 5.23 would do in silence
    "beta": 0.04,  # 0.0
    "loss_type": "bnpo",  # dapo
    "scale_rewards": "group",  # True and "group" are one thing
    "max_completion_length": 256,  # 512
    "gradient_checkpointing": False,  # True
    "vllm_mode": "server",  # colocate
    "use_bias_correction_kl": False,  # True
    "vllm_importance_sampling_correction": False,  # True
    "logging_steps": 500,  # 10
    "log_unique_prompts": True,  # False; open-r1's own default
    "num_completions_to_print": 0,  # None: all of them; open-r1's own default
    "bf16": False,  # None: bf16 wherever the machine has it
    "optim": "adamw_torch",  # adamw_torch_fused
    "average_tokens_across_devices": False,  # True
}
"""Defaults that changed between the versions, with today's in the comment. They are written out unless set."""

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

KIT_KEYS = {
    "system_prompt": "put before each prompt that has none",
    "dataset_prompt_column": "the column that becomes the conversational `prompt`",
    "chat_template": "set on the tokenizer",
    "max_prompt_length": "longer prompts are left out (TRL 0.18 cut off their beginning)",
    "dataset_mixture": "mixed by the kit; a weight is the share of a set's own rows",
}
"""Keys of open-r1 and TRL 0.18 that `launch/grpo.py` carries out on the data, since today's trainer does not."""

BATCH_KEYS = ("prompts_per_step", "samples_per_update")
"""The kit's own keys: batch sizes are solved from them for the machine at hand (see `launch/batch.py`)."""

CODE_REWARDS = ("code", "binary_code", "ioi_code", "cf_code", "code_format")

Kind = Literal["same", "renamed", "data", "reward", "environment", "dropped", "changed", "default", "batch"]


@dataclass(frozen=True)
class Fate:
    """What became of one key of a recipe."""

    key: str
    value: Any
    kind: Kind
    became: str
    """In words; "" where the key means today what it meant."""


@dataclass
class Translation:
    """A recipe as TRL 1.16 takes it, and what became of each of its keys."""

    trl: dict[str, Any] = field(default_factory=dict)
    """Keys of TRL's own dataclasses."""
    rewards: list[str] = field(default_factory=list)
    """Reward names in order: dotted paths, or names of open-r1's registry."""
    reward_parameters: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    """Those of `KIT_KEYS` that the recipe gives."""
    batch: dict[str, int] = field(default_factory=dict)
    """Those of `BATCH_KEYS` that the recipe gives."""
    environment: dict[str, str] = field(default_factory=dict)
    fates: list[Fate] = field(default_factory=list)
    """One for each key of the recipe, in its order, then one for each default that was written out."""

    @property
    def notes(self) -> list[tuple[str, str]]:
        """(key, what became of it) for each key that does not simply stay."""
        return [(fate.key, fate.became) for fate in self.fates if fate.became]

    def resolved(self) -> dict[str, Any]:
        """All of it as one recipe again, to be written beside the run; it translates to itself."""
        wandb = {key: self.environment[name] for key, name in ENVIRONMENT.items() if name in self.environment}
        return {**self.trl, "reward_funcs": self.rewards, **self.reward_parameters, **self.data, **self.batch, **wandb}

    def code_rewards(self) -> list[str]:
        """The rewards among them that run code in open-r1's sandboxes, which only a real open-r1 has."""
        return [name for name in self.rewards if name in CODE_REWARDS]


def translate(recipe: dict[str, Any], known: set[str] | None = None) -> Translation:
    """Read an OpenR1 recipe for TRL 1.16.

    `known` are the keys of TRL's dataclasses; with it, a key that nobody knows is refused here, with a suggestion.

    Raises:
        Refused: an unknown key, a key beside its own old name, or no reward.
    """
    done = Translation()
    for key, value in recipe.items():
        done.fates.append(_fate(done, recipe, key, value, known))
    if not done.rewards:
        raise Refused("reward_funcs is missing: name at least one, such as reward_plugins.rewards.finance_accuracy")
    _write_out_old_defaults(done)
    return done


def refuse_code_rewards(done: Translation) -> None:
    """Refuse a run, other than on a real open-r1, with rewards that run code in its sandboxes."""
    if names := done.code_rewards():
        raise Refused(
            f"reward_funcs: {', '.join(map(repr, names))} run code in a sandbox of open-r1's, and the kit has none; "
            "name other rewards, or run the recipe on a real open-r1 (`finr1 grpo --engine open-r1`)"
        )


def _fate(done: Translation, recipe: dict[str, Any], key: str, value: Any, known: set[str] | None) -> Fate:
    """Put one key where it belongs, and say where that is."""
    if key == "reward_funcs":
        done.rewards = [value] if isinstance(value, str) else list(value or [])
        return Fate(key, value, "reward", _about_rewards(done.rewards))
    if key in REWARD_PARAMETERS:
        done.reward_parameters[key] = value
        return Fate(key, value, "reward", "a parameter of the reward that it names")
    if key in KIT_KEYS:
        done.data[key] = value
        return Fate(key, value, "data", KIT_KEYS[key])
    if key in BATCH_KEYS:
        done.batch[key] = _whole(key, value)
        return Fate(key, value, "batch", "batch sizes are solved from it for the machine at hand")
    if key in ENVIRONMENT:
        if value is not None:
            done.environment[ENVIRONMENT[key]] = str(value)
        return Fate(key, value, "environment", f"environment variable {ENVIRONMENT[key]}")
    if key in DROPPED:
        return Fate(key, value, "dropped", f"dropped: {DROPPED[key]}")
    if key in RENAMED:
        new = RENAMED[key]
        if new in recipe:
            raise Refused(f"{key!r} is the old name of {new!r}, and the recipe gives both; leave one")
        done.trl[new] = "float32" if key == "torch_dtype" and value is None else value
        return Fate(key, value, "renamed", f"{new}: {done.trl[new]}")
    if key == "gradient_checkpointing_use_reentrant":
        done.trl.setdefault("gradient_checkpointing_kwargs", {"use_reentrant": bool(value)})
        return Fate(key, value, "renamed", f"gradient_checkpointing_kwargs: {{use_reentrant: {bool(value)}}}")
    if known is not None and key not in known:
        everything = [*known, *DROPPED, *RENAMED, *ENVIRONMENT, *REWARD_PARAMETERS, *KIT_KEYS, *BATCH_KEYS]
        raise Refused(f"unknown key {key!r}{did_you_mean(key, [*everything, 'reward_funcs'])}")
    return _kept(done, key, value)


def _kept(done: Translation, key: str, value: Any) -> Fate:
    done.trl[key] = value
    if key == "scale_rewards" and isinstance(value, bool):
        done.trl[key] = "group" if value else "none"
        return Fate(key, value, "changed", f'now a word: "{done.trl[key]}"')
    if key.endswith("_strategy") and value is False:  # YAML reads a bare `no` so
        done.trl[key] = "no"
    if key == "vllm_mode" and value == "server":
        return Fate(key, value, "changed", "the server is `vllm serve` now, not `trl vllm-serve`")
    return Fate(key, value, "same", "")


def _about_rewards(names: list[str]) -> str:
    code = [name for name in names if name in CODE_REWARDS]
    if code:
        return f"{', '.join(code)}: only on a real open-r1 (`--engine open-r1`), since they run code in its sandboxes"
    if any("." not in name for name in names):
        return "open-r1's names with the kit's verifier: what is right is decided by it"
    return ""


def _whole(key: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused(f"{key} must be a whole number above 0, not {value!r}")
    return value


def _write_out_old_defaults(done: Translation) -> None:
    longest = done.data.get("max_prompt_length")
    for key, value in OLD_DEFAULTS.items():
        if key not in done.trl:
            done.trl[key] = value
            done.fates.append(Fate(key, None, "default", f"written out as {value!r}, its default in OpenR1"))
    if "report_to" not in done.trl:
        # The old default meant every tracker that happened to be installed; nobody should report by accident.
        done.fates.append(Fate("report_to", None, "default", "left at 'none' (OpenR1: every tracker installed)"))
    if longest and done.trl.get("use_vllm") and not done.trl.get("vllm_max_model_length"):
        total = longest + done.trl["max_completion_length"]
        done.trl["vllm_max_model_length"] = total
        done.fates.append(Fate("vllm_max_model_length", None, "default", f"{total}: prompt and completion together"))
    if not longest:
        done.fates.append(Fate("max_prompt_length", None, "default", "prompts stay whole (OpenR1: cut to 512 tokens)"))


def table(fates: list[Fate]) -> str:
    """What became of a recipe's keys, as aligned lines of key, value and fate; keys that stay are counted only."""
    rows = [(fate.key, _short(fate.value), fate.became) for fate in fates if fate.became]
    kept = sum(not fate.became for fate in fates)
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"  {key:{widths[0]}}  {value:{widths[1]}}  {became}" for key, value, became in rows]
    return "\n".join([*lines, f"  {kept} other keys mean today what they meant"])


def _short(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 3]}..."


_WIDE = 24
"""Characters of a value that the table shows: enough for a number, a name, the beginning of a prompt."""
