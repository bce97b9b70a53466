"""`finr1 run`: the stages of a pipeline, one after another, each by the command that also runs it alone.

A stage that is done, with the same settings and inputs, does nothing, so the same command goes on after any stop.
"""

from __future__ import annotations

import inspect
import json
import string
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console

from launch import recipe
from launch.paths import STARTED_IN, home
from reward_plugins.errors import Refused, did_you_mean
from reward_plugins.files import write_whole


class Stage(BaseModel):
    """One step: the stage's command, its recipe (a file, or the settings themselves), and what to change in it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    stage: str
    recipe: str | dict[str, Any]
    set: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)


class Pipeline(BaseModel):
    """A whole chain. `$name` in any value stands for a key of `variables`; `--set name=value` changes it there."""

    model_config = ConfigDict(extra="forbid")

    out: str
    stages: list[Stage] = Field(min_length=1)
    variables: dict[str, Any] = Field(default_factory=dict)


def run(
    name: str,
    overrides: list[str],
    stages: dict[str, Callable[..., dict[str, Any]]],
    read_over: Callable[[Stage, dict[str, Any], str], None] = lambda *_: None,
) -> dict[str, Any]:
    """Run a pipeline; `stages` maps a stage's name to its function `(recipe_path, **options) -> summary`.

    `read_over(stage, its recipe, where)` refuses a recipe that its stage could not read.

    Raises:
        Refused: an unknown stage, variable or option, or a recipe that cannot be read, before the first stage starts.
    """
    pipeline = recipe.settings(Pipeline, with_variables(recipe.load(name), overrides, name), name)
    out = home() / pipeline.out
    plan = []
    for number, stage in enumerate(pipeline.stages, 1):
        if stage.stage not in stages:
            raise Refused(f"{name}: no stage is called {stage.stage!r}{did_you_mean(stage.stage, stages)}")
        where = f"{name}, stage {number}, {stage.stage}"
        _need_options(stage, stages[stage.stage], where)
        loaded = stage.recipe if isinstance(stage.recipe, dict) else recipe.load(stage.recipe)
        whole = {**loaded, **stage.set}
        read_over(stage, whole, where)
        plan.append((stage, out / "recipes" / f"{number:02d}-{stage.stage}.yaml", whole))
    console = Console(stderr=True)
    summaries: dict[str, Any] = {}
    timings = _Timings(out / "timings.json")
    for number, (stage, path, whole) in enumerate(plan, 1):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)
        path.write_text(f"# finr1 {stage.stage} {path.relative_to(home())}\n{text}", encoding="utf-8")
        console.rule(f"[bold]{number}/{len(plan)} {stage.stage}[/bold]  {path.relative_to(home())}", align="left")
        begin = time.monotonic()
        summaries[path.stem] = summary = stages[stage.stage](str(path), **stage.options)
        seconds = time.monotonic() - begin
        timings.add(path.stem, summary, seconds)
        console.print(f"{stage.stage}: {_brief(summary)}  [dim]{seconds:.1f} s[/dim]", highlight=False)
    return summaries


def _need_options(stage: Stage, work: Callable[..., dict[str, Any]], where: str) -> None:
    """Refuse options that the stage's function does not take."""
    _, *parameters = inspect.signature(work).parameters.values()
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        return
    # What `set` and the recipe say stands there; a pipeline has no second way to say it.
    known = [
        each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY and each.name != "overrides"
    ]
    for option in stage.options:
        if option not in known:
            raise Refused(f"{where}: unknown option {option!r}{did_you_mean(option, known)}")


class _Timings:
    """`timings.json` of a pipeline: how long each stage took when it last did something."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.known: dict[str, float] = dict(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):  # none yet, or one that somebody wrote into
            self.known = {}

    def add(self, stage: str, summary: dict[str, Any], seconds: float) -> None:
        if summary.get("done") == "already":
            return
        self.known[stage] = round(seconds, 1)
        write_whole(self.path, json.dumps(self.known, indent=1) + "\n")


def with_variables(loaded: dict[str, Any], overrides: list[str], name: str) -> dict[str, Any]:
    """A pipeline as loaded, with its variables filled in; `overrides` are `variable=value`.

    Raises:
        Refused: an override of no variable, a variable without a value, or a `$name` that is none.
    """
    variables = dict(loaded.get("variables") or {})
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or key not in variables:
            raise Refused(
                f"{name}: --set {override!r} names no variable of this pipeline{did_you_mean(key, variables)}"
            )
        # A path is meant from where the user stands; the stages start in the home folder.
        found = next((base / value for base in (STARTED_IN, Path.cwd()) if value and (base / value).exists()), None)
        recipe.overridden(variables, [override] if found is None else [f"{key}={json.dumps(str(found.resolve()))}"])
    missing = [key for key, value in variables.items() if value is None]
    if missing:
        raise Refused(f"{name} needs --set {missing[0]}=...")

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [fill(inner) for inner in value]
        if isinstance(value, str) and "$" in value:
            if value[1:] in variables and value[0] == "$":
                return variables[value[1:]]  # alone, it keeps its type
            try:
                return string.Template(value).substitute(variables)
            except (KeyError, ValueError) as error:
                raise Refused(f"{name}: {value!r} names no variable ({error})") from None
        return value

    return {key: value if key == "variables" else fill(value) for key, value in loaded.items()} | {
        "variables": variables
    }


def _brief(summary: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in summary.items() if isinstance(value, str | int | float))
