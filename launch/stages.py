"""Each stage as one function: a recipe's path in, a summary out. The commands and the pipelines call the same ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from distill import ask, batch, export, overlap, prepare, screen
from distill.manifest import is_current, read
from distill.on_ray import Ray
from distill.spread import Engine
from distill.stage import StageSettings
from distill.teachers import Teacher
from launch import models, recipe, stacks, train, train_grpo
from launch.check import grpo_keys, sft_keys
from launch.check.kinds import SETTINGS
from launch.evaluate import run_eval
from launch.paths import KIT, home
from launch.pipeline import Stage
from launch.report.command import run_report
from launch.serving.server import ServeSettings, serving
from reward_plugins.errors import Refused

Summary = dict[str, Any]


def run_prepare(name: str, *, overrides: list[str] | None = None) -> Summary:
    """Questions from sources."""
    settings = recipe.settings(prepare.Settings, recipe.load(name, overrides or []), name)
    return _once(settings, lambda: prepare.run(settings))


def run_distill(
    name: str,
    *,
    overrides: list[str] | None = None,
    skip_bad: bool = False,
    write_batches: bool = False,
    read_batches: list[Path] | None = None,
) -> Summary:
    """Traces from teachers; one with `serve` is served for as long as it is asked. Or batch files, written or read."""
    settings = recipe.settings(ask.Settings, _load(name, overrides, skip_bad), name)
    serve = _server_of(settings.teachers)
    if write_batches or read_batches:
        return batch.read(settings, read_batches) if read_batches else batch.write(settings)
    return _once(settings, lambda: ask.run(settings, serve))


def run_screen(
    name: str,
    *,
    overrides: list[str] | None = None,
    skip_bad: bool = False,
    no_judge: bool = False,
    engine: str = "cores",
    address: str | None = None,
) -> Summary:
    """Verdicts on traces; a judge with `serve` is served for as long as it is asked, and `no_judge` asks none."""
    asked = _load(name, overrides, skip_bad)
    settings = recipe.settings(screen.Settings, {**asked, "judge": None} if no_judge else asked, name)
    serve = _server_of([settings.judge] if settings.judge else [])
    return _once(settings, _on(engine, address, lambda rows_to: screen.run(settings, serve, rows_to)))


def run_overlap(
    name: str,
    *,
    overrides: list[str] | None = None,
    skip_bad: bool = False,
    engine: str = "cores",
    address: str | None = None,
) -> Summary:
    """Training questions that copy test questions or each other."""
    settings = recipe.settings(overlap.Settings, _load(name, overrides, skip_bad), name)
    return _once(settings, _on(engine, address, lambda rows_to: overlap.run(settings, rows_to)))


def run_export(
    name: str,
    *,
    overrides: list[str] | None = None,
    skip_bad: bool = False,
    engine: str = "cores",
    address: str | None = None,
) -> Summary:
    """Training and test sets, and their entry in `dataset_info.json`."""
    settings = recipe.settings(export.Settings, _load(name, overrides, skip_bad), name)
    if settings.tokenizer:
        models.resolve(settings.tokenizer, home())  # the embedded model is unpacked on first use
    summary = _once(settings, _on(engine, address, lambda rows_to: export.run(settings, rows_to)))
    export.enter(settings)  # the registry is shared and may have been put back since the set was written
    return summary


def run_sft(name: str, *, overrides: list[str] | None = None) -> Summary:
    """Supervised fine-tuning by LLaMA-Factory."""
    return train.sft(name, overrides or [])


def run_merge(name: str, *, overrides: list[str] | None = None) -> Summary:
    """An adapter merged into its base."""
    return train.merge(name, overrides or [])


STAGES: dict[str, Callable[..., Summary]] = {
    "prepare": run_prepare,
    "distill": run_distill,
    "screen": run_screen,
    "overlap": run_overlap,
    "export": run_export,
    "sft": run_sft,
    "grpo": train_grpo.by_engine,
    "merge": run_merge,
    "eval": run_eval,
    "report": run_report,
}
"""What a pipeline's `stage` may be."""


def read_over(stage: Stage, asked: dict[str, Any], where: str) -> None:
    """Refuse a stage's recipe for its keys and their types, before a pipeline starts: the last stage may be days away."""
    if stage.stage in SETTINGS:
        recipe.settings(SETTINGS[stage.stage], asked, where)
    elif stage.stage == "sft":
        sft_keys(asked, where)
    elif stage.stage == "grpo" and stage.options.get("engine", "trl") == "trl":
        grpo_keys(asked, where)


def _load(name: str, overrides: list[str] | None, skip_bad: bool) -> dict[str, Any]:
    """A data stage's recipe; the command's `--skip-bad` adds to what it says, and never takes away."""
    asked = recipe.load(name, overrides or [])
    return {**asked, "skip_bad": asked.get("skip_bad", False) or skip_bad}


def _server_of(teachers: Sequence[Teacher]) -> ask.Serve:
    """How to start the server of a teacher with `serve`; its model is known from here on, wherever it is served."""
    served = {
        teacher.name: recipe.settings(ServeSettings, recipe.load(teacher.serve), teacher.serve)
        for teacher in teachers
        if teacher.serve
    }
    for teacher in teachers:
        if teacher.serve:
            teacher.model = served[teacher.name].model  # the weights, not a name that may pass on to others

    @contextlib.contextmanager
    def serve(teacher: Teacher) -> Iterator[tuple[str, str]]:
        with serving(served[teacher.name]) as endpoint:
            yield endpoint.url, endpoint.model_id

    return serve


def _on(engine: str, address: str | None, work: Callable[[Engine | None], Summary]) -> Callable[[], Summary]:
    """A stage's work, its rows on this machine's cores (None, as the stage has it) or on the Ray cluster at `address`."""
    if engine not in ("cores", "ray"):
        raise Refused(f"no engine of this stage is called {engine!r}; there are cores and ray")
    if address and engine != "ray":
        raise Refused("--address is a Ray cluster's: say --engine ray, too")

    def on_ray() -> Summary:
        stacks.enter("ray")
        with Ray(address) as cluster:
            return work(cluster)

    return on_ray if engine == "ray" else lambda: work(None)


def _once(settings: StageSettings, work: Callable[[], Summary]) -> Summary:
    """Do a data stage, unless it was done with these settings and inputs."""
    inputs = settings.inputs()
    for path in inputs:
        if not Path(path).exists():
            from_kit = not Path(path).is_absolute() and (KIT / path).exists()
            told = f"; the kit's own is {KIT / path}: name that, or copy it there" if from_kit else ""
            raise Refused(f"{path}: no such file in {Path.cwd()}{told}")
    if is_current(settings.manifest_path(), settings, inputs):
        done = read(settings.manifest_path()) or {}
        return {"done": "already", **done.get("counts", {})}
    return {"done": "now", **work()}
