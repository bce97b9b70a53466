"""What can be known of an evaluation's recipe before a model is asked: models, test sets, prompts, examples, judges."""

from __future__ import annotations

from pathlib import Path

from eval_adapters import catalogue, loading
from eval_adapters.identity import adapter_base
from eval_adapters.judge_settings import JudgeSpec
from eval_adapters.rows import SetRow
from eval_adapters.settings import EvalSettings, ModelSpec, SetSpec
from launch.check import rewards, surroundings
from launch.check.checked import model_folder
from launch.check.finding import Finding, Findings, holds, lacking, mistake, note
from launch.check.place import Place
from launch.check.rows import spread
from reward_plugins.errors import Refused
from reward_plugins.golds import refusal


def evaluation(settings: EvalSettings, place: Place) -> Findings:
    """Whether the models are there, and every question can be read, put and scored as the evaluation would do it."""
    for model in settings.models:
        yield from _model(model, place)
    for each in settings.sets:
        yield from _test_set(each, place)
    for judge in settings.judge.judges if settings.judge else ():
        yield from _judge(judge, place)


def _model(model: ModelSpec, place: Place) -> Findings:
    yield from surroundings.key_in_environment(model.api_key_env, f"models, {model.name}, api_key_env")
    if model.path is None:
        return
    folder, said = model_folder(str(model.path), place, f"models, {model.name}, path")
    yield from said
    if folder is None:
        return
    try:
        base = adapter_base(Path(folder))
    except Refused as refused:
        yield lacking("model", f"models, {model.name}, path: {refused}")
        return
    if base is not None:
        yield note("model", f"{model.name}: a LoRA adapter of {base}; it is merged before it is served")


def _judge(judge: JudgeSpec, place: Place) -> Findings:
    key = f"judge, {judge.name}"
    yield from surroundings.key_in_environment(judge.api_key_env, f"{key}, api_key_env")
    if judge.prompt and not place.path(judge.prompt).is_file():
        yield place.missing("data", place.path(judge.prompt), f"{key}, prompt", "leave it out for the kit's own")


def _test_set(asked: SetSpec, place: Place) -> Findings:
    """The set as the evaluation reads it: its lines, its columns, the prompt file, the examples, the golds."""
    key, folder = f"sets, {asked.label}", place.path(asked.path)
    needed = [("path", folder if folder.is_file() else folder / f"{asked.subset}.jsonl", "`finr1 export` writes it")]
    placed = asked.model_copy(update={"path": folder})
    if asked.system_prompt:
        placed.system_prompt = place.path(asked.system_prompt)
        needed.append(("system_prompt", placed.system_prompt, "the kit's own are in recipes/prompts/"))
    if asked.few_shot:
        placed.few_shot = asked.few_shot.model_copy(update={"path": place.path(asked.few_shot.path)})
        needed.append(("few_shot, path", placed.few_shot.path, "`finr1 prepare` writes train.jsonl"))
    absent = [place.missing("data", file, f"{key}, {name}", cure) for name, file, cure in needed if not file.is_file()]
    if absent:
        yield from absent
        return
    try:
        rows = loading.load(placed, catalogue.of(asked.benchmark))
    except Refused as refused:
        yield mistake("data", f"{key}: {refused}")
        return
    yield holds("data", f"{asked.label}: {len(rows[: asked.limit]):,} questions can be read and put")
    yield _golds(asked.label, rows[: asked.limit])


def _golds(label: str, rows: list[SetRow]) -> Finding:
    """Golds that no answer can satisfy cost every model the same points, and are to be known."""
    tried = spread(rows, rewards.GOLDS)
    refused = [row.id for row in tried if refusal(row.gold, row.question, row.meta)]
    if refused:
        return note(
            "golds",
            f"{label}: {len(refused)} of {len(tried):,} golds can be satisfied by no answer, first {refused[0]}",
        )
    return holds("golds", f"{label}: all of {len(tried):,} golds are accepted as their own answer")
