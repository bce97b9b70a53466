"""`finr1 eval`: every model of a recipe, served where it lies in a folder, asked, scored, judged.

A module of its own, beside `stages.py`: that one imports the data stages too, half a second that an evaluation has no use
for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from eval_adapters.judging import JUDGED, judge_model
from eval_adapters.run import plan, run_one
from eval_adapters.settings import EvalSettings, ModelSpec
from launch import adapters, models, recipe
from launch.engine import EngineFailed
from launch.paths import home
from launch.serving.server import ServeSettings, serving
from reward_plugins.errors import Refused

Summary = dict[str, Any]


def run_eval(name: str, *, overrides: list[str] | None = None, serve: str | None = None) -> Summary:
    """Every model on every set; one given by `path` is served for as long as it is asked, a LoRA adapter merged.

    `serve` is the serving recipe for such models (by default `recipes/serve/local.yaml`).

    Raises:
        Refused: after all models were tried, if one could not be evaluated.
    """
    settings = recipe.settings(EvalSettings, recipe.load(name, overrides or []), name)
    accuracy: Summary = {"done": "already"}
    troubles: list[str] = []
    for model in settings.models:
        with _noted(troubles, model.name), contextlib.ExitStack() as server_of_model:
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
            with _noted(troubles, model.name):  # a set that failed does not keep the others from being judged
                for label, result in run_one(settings, model, *place).items():
                    accuracy[f"{model.name}/{label}"] = _headline(result)
                    if not result["complete"]:
                        unanswered = f"{len(result['failed'])} rows have no answer yet; the same command asks for them"
                        troubles.append(f"{model.name} on {label}: {unanswered}")
            before = _judged_at(settings, model)
            all_judged = judge_model(settings, model)
            if _judged_at(settings, model) != before:
                accuracy["done"] = "now"
            for label, judged in all_judged.items():
                if judged["accuracy"] is not None:
                    accuracy[f"{model.name}/{label}, judged"] = f"{judged['accuracy']:.1%} of {judged['counted']}"
                elif judged["rows"]:
                    troubles.append(f"{model.name} on {label}: no judged score, since {judged['why_not']}")
    if troubles:
        raise Refused("; ".join(troubles))
    return accuracy


def _judged_at(settings: EvalSettings, model: ModelSpec) -> list[int]:
    """When the sets of a model were judged, as the clock of the files has it."""
    files = (settings.out / model.name / each.label / JUDGED for each in settings.sets)
    return [file.stat().st_mtime_ns for file in files if file.is_file()]


@contextlib.contextmanager
def _noted(troubles: list[str], model: str) -> Iterator[None]:
    """What is refused or fails inside is told at the end, and does not keep the rest of the recipe from being done."""
    try:
        yield
    except (Refused, EngineFailed) as trouble:
        troubles.append(f"{model}: {trouble}")


def _headline(result: dict[str, Any]) -> str:
    """The right ones of those that count, and how many do not: an error is not the model's, what is undecided not known."""
    counts = result["counts"]
    rated = counts["correct"] + counts["wrong"] + counts["no_answer"]
    others = [f"{counts[state]} {state}" for state in ("undecided", "error") if counts[state]]
    return ", ".join([f"{counts['correct']}/{rated}", *others])
