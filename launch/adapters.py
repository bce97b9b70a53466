"""A LoRA adapter as a model that any server can serve: merged into its base."""

from __future__ import annotations

import json
from pathlib import Path

from eval_adapters.identity import adapter_base

_RECIPE = "recipes/sft/merge_lora.yaml"


def whole(model: Path, merged: Path) -> Path:
    """A folder of whole weights: the model itself, or for a LoRA adapter what was merged into the folder `merged`.

    An adapter is merged once; a changed one is merged anew, and what it replaces is kept beside it.

    Raises:
        Refused: the adapter's base model is not there, or there is no room for the merged weights.
        EngineFailed: the merge did not end well.
    """
    base = adapter_base(model)
    if base is None:
        return model
    from launch import train  # with the checks of all recipes: seconds that only a merge needs

    places = {"model_name_or_path": base, "adapter_name_or_path": model, "export_dir": merged}
    train.merge(_RECIPE, [f"{key}={json.dumps(str(place), ensure_ascii=False)}" for key, place in places.items()])
    return merged
