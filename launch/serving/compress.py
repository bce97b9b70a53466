"""A smaller model to serve: weights quantised by llm-compressor, in its own stack, on the data that it was trained with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from launch import engine, models, stacks
from launch.paths import KIT, home
from reward_plugins.errors import Refused

_ROLES = {"human": "user", "gpt": "assistant"}


class CompressSettings(BaseModel):
    """One compression: `model` (whole weights) into the folder `out`.

    `modifiers` are llm-compressor's own, by class name, in their order. `calibration` is an SFT set of the kit; its
    first `samples` rows, cut to `max_length` tokens, show the quantiser which weights matter.
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    out: Path
    calibration: Path
    samples: int = Field(default=256, ge=1)
    max_length: int = Field(default=2048, ge=16)
    modifiers: dict[str, dict[str, Any]] = Field(min_length=1)


def run(settings: CompressSettings) -> dict[str, Any]:
    """Compress; the folder is there whole or not at all.

    Raises:
        Refused: no whole model, no calibration rows, or `out` is there already.
        EngineFailed: llm-compressor ended with an error.
    """
    model, out = Path(models.resolve(settings.model, home())), home() / settings.out
    if not (model / "config.json").is_file():
        raise Refused(f"{model} holds no whole weights: merge an adapter first (`finr1 merge`)")
    if out.exists():
        raise Refused(f"{out} is there already: name another folder in out, or remove it")
    conversations = list(islice(_conversations(home() / settings.calibration), settings.samples))
    if not conversations:
        raise Refused(f"{settings.calibration} has no rows to calibrate with")
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    job = {
        "model": str(model),
        "out": str(part),
        "conversations": conversations,
        "max_length": settings.max_length,
        "modifiers": settings.modifiers,
    }
    log = out.with_name(f"{out.name}.compress.log")
    words: list[str | Path] = [stacks.python("compress"), KIT / "launch" / "inside" / "compress.py"]
    told = json.dumps(job, ensure_ascii=False).encode()
    with engine.started(words, name="compress", log=log, env={"HF_HUB_OFFLINE": "1"}, told=told) as process:
        if code := process.wait():
            raise engine.EngineFailed(f"compress ended with exit code {code}: {engine.last_words(log)} (see {log})")
    models.keep_tokenizer(model, part)
    part.replace(out)
    return {"out": str(out), "rows": len(conversations), "mib_before": _mib(model), "mib_after": _mib(out)}


def _conversations(path: Path) -> Iterator[list[dict[str, str]]]:
    """The rows of an SFT set in LLaMA-Factory's sharegpt form, as messages."""
    if not path.is_file():
        raise Refused(f"{path}: no such file; name the training file of an SFT set in calibration")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
                turns = [{"role": _ROLES[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
                if not turns:
                    raise ValueError
            except (ValueError, KeyError, TypeError, AttributeError):
                raise Refused(f"{path}, line {number}: no row of an SFT set (system, conversations)") from None
            yield system + turns


def _mib(folder: Path) -> int:
    """What the weights of a model take."""
    return round(sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2**20)
