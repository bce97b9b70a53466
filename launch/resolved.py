"""The resolved recipe beside a run: what the kit's runner did, and the same for `trl grpo` where that can do it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from launch.openr1 import Translation
from launch.paths import home
from reward_plugins.files import write_whole

DOTTED = {
    "accuracy": "reward_plugins.rewards.finance_accuracy",
    "format": "reward_plugins.rewards.finance_format",
    "tag_count": "reward_plugins.rewards.openr1.tag_count",
    "reasoning_steps": "reward_plugins.rewards.openr1.reasoning_steps",
    "length": "reward_plugins.rewards.openr1.kimi_length",
}
"""Those names of open-r1's registry that stand for one function: `trl grpo` takes a dotted path, and no parameters."""


def write(asked: Translation, out: Path) -> dict[str, str]:
    """Write `resolved_recipe.yaml`, and `trl_recipe.yaml` where `trl grpo --config` would train on the same thing.

    Returns each file's name with what it is for, or why it was not written.
    """
    out.mkdir(parents=True, exist_ok=True)
    _yaml(out / "resolved_recipe.yaml", asked.resolved(), "every key as this run used it")
    written = {"resolved_recipe.yaml": "every key as this run used it"}
    trl = out / "trl_recipe.yaml"
    if why := not_for_trl(asked):
        trl.unlink(missing_ok=True)
        return written | {"trl_recipe.yaml": f"not written: `trl grpo` knows no {', no '.join(why)}"}
    _yaml(trl, for_trl(asked), "trl grpo --config trl_recipe.yaml (prompts of any length are used)")
    return written | {"trl_recipe.yaml": "the same for `trl grpo --config`"}


def not_for_trl(asked: Translation) -> list[str]:
    """What this recipe asks for and `trl grpo` cannot do, in words; [] where it can do all."""
    missing = [key for key in ("system_prompt", "chat_template", "dataset_mixture") if asked.data.get(key)]
    if asked.data.get("dataset_prompt_column", "prompt") != "prompt":
        missing.append("dataset_prompt_column")
    return missing + [f"reward {name!r}" for name in asked.rewards if "." not in name and name not in DOTTED]


def for_trl(asked: Translation) -> dict[str, Any]:
    """The recipe in the keys of `trl grpo`: batch sizes as solved, paths absolute (it starts from anywhere)."""
    given = dict(asked.trl)
    for key in ("model_name_or_path", "dataset_name", "output_dir"):
        local = home() / str(given.get(key) or "")
        if given.get(key) and (local.exists() or key == "output_dir"):
            given[key] = str(local)
    given["reward_funcs"] = [DOTTED.get(name, name) for name in asked.rewards]
    return given | ({"env": asked.environment} if asked.environment else {})


def _yaml(path: Path, content: dict[str, Any], what: str) -> None:
    write_whole(path, f"# {what}\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
