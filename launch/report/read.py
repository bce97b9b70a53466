"""What a report is made from: evaluations, training logs, manifests."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from eval_adapters.judging import JUDGED, read_judged
from eval_adapters.reviews import RESULT, Row, json_lines, read_result
from launch.report.settings import ReportSettings
from reward_plugins.errors import Refused

CURVES = {
    "loss": "loss",
    "reward": "reward",
    "reward_std": "reward_std",
    "completions/mean_length": "length",
    "frac_reward_zero_std": "zero_std",
}
"""The keys of a trainer's log that are drawn, and their names in the report."""


@dataclass(frozen=True)
class Evaluation:
    """One model on one set: its `result.json` and every row that was asked, errors included."""

    model: str
    test_set: str
    result: dict[str, Any]
    rows: list[Row]
    judged: tuple[dict[str, Any], dict[int, bool]] | None = None
    """What `judged.json` holds and the verdicts by row index; None where no judge was asked."""

    @cached_property
    def questions(self) -> dict[int, list[Row]]:
        """The samples of each question, by its place in the set: one each, or as many as the recipe's `repeats`."""
        repeats = self.result.get("repeats", 1)
        by_question: dict[int, list[Row]] = {}
        for row in self.rows:
            by_question.setdefault(row.index // repeats, []).append(row)
        return by_question


def sources(settings: ReportSettings) -> str:
    """The sha256 over all that a report depends on: settings, results (which name their rows' hashes), logs, code."""
    results = (
        file for folder in settings.evaluations for name in (RESULT, JUDGED) for file in sorted(folder.rglob(name))
    )
    logs = (log for folder in settings.runs.values() if (log := _log_file(folder)))
    tests = (file for folder in settings.perf.values() for file in sorted(folder.rglob("*.json")))
    code = (file for file in sorted(Path(__file__).parent.rglob("*")) if file.suffix in {".py", ".j2", ".css"})
    digest = hashlib.sha256(settings.model_dump_json().encode())
    for file in (*results, *logs, *tests, *settings.overlap, *settings.manifests, *code):
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def read_evaluations(folders: list[Path]) -> list[Evaluation]:
    """Every evaluation below the folders: the models and sets in the order of their recipe, recipes as given.

    Raises:
        Refused: a folder holds none, one model and set is there twice, or evaluations of one set cannot be compared
            (other questions, or scored by other code).
    """
    found: dict[tuple[str, str], Evaluation] = {}
    for folder in folders:
        here = list(_evaluations(folder))
        if not here:
            raise Refused(f"no evaluation below {folder}: there is no {RESULT}; run finr1 eval first")
        for evaluation in sorted(here, key=_recipe_order):
            key = (evaluation.model, evaluation.test_set)
            if key in found and found[key].result != evaluation.result:
                raise Refused(
                    f"{key[0]} on {key[1]} was evaluated twice below the folders given; name only one of them"
                )
            found[key] = evaluation
    evaluations = list(found.values())
    for evaluation in evaluations:
        _refuse_unlike(next(other for other in evaluations if other.test_set == evaluation.test_set), evaluation)
    return evaluations


def _evaluations(folder: Path) -> Iterator[Evaluation]:
    for file in sorted(folder.rglob(RESULT)):
        try:
            head = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise Refused(f"{file} is not JSON; run finr1 eval again, or name the evaluation's own folder") from None
        if isinstance(head, dict) and "fingerprint" in head and "reviews" in head:
            result, rows = read_result(file.parent)
            yield Evaluation(result["model"], result["set"], result, rows, read_judged(file.parent))


def _recipe_order(evaluation: Evaluation) -> tuple[int, int]:
    order = evaluation.result["order"]
    return order["models"].index(evaluation.model), order["sets"].index(evaluation.test_set)


def _refuse_unlike(one: Evaluation, other: Evaluation) -> None:
    which = f"{one.model} and {other.model} on {one.test_set}"
    if one.result["asking"]["set"] != other.result["asking"]["set"]:
        raise Refused(f"{which}: they were asked different questions, so nothing can be compared; evaluate both again")
    if one.result["scoring_sha256"] != other.result["scoring_sha256"]:
        raise Refused(f"{which}: scored by different code; run finr1 eval again for both (it asks nothing anew)")


@dataclass(frozen=True)
class Curves:
    """A training run's log: the (step, value) pairs of each curve, and how many of its values were no finite number."""

    points: dict[str, list[tuple[float, float]]]
    not_finite: dict[str, int]


def read_curves(folder: Path) -> Curves:
    """The curves in a training run's log, by the report's names for them.

    Reads `trainer_state.json` of the folder or of its last checkpoint (transformers, TRL), else
    `trainer_log.jsonl` (LLaMA-Factory).

    Raises:
        Refused: there is no log, or nothing in it to draw.
    """
    file = _log_file(folder)
    if file is None:
        raise Refused(f"no training log at {folder}: neither trainer_state.json nor trainer_log.jsonl")
    curves = Curves({}, {})
    for entry in _entries(file):
        step = entry.get("step", entry.get("current_steps"))
        for key, name in CURVES.items():
            value = entry.get(key)
            if not isinstance(step, int | float) or not isinstance(value, int | float):
                continue
            if math.isfinite(value):
                curves.points.setdefault(name, []).append((float(step), float(value)))
            else:
                curves.not_finite[name] = curves.not_finite.get(name, 0) + 1
    if not curves.points and not curves.not_finite:
        raise Refused(f"{file} has neither loss nor reward; see that the run trained a step")
    return curves


def _log_file(folder: Path) -> Path | None:
    numbered = (path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdigit())
    checkpoints = sorted(numbered, key=lambda path: int(path.name.rpartition("-")[2]))
    states = [place / "trainer_state.json" for place in (folder, *reversed(checkpoints))]
    return next((file for file in [*states, folder / "trainer_log.jsonl"] if file.is_file()), None)


def _entries(file: Path) -> Iterator[dict[str, Any]]:
    if file.suffix == ".jsonl":
        return json_lines(file)
    return iter(json.loads(file.read_text(encoding="utf-8"))["log_history"])


def read_manifest(file: Path) -> dict[str, Any]:
    """A manifest, JSON or YAML.

    Raises:
        Refused: it is missing, or no mapping.
    """
    if not file.is_file():
        raise Refused(f"no manifest at {file}")
    text = file.read_text(encoding="utf-8")
    try:
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):
        content = None
    if not isinstance(content, dict):
        raise Refused(f"{file} is no manifest: it holds no JSON or YAML mapping")
    return content
