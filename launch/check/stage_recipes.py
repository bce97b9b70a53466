"""What can be known of the other recipes: data stages, evaluation, report, serving."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from distill import ask, export, screen
from distill.stage import StageSettings
from eval_adapters.settings import EvalSettings
from launch import recipe
from launch.chat import ChatSettings
from launch.check import surroundings
from launch.check.checked import Checked, model_folder
from launch.check.evaluation import evaluation
from launch.check.finding import Findings, holds, lacking, mistake
from launch.check.place import Place
from launch.gateway.aliases import followed
from launch.gateway.rule import rule_map
from launch.gateway.settings import LOOPBACK, GatewaySettings
from launch.report import ReportSettings
from launch.serving.command import objections
from launch.serving.compress import CompressSettings
from launch.serving.server import ServeSettings
from reward_plugins.errors import Refused


def stage(kind: type[BaseModel], asked: Mapping[str, Any], place: Place, serve: str | None = None) -> Checked:
    """Look a recipe over whose settings are of that kind; `serve` is how an evaluation serves models given by path."""
    wrong = recipe.complaints(kind, dict(asked))
    if wrong:
        return Checked([mistake("keys", said) for said in wrong])
    settings = kind.model_validate(dict(asked))
    checked = Checked([holds("keys", f"{len(asked)} keys, each known and of its type")])
    found = checked.findings
    if isinstance(settings, StageSettings):
        try:
            found += _inputs(settings, place)
        except Refused as refusal:
            found.append(mistake("data", str(refusal)))
    if isinstance(settings, ask.Settings):
        for teacher in settings.teachers:
            found += surroundings.key_in_environment(teacher.api_key_env, f"teachers, {teacher.name}, api_key_env")
            if teacher.serve:
                found += _served(str(teacher.serve), place, f"teachers, {teacher.name}, serve")
    elif isinstance(settings, screen.Settings) and settings.judge:
        found += surroundings.key_in_environment(settings.judge.api_key_env, "judge, api_key_env")
    elif isinstance(settings, EvalSettings):
        found += evaluation(settings, place)
        if any(model.path for model in settings.models):
            said = _served(serve or "recipes/serve/local.yaml", place, "serve")
            found += [each for each in said if each.about != "model"]  # the models to serve are those of the evaluation
    elif isinstance(settings, ReportSettings):
        for path in (*settings.evaluations, *settings.runs.values()):
            if not place.path(path).exists():
                found.append(place.missing("data", place.path(path), "evaluations, runs", "evaluate and train first"))
    elif isinstance(settings, ChatSettings):
        found += _chat(settings, place)
    elif isinstance(settings, GatewaySettings):
        found += _gateway(settings, place)
    elif isinstance(settings, ServeSettings):
        found += serving(settings, place)
    elif isinstance(settings, CompressSettings):
        found += model_folder(settings.model, place, "model")[1]
        if not place.path(settings.calibration).is_file():
            found.append(place.missing("data", place.path(settings.calibration), "calibration", "export the set first"))
    return checked


def serving(settings: ServeSettings, place: Place) -> Findings:
    """Whether a model can be served: its folder, the port, the engine, and a key where others can reach it."""
    _, said = model_folder(settings.model, place, "model")
    yield from said
    yield from surroundings.port_to_take(settings.host, settings.port, "port")
    if settings.engine == "vllm" and not place.machine.cards:
        yield lacking("vllm", "engine: vllm needs a GPU, and there is none here; set engine: transformers")
    is_vllm = settings.engine == "vllm" or (settings.engine == "auto" and place.machine.cards)
    for objection in objections(settings, "vllm" if is_vllm else "transformers"):
        yield mistake("keys", objection)
    yield from surroundings.key_in_environment(settings.api_key_env, "api_key_env")


def _chat(settings: ChatSettings, place: Place) -> Findings:
    yield from surroundings.port_to_take(settings.host, settings.port, "port")
    for model in settings.models:
        yield from surroundings.key_in_environment(model.api_key_env, f"models, {model.model}, api_key_env")
        if model.model.endswith((".yaml", ".yml")):
            yield from _served(model.model, place, f"models, {model.model}")
        elif not model.model.startswith(("http://", "https://")):
            _, said = model_folder(model.model, place, "models, model")
            yield from said
    prompts = [("models, system_prompt", model.system_prompt) for model in settings.models]
    for key, path in (*prompts, ("suggestions", settings.suggestions)):
        if path and not place.path(path).is_file():
            yield place.missing("data", place.path(path), key, "name another file")


def _gateway(settings: GatewaySettings, place: Place) -> Findings:
    for host, port, key in (
        (settings.host, settings.port, "port"),
        (LOOPBACK, settings.metrics_port, "metrics_port"),
        (LOOPBACK, settings.watch.port, "watch, port"),
    ):
        yield from surroundings.port_to_take(host, port, key)
    for name in settings.key_variables:
        yield from surroundings.key_in_environment(name, "api_key_envs, api_key_env")
    try:
        followed(settings)
    except Refused as refusal:
        yield lacking("versions", str(refusal))
    if settings.general:
        try:
            rule_map(place.path(settings.rule))
        except Refused as refusal:
            yield mistake("rule", str(refusal))


def made_by(kind: str, asked: Mapping[str, Any]) -> tuple[list[Path], list[str]]:
    """(paths, entries of `dataset_info.json`) that a stage with these settings will write."""
    named = asked.get({"sft": "output_dir", "grpo": "output_dir", "merge": "export_dir"}.get(kind, "out"))
    if kind != "export":
        return ([Path(str(named))] if named else []), []
    name = str(asked.get("set"))
    return [Path(str(asked.get("root", ".")), "datasets", name)], [f"{name}_{part}" for part in ("sft", "dpo")]


def _inputs(settings: StageSettings, place: Place) -> Findings:
    for path in settings.inputs():
        if not place.path(path).exists():
            yield place.missing(
                "data", place.path(path), _key_of(settings, path), "name another, or run the stage that writes it"
            )
    if isinstance(settings, export.Settings) and settings.tokenizer:
        _, said = model_folder(str(settings.tokenizer), place, "tokenizer")
        yield from said


def _key_of(settings: BaseModel, path: Path) -> str:
    """The key whose value names a path, for the sentence."""
    for key, value in settings:
        if value == path:
            return key
        if isinstance(value, list) and any(_key_of(each, path) for each in value if isinstance(each, BaseModel)):
            return key
    return "sources"  # the files of a source are found by its own code, from its name or path


def _served(name: str, place: Place, key: str) -> Findings:
    try:
        asked = recipe.load(name)
    except Refused as refusal:
        yield mistake("serve", f"{key}: {refusal}")
        return
    wrong = recipe.complaints(ServeSettings, asked)
    for said in wrong:
        yield mistake("serve", f"{key}: {name}: {said}")
    if not wrong:
        yield from serving(ServeSettings.model_validate(asked), place)
