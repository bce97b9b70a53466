"""Model folders of a few bytes, the runs that made them, and real evaluations of them by a mock server."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from mock_server import Reply, completion, serve
from small_sets import recipe, rows, well_formed, write_set

from eval_adapters.run import run_one
from eval_adapters.settings import ModelSpec
from launch.record import EngineRun, weights
from launch.registry.changes import Change, register
from launch.registry.parts import collect
from launch.registry.settings import RegistrySettings
from launch.registry.store import Registry

ROWS = 40
CONTENT = rows(ROWS)

# How many of the 40 questions each has right. 20 against 18 is no clear difference; 4 against 20 is clearly worse.
RIGHT: dict[str, int] = {"base": 4, "sft": 18, "grpo": 20, "broken": 4, "best": 38}


def model_folder(place: Path, name: str) -> Path:
    """A folder that has a model's files, with weights of its own."""
    folder = place / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "llama"}\n', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(f"weights of {name}".encode() * 8)
    return folder


def train(folder: Path, data: Path, base: Path | None = None) -> Path:
    """Leave in a model folder what a trainer leaves: its log, its recipe, and the kit's own manifest of the run."""
    log = [{"step": step, "loss": 2.0 / step, "reward": 0.1 * step} for step in range(1, 6)]
    (folder / "trainer_state.json").write_text(json.dumps({"log_history": log}), encoding="utf-8")
    (folder / "recipe.yaml").write_text("learning_rate: 1.0e-06\n", encoding="utf-8")
    reads = [data, *(weights(str(base)) if base else [])]
    EngineRun(recipe={"learning_rate": 1e-6}, reads=reads, out=folder, stack="kit").finish(time.time())
    return folder


def evaluate(
    out: Path, data: Path, models: dict[str, Path | None], right: Callable[[str, int], bool], **more: Any
) -> Path:
    """Evaluate models, served by a mock, on a set: by path, so that the result names their weights' hash, or by address."""
    numbers = {each["prompt"][-1]["content"]: number for number, each in enumerate(CONTENT)}

    def of(name: str) -> Callable[[dict[str, Any]], Reply]:
        def reply(request: dict[str, Any]) -> Reply:
            number = numbers[request["messages"][-1]["content"]]
            return completion(well_formed(CONTENT[number]["gold"] if right(name, number) else "1"))

        return reply

    for name, folder in models.items():
        with serve(of(name)) as server:
            settings = recipe(out, data, server.url, names=tuple(models), **more)
            spec = ModelSpec(name=name, path=folder) if folder else ModelSpec(name=name, api_url=server.url)
            settings.models = [spec if each.name == name else each for each in settings.models]
            run_one(settings, spec, server.url, name)
    return out


class Bench:
    """Five trained and evaluated model folders; `registry` makes an empty registry, with its tables there already."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.data = write_set(place / "test", CONTENT)
        self.models: dict[str, Path] = {}
        base = None
        for name in RIGHT:
            folder = model_folder(place / "models", name)
            self.models[name] = train(folder, self.data / "finmath.jsonl", base)
            base = base or folder
        self.evaluations = evaluate(
            place / "eval", self.data, dict(self.models), lambda name, number: number < RIGHT[name]
        )

    @cached_property
    def _empty(self) -> Path:
        """A folder with a database of tables only."""
        folder = self.place / "empty"
        Registry(RegistrySettings(folder=folder, name="tables"))
        return folder

    @cached_property
    def _full(self) -> Path:
        folder = self.place / "full"
        self.add(self.registry(folder), *self.models)
        return folder

    def registry(self, folder: Path, full: bool = False) -> Registry:
        """A registry in a folder: empty, or with the five as versions 1 to 5 (their artifacts lie beside the bench)."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile((self._full if full else self._empty) / "mlflow.db", folder / "mlflow.db")
        return Registry(RegistrySettings(folder=folder))

    def add(self, registry: Registry, *names: str, evaluated: bool = True) -> list[Change]:
        """Register models of the bench."""
        report = self.evaluations if evaluated else None
        return [register(registry, collect(self.models[name], report=report)) for name in names]
