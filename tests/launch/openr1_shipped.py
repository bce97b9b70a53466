"""What open-r1's five shipped GRPO recipes hold: the names of their 63 keys and the types of the values."""

from __future__ import annotations

from typing import Any

COMMON: dict[str, type] = {
    "model_name_or_path": str,
    "model_revision": str,
    "torch_dtype": str,
    "attn_implementation": str,
    "dataset_name": str,
    "dataset_prompt_column": str,
    "system_prompt": str,
    "bf16": bool,
    "use_vllm": bool,
    "do_eval": bool,
    "gradient_accumulation_steps": int,
    "gradient_checkpointing": bool,
    "gradient_checkpointing_kwargs": dict,
    "hub_model_id": str,
    "hub_strategy": str,
    "learning_rate": float,
    "log_completions": bool,
    "log_level": str,
    "logging_first_step": bool,
    "logging_steps": int,
    "logging_strategy": str,
    "lr_scheduler_type": str,
    "max_prompt_length": int,
    "max_completion_length": int,
    "max_steps": int,
    "num_generations": int,
    "num_train_epochs": int,
    "output_dir": str,
    "overwrite_output_dir": bool,
    "per_device_train_batch_size": int,
    "push_to_hub": bool,
    "report_to": list,
    "reward_funcs": list,
    "reward_weights": list,
    "save_strategy": str,
    "save_total_limit": int,
    "seed": int,
    "warmup_ratio": float,
}

OWN: dict[str, dict[str, type]] = {
    "DeepSeek-R1-Distill-Qwen-1.5B/grpo/config_demo.yaml": {
        "chat_template": str,
        "lr_scheduler_kwargs": dict,
        "per_device_eval_batch_size": int,
        "temperature": float,
        "use_liger_kernel": bool,
    },
    "Qwen2.5-1.5B-Instruct/grpo/config_demo.yaml": {"per_device_eval_batch_size": int},
    "Qwen2.5-1.5B-Instruct/grpo/config_demo_code.yaml": {
        "lr_scheduler_kwargs": dict,
        "temperature": float,
        "beta": float,
        "save_steps": int,
    },
    "Qwen2.5-1.5B-Instruct/grpo/config_demo_code_ioi.yaml": {
        "lr_scheduler_kwargs": dict,
        "temperature": float,
        "beta": float,
        "save_steps": int,
        "code_language": str,
        "code_eval_test_batch_size": int,
    },
    "Qwen2.5-Coder-7B-Instruct/grpo/config_codeforces.yaml": {
        "temperature": float,
        "beta": float,
        "save_steps": float,
        "code_eval_test_batch_size": int,
        "dataset_config": str,
        "dataset_test_split": str,
        "dataset_train_split": str,
        "callbacks": list,
        "benchmarks": list,
        "loss_type": str,
        "scale_rewards": bool,
        "eval_strategy": str,
        "vllm_device": str,
        "vllm_gpu_memory_utilization": float,
        "hub_model_revision": str,
        "max_grad_norm": float,
        "wandb_entity": str,
        "wandb_project": str,
        "mask_truncated_completions": bool,
        "code_eval_scoring_mode": str,
    },
}
"""Recipe (under open-r1's `recipes/`) -> the keys that not all five have."""

ALL: dict[str, type] = COMMON | {key: kind for keys in OWN.values() for key, kind in keys.items()}

_SAMPLE: dict[type, Any] = {str: "word", bool: False, int: 3, float: 0.25, list: ["accuracy"], dict: {}}


def recipe_like(name: str) -> dict[str, Any]:
    """A recipe with the keys of a shipped one and values of the same types."""
    return {key: _SAMPLE[kind] for key, kind in (COMMON | OWN[name]).items()}
