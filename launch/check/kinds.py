"""Which kind of recipe it is, and the check that belongs to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from distill import ask, export, overlap, prepare, screen
from eval_adapters.settings import EvalSettings
from launch import pipeline, recipe
from launch.chat import ChatSettings
from launch.check import stage_recipes, zero_config
from launch.check.checked import Checked
from launch.check.finding import Finding, holds, lacking, mistake
from launch.check.grpo_recipes import grpo
from launch.check.place import Place
from launch.check.sft_recipes import merge, sft
from launch.gateway.settings import GatewaySettings
from launch.report import ReportSettings
from launch.serving.compress import CompressSettings
from launch.serving.server import ServeSettings
from reward_plugins.errors import Refused, did_you_mean

TOLD_BY: dict[str, set[str]] = {
    "pipeline": {"stages"},
    "grpo": {"reward_funcs"},
    "merge": {"export_dir"},
    "sft": {"template", "finetuning_type"},
    "distill": {"teachers"},
    "overlap": {"tests", "test_sources", "duplicates"},
    "prepare": {"sources"},
    "export": {"verdicts"},
    "screen": {"traces"},
    "eval": {"sets"},
    "report": {"evaluations"},
    "gateway": {"versions", "metrics_port"},
    "chat": {"suggestions", "origins", "data"},
    "compress": {"modifiers"},
    "serve": {"model"},
    "accelerate": {"distributed_type"},
}
"""A recipe's kind, told by a key that only this kind has; the first that fits, so the order matters."""

SETTINGS: dict[str, type[BaseModel]] = {
    "distill": ask.Settings,
    "overlap": overlap.Settings,
    "prepare": prepare.Settings,
    "export": export.Settings,
    "screen": screen.Settings,
    "eval": EvalSettings,
    "report": ReportSettings,
    "serve": ServeSettings,
    "compress": CompressSettings,
    "chat": ChatSettings,
    "gateway": GatewaySettings,
}
"""The settings of the kinds that are no engine's own."""


def kind_of(asked: Mapping[str, Any], name: str) -> str:
    """The kind of a recipe. Raises `Refused` where no key tells it."""
    kind = next((kind for kind, keys in TOLD_BY.items() if keys & asked.keys()), None)
    if kind is None:
        told = ", ".join(f"{min(keys)} ({kind})" for kind, keys in TOLD_BY.items())
        raise Refused(f"{name}: it has none of the keys by which a recipe is told: {told}")
    return kind


def command_of(asked: Mapping[str, Any], settings: type[BaseModel]) -> str | None:
    """The command that takes a recipe which `settings` do not fit: all its keys are that command's. None if no other is."""
    kind = next((kind for kind, keys in TOLD_BY.items() if keys & asked.keys()), None)
    if kind is None or kind == "accelerate":
        return None
    theirs = pipeline.Pipeline if kind == "pipeline" else SETTINGS.get(kind)
    if theirs is settings or (theirs and not asked.keys() <= theirs.model_fields.keys()):
        return None
    return "run" if kind == "pipeline" else kind


def look_over(
    kind: str,
    asked: Mapping[str, Any],
    place: Place,
    accelerate: str | None = None,
    processes: int | None = None,
    serve: str | None = None,
    open_r1: bool = False,
) -> Checked:
    """Check a recipe of a kind.

    `accelerate`, `processes` and `open_r1` say how `finr1 grpo` is called, `serve` is an option of `finr1 eval`.
    """
    if kind == "sft":
        return sft(asked, place)
    if kind == "merge":
        return merge(asked, place)
    if kind == "grpo":
        return grpo(asked, place, accelerate, processes, open_r1)
    if kind == "accelerate":
        ranks = processes or int(asked.get("num_processes", 1))
        return Checked(list(zero_config.accelerate(asked, ranks, {}, place.machine)))
    return stage_recipes.stage(SETTINGS[kind], asked, place, serve)


def look_over_pipeline(asked: dict[str, Any], overrides: list[str], name: str, place: Place) -> Checked:
    """Check each stage of a pipeline, for which all that earlier stages write is as good as there."""
    checked = Checked()
    found = checked.findings
    variables = dict(asked.get("variables") or {})
    given = {override.partition("=")[0] for override in overrides}
    for key in (key for key, value in variables.items() if value is None and key not in given):
        found.append(lacking("variables", f"{key} has no value; give --set {key}=..."))
        variables[key] = f"<{key}>"
    try:
        filled = pipeline.with_variables({**asked, "variables": variables}, overrides, name)
        stages = recipe.settings(pipeline.Pipeline, filled, name).stages
    except Refused as refusal:
        found.append(mistake("keys", str(refusal)))
        return checked
    places = [place]
    for stage in stages:
        places.append(_after(stage, places[-1]))
    with ThreadPoolExecutor() as pool:  # the engines' stacks are asked at once: starting one takes seconds
        told = list(pool.map(_stage, stages, places))
    for number, (stage, said) in enumerate(zip(stages, told, strict=True), 1):
        for each in said:
            # What hangs on a variable without a value is not known, and its own line says so.
            if not any(f"<{key}>" in each.said for key in variables):
                found.append(dataclasses.replace(each, said=f"stage {number}, {stage.stage}: {each.said}"))
    found.append(holds("stages", f"{len(stages)} stages: {', '.join(stage.stage for stage in stages)}"))
    return checked


def _stage(stage: pipeline.Stage, place: Place) -> list[Finding]:
    if stage.stage not in SETTINGS and stage.stage not in ("sft", "merge", "grpo"):
        known = [*SETTINGS, "sft", "merge", "grpo"]
        return [mistake("stages", f"no stage is called {stage.stage!r}{did_you_mean(stage.stage, known)}")]
    try:
        whole = _whole(stage)
    except Refused as refusal:
        return [mistake("stages", str(refusal))]
    options = {key: stage.options[key] for key in ("accelerate", "processes", "serve") if key in stage.options}
    open_r1 = stage.stage == "grpo" and stage.options.get("engine") == "open-r1"
    return look_over(stage.stage, whole, place, **options, open_r1=open_r1).findings


def _whole(stage: pipeline.Stage) -> dict[str, Any]:
    named = stage.recipe if isinstance(stage.recipe, dict) else recipe.load(stage.recipe)
    return {**named, **stage.set}


def _after(stage: pipeline.Stage, place: Place) -> Place:
    """The place as it will be once a stage is done."""
    try:
        paths, entries = stage_recipes.made_by(stage.stage, _whole(stage))
    except Refused:
        return place
    return dataclasses.replace(place, made=(*place.made, *map(Path, paths)), sets_made=(*place.sets_made, *entries))
