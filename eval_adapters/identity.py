"""What makes two evaluations the same one: by it a run is resumed, skipped, or begun anew."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eval_adapters import catalogue, loading
from eval_adapters.settings import EvalSettings, ModelSpec, SetSpec
from reward_plugins.addresses import is_loopback
from reward_plugins.errors import Refused

ASKING_VERSION = 2
"""Raise it when what is sent to a model changes for the same settings."""


_MODEL_FILES = (
    *("*.safetensors", "*.bin", "*.gguf", "config.json", "generation_config.json", "adapter_config.json"),
    *("tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab*", "merges.txt", "*.model", "*.jinja"),
)
_ADAPTER_CONFIG = "adapter_config.json"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def asking(settings: EvalSettings, model: dict[str, str], test_set: SetSpec) -> dict[str, Any]:
    """All that decides what a model (see `of_model`) is asked and what it can answer; its address is no part of it."""
    return {
        "version": ASKING_VERSION,
        "evalscope": version("evalscope"),
        "model": model,
        "set": loading.identity(test_set, catalogue.of(test_set.benchmark)),
        "repeats": settings.repeats,
        "generation": settings.generation.model_dump(exclude_none=True),
        "seed": settings.seed,
    }


def fingerprint(what: dict[str, Any]) -> str:
    """The sha256 of a JSON value, in hexadecimal."""
    return hashlib.sha256(json.dumps(what, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@cache
def scoring_code() -> str:
    """The sha256 over the code that decides on a completion: after a change, stored completions are scored again.

    Taken once a process, as the code itself is loaded once.
    """
    import reward_plugins

    digest = hashlib.sha256()
    package = Path(reward_plugins.__file__).parent
    for file in [*sorted(package.rglob("*.py")), Path(__file__).with_name("scoring.py")]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def of_model(model: ModelSpec) -> dict[str, str]:
    """A folder by its content, a hub id by itself; an endpoint by host and model id, a local one by model id alone.

    A LoRA adapter is its own weights and its base model, wherever the two lie.

    Raises:
        Refused: there is no model folder, or an adapter's base model is not there.
    """
    if model.path is not None:
        what = _of_weights(model.path)
    else:
        host = urlsplit(model.api_url or "").hostname or ""
        what = {"model_id": model.model_id or model.name, "host": "" if is_loopback(host) else host}
        if model.requests:  # what is posted decides the answer; a header may hold a secret, and does not
            what["requests"] = fingerprint(model.requests.model_dump(exclude={"headers", "key_header", "key_prefix"}))
    return {"name": model.name, **what}


def _of_weights(path: Path) -> dict[str, str]:
    if not path.is_dir() and _HUB_ID.fullmatch(str(path)):
        return {"hub_id": str(path)}
    base = adapter_base(path)
    if base is None:
        return {"sha256": model_hash(path)}
    return {"adapter_sha256": _adapter_hash(path)} | {f"base_{key}": value for key, value in _of_weights(base).items()}


def adapter_base(folder: Path) -> Path | None:
    """The base model of the LoRA adapter in a folder: another folder, or a hub id; None where it is a whole model.

    Raises:
        Refused: its configuration names no base model, or a folder that is not there.
    """
    config = folder / _ADAPTER_CONFIG
    if not config.is_file() or (folder / "config.json").is_file():
        return None
    try:
        named = json.loads(config.read_text(encoding="utf-8"))["base_model_name_or_path"]
        base = Path(named)
    except (ValueError, KeyError, TypeError):
        raise Refused(
            f"{config} names no base_model_name_or_path; write the base model's folder or hub id there"
        ) from None
    if not base.is_dir() and (base.is_absolute() or not _HUB_ID.fullmatch(named)):
        raise Refused(
            f"{folder} is an adapter of {named}, which is not here; "
            f"write the base model's folder or hub id into {_ADAPTER_CONFIG}, key base_model_name_or_path"
        )
    return base


def model_hash(folder: Path) -> str:
    """The sha256 over what decides a model's answers: weights, configuration, tokenizer, chat template.

    What a trainer leaves beside them (logs, optimizer states, checkpoints) is left out. Reads at disk speed: 0.3 s
    for a model of 270 MB, 15 s for one of 15 GB.

    Raises:
        Refused: there is no model folder.
    """
    files = {file for pattern in _MODEL_FILES for file in folder.glob(pattern)} - {folder / "training_args.bin"}
    if folder / "config.json" not in files:
        raise Refused(f"no model at {folder}: it has no config.json (did its training end?)")
    return _hash_of(sorted(files))


def _adapter_hash(folder: Path) -> str:
    """The sha256 over an adapter's weights and configuration, without the place of its base; Refused if unfinished."""
    weights = sorted(folder.glob("adapter_model*.safetensors")) or sorted(folder.glob("adapter_model*.bin"))
    if not weights:
        raise Refused(f"no adapter at {folder}: it has no adapter_model.safetensors (did its training end?)")
    config = json.loads((folder / _ADAPTER_CONFIG).read_text(encoding="utf-8"))
    config.pop("base_model_name_or_path")
    return fingerprint({"weights": _hash_of(weights), "config": config})


def _hash_of(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            digest.update(f"{file.name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()
