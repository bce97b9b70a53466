"""`finr1 check`: what a recipe will do, said before it does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from distill import ask, export, prepare, screen
from eval_adapters.settings import EvalSettings
from launch import check, models, recipe
from launch.pipeline import Pipeline
from launch.report import ReportSettings
from launch.server import ServeSettings, has_gpu
from reward_plugins.errors import Refused

KINDS: dict[str, tuple[set[str], type[Any] | None]] = {
    "pipeline": ({"stages"}, Pipeline),
    "grpo": ({"reward_funcs"}, None),
    "sft": ({"stage", "template"}, None),
    "distill": ({"teachers"}, ask.Settings),
    "prepare": ({"sources"}, prepare.Settings),
    "export": ({"verdicts"}, export.Settings),
    "screen": ({"traces"}, screen.Settings),
    "eval": ({"sets"}, EvalSettings),
    "report": ({"evaluations"}, ReportSettings),
    "serve": ({"model"}, ServeSettings),
}
"""A recipe's kind, told by a key that only this kind has; the first that fits, so the order matters."""


def inspect_recipe(path: str, overrides: list[str], console: Console) -> None:
    """Check one recipe of any kind and print what was found.

    Raises:
        Refused: the first thing that would make the run fail.
    """
    asked = recipe.load(path, overrides)
    kind = next((kind for kind, (keys, _) in KINDS.items() if keys & asked.keys()), None)
    if kind is None:
        raise Refused(f"{path}: it has none of the keys by which a recipe is told ({', '.join(KINDS)})")
    if kind == "sft":
        _sft(asked, path, console)
    elif kind == "grpo":
        _grpo(asked, path, console)
    elif kind == "pipeline":
        stages = recipe.settings(Pipeline, asked, path).stages
        for stage in stages:
            if isinstance(stage.recipe, str):
                recipe.find(stage.recipe)
        console.print(f"pipeline of {len(stages)} stages: {', '.join(stage.stage for stage in stages)}")
    else:
        settings_kind = KINDS[kind][1]
        assert settings_kind is not None
        recipe.settings(settings_kind, asked, path)
    console.print(f"{kind} recipe {path}: nothing to mend", highlight=False)


def _sft(asked: dict[str, Any], path: str, console: Console) -> None:
    check.sft_keys(asked, path)
    model = models.resolve(asked["model_name_or_path"], Path.cwd())
    _, sets = check.sft_data(asked)
    if asked.get("bf16") and not has_gpu():
        raise Refused(f"{path}: bf16 training needs a GPU; set bf16: false")
    _tokens(check.templates_agree(check.Trained(model, str(asked["template"]), sets)), console)


def _grpo(asked: dict[str, Any], path: str, console: Console) -> None:
    translated = check.grpo_keys(asked, path)
    model = models.resolve(translated.trl["model_name_or_path"], Path.cwd())
    sets = check.grpo_data(translated)
    ranks = 2 if not has_gpu() else 1
    console.print(f"batch on {ranks} ranks: {check.grpo_batch(translated, ranks)}")
    if translated.trl.get("bf16") and not has_gpu():
        raise Refused(f"{path}: bf16 makes TRL's configuration fail on a CPU; set bf16: false")
    for key, became in translated.notes:
        console.print(f"  {key:40} {became}", highlight=False)
    shown = check.prompts_agree(model, sets)
    _tokens(shown, console)


def _tokens(rendered: list[check.Rendered], console: Console) -> None:
    """The first conversation token by token; what the model reads, then what it is trained to write."""
    if not rendered:
        return
    first = rendered[0]
    console.print(f"the string that the model sees ({len(first.prompt)} tokens), the same in training and use:")
    text = "|".join(repr(token)[1:-1] for token in first.tokens[: len(first.prompt)])
    answer = "|".join(repr(token)[1:-1] for token in first.tokens[len(first.prompt) :])
    console.print(f"[dim]{_plain(text)}[/dim]", highlight=False)
    console.print(f"[bold]{_plain(answer)}[/bold]", highlight=False)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
