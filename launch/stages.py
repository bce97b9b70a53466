"""Each stage as one function: a recipe's path in, a summary out. The commands and the pipelines call the same ones."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from distill import ask, batch, export, overlap, prepare, screen
from distill.manifest import is_current, read
from distill.on_ray import Ray
from distill.spread import Engine
from distill.stage import StageSettings
from distill.teachers import Teacher
from eval_adapters.judging import judge_model
from eval_adapters.run import plan, run_one
from eval_adapters.settings import EvalSettings
from launch import adapters, models, open_r1_engine, recipe, stacks, train, train_grpo
from launch.paths import home
from launch.server import ServeSettings, serving
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


def run_grpo(
    name: str,
    *,
    overrides: list[str] | None = None,
    accelerate: str | None = None,
    processes: int | None = None,
    dry_run: bool = False,
    engine: str = "trl",
    open_r1: str | None = None,
    python: str | None = None,
) -> Summary:
    """Reinforcement learning by TRL's GRPO trainer, of the kit's own stack or of a real open-r1 (`engine: open-r1`)."""
    if engine == "open-r1":
        return open_r1_engine.run(
            name,
            overrides or [],
            open_r1=open_r1 or os.environ.get("FINR1_OPEN_R1"),
            python=python or os.environ.get("FINR1_OPEN_R1_PYTHON"),
            accelerate=accelerate,
            processes=processes,
            dry_run=dry_run,
        )
    if engine != "trl":
        raise Refused(f"no engine is called {engine!r}; there are trl and open-r1")
    return train_grpo.run(name, overrides or [], accelerate, processes, dry_run)


def run_merge(name: str, *, overrides: list[str] | None = None) -> Summary:
    """An adapter merged into its base."""
    return train.merge(name, overrides or [])


def run_eval(name: str, *, overrides: list[str] | None = None, serve: str | None = None) -> Summary:
    """Every model on every set; one given by `path` is served for as long as it is asked, a LoRA adapter merged.

    `serve` is the serving recipe for such models (by default `recipes/serve/local.yaml`).

    Raises:
        Refused: after all models were tried, if one could not be evaluated.
    """
    settings = recipe.settings(EvalSettings, recipe.load(name, overrides or []), name)
    accuracy: Summary = {"done": "already"}
    troubles = []
    for model in settings.models:
        try:
            with contextlib.ExitStack() as server_of_model:
                place: tuple[str, ...] = ()
                if model.path:
                    models.resolve(model.path, home())  # the embedded model is unpacked on first use
                planned = set(plan(settings, model).values())
                if planned != {"done"}:
                    accuracy["done"] = "now"
                if model.path and "ask" in planned:
                    # No set can have the name of the folder: theirs do not begin with "_".
                    weights = adapters.whole(model.path, settings.out / model.name / "_merged")
                    serving_recipe = recipe.load(serve or "recipes/serve/local.yaml")
                    served = recipe.settings(ServeSettings, {**serving_recipe, "model": str(weights)}, serve or "")
                    endpoint = server_of_model.enter_context(serving(served))
                    place = (endpoint.url, endpoint.model_id)
                for label, result in run_one(settings, model, *place).items():
                    accuracy[f"{model.name}/{label}"] = _headline(result)
                    if not result["complete"]:
                        troubles.append(f"{model.name} on {label}: {result['counts']['error']} rows have no answer yet")
            for label, judged in judge_model(settings, model).items():
                if judged["accuracy"] is not None:
                    accuracy[f"{model.name}/{label}, judged"] = f"{judged['accuracy']:.1%} of {judged['counted']}"
                elif judged["rows"]:
                    troubles.append(f"{model.name} on {label}: no judged score, since {judged['why_not']}")
        except Refused as trouble:
            troubles.append(f"{model.name}: {trouble}")
    if troubles:
        raise Refused(f"{'; '.join(troubles)}; the same command asks for what is missing")
    return accuracy


def run_report(name: str, *more: str, overrides: list[str] | None = None) -> Summary:
    """The report of a recipe, or on folders of evaluations; it then lies in `report/` of the first one."""
    from launch.report import ReportSettings, run

    asked = recipe.load(name) if not Path(name).is_dir() else {"out": f"{name}/report", "evaluations": [name, *more]}
    settings = recipe.settings(ReportSettings, recipe.overridden(asked, overrides or []), name)
    page = settings.out / "report.html"
    before = page.stat().st_mtime_ns if page.is_file() else 0
    summary = run(settings)
    done = "already" if page.stat().st_mtime_ns == before else "now"
    return {"done": done, "report": str(page), "summary": summary}


STAGES: dict[str, Callable[..., Summary]] = {
    "prepare": run_prepare,
    "distill": run_distill,
    "screen": run_screen,
    "overlap": run_overlap,
    "export": run_export,
    "sft": run_sft,
    "grpo": run_grpo,
    "merge": run_merge,
    "eval": run_eval,
    "report": run_report,
}
"""What a pipeline's `stage` may be."""


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
            teacher.model = served[teacher.name].served_name or served[teacher.name].model

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
            raise Refused(f"{path}: no such file")
    if is_current(settings.manifest_path(), settings, inputs):
        done = read(settings.manifest_path()) or {}
        return {"done": "already", **done.get("counts", {})}
    return {"done": "now", **work()}


def _headline(result: dict[str, Any]) -> str:
    counts = result["counts"]
    return f"{counts['correct']}/{counts['requested']}"
