"""`finr1 check`: what a recipe will do, said before it does it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from distill import ask, export, overlap, prepare, screen
from eval_adapters.settings import EvalSettings
from launch import check, models, recipe
from launch.paths import home
from launch.pipeline import Pipeline
from launch.report import ReportSettings
from launch.server import ServeSettings, has_gpu
from reward_plugins import golds
from reward_plugins.errors import Refused

KINDS: dict[str, tuple[set[str], type[Any] | None]] = {
    "pipeline": ({"stages"}, Pipeline),
    "grpo": ({"reward_funcs"}, None),
    "sft": ({"stage", "template"}, None),
    "distill": ({"teachers"}, ask.Settings),
    "overlap": ({"tests", "test_sources", "duplicates"}, overlap.Settings),
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


def inspect_golds(name: str, console: Console) -> None:
    """Print which golds of a set the verifier refuses as their own answer, by reason.

    `name` is a set under `datasets/`, a set's folder, or one JSON Lines file of questions or GRPO rows.

    Raises:
        Refused: no such set, or a line that cannot be read.
    """
    place = next((path for path in (Path(name), home() / "datasets" / name) if path.exists()), None)
    if place is None:
        raise Refused(f"no set or file called {name}; give a name under datasets/, a folder, or a JSONL file")
    files = [place] if place.is_file() else sorted(place.glob("*.jsonl")) + sorted(place.glob("[gt]*/*.jsonl"))
    if not files:
        raise Refused(f"{place} holds no .jsonl file of questions or GRPO rows")
    for file in files:
        rows = check.first_rows(file, sys.maxsize)
        reasons: dict[str, list[str]] = {}
        for row, reason in golds.check(rows):
            reasons.setdefault(reason.split(":")[0], []).append(row)
        refused = sum(map(len, reasons.values()))
        console.print(f"{file}: {len(rows) - refused} of {len(rows)} golds are accepted as their own answer")
        for reason, names in sorted(reasons.items(), key=lambda each: -len(each[1])):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            console.print(
                f"  {len(names):5}  {reason}: {', '.join(names[:_NAMED])}{more}", highlight=False, markup=False
            )


_NAMED = 10
"""Rows that are named for each reason; the rest are counted."""


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
