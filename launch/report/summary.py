"""All numbers of a report, as one JSON value. `report.json` is this value; the other forms only lay it out."""

from __future__ import annotations

import itertools
import platform
import statistics
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from eval_adapters.reviews import Row, count, rates
from launch.report.intervals import RESAMPLES, Difference, difference, proportion
from launch.report.read import Evaluation, read_curves, read_evaluations, read_manifest
from launch.report.settings import ReportSettings
from reward_plugins.errors import Refused

GROUPINGS = ("kind", "lang", "level", "answer_type")
"""The columns of a row that the tables group by."""

DISAGREEMENTS = 40
"""Rows listed where models disagree: enough to read, few enough to keep the file small."""

RATES: dict[str, Callable[[Row], bool]] = {
    "accuracy": lambda row: row.correct,
    "strict_accuracy": lambda row: row.correct and row.well_formed,
    "format_rate": lambda row: row.well_formed,
    "no_answer_rate": lambda row: row.status == "no_answer",
}


def summarise(settings: ReportSettings) -> dict[str, Any]:
    """Read everything that the settings name and count it.

    Raises:
        Refused: something is missing or cannot be compared; the sentence says what.
    """
    evaluations = read_evaluations(settings.evaluations)
    models = list(dict.fromkeys(evaluation.model for evaluation in evaluations))
    sets = list(dict.fromkeys(evaluation.test_set for evaluation in evaluations))
    base = _choose(settings.base, models, "base", "model")
    headline = _choose(settings.headline, sets, "headline", "set")
    models.sort(key=lambda model: model != base)  # the base comes first; the others keep their order
    by_set = {name: {e.model: e for e in evaluations if e.test_set == name} for name in sets}
    manifests = {str(file): read_manifest(file) for file in settings.manifests}
    differences = {name: _differences(models, by_set[name], settings.seed) for name in sets}
    return {
        "schema": 1,
        "title": settings.title,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": base,
        "models": models,
        "sets": {name: _set_facts(by_set[name]) for name in sets},
        "headline": {"set": headline, "differences": differences[headline]},
        "results": {
            name: {model: _result(by_set[name][model], settings.seed) for model in models if model in by_set[name]}
            for name in sets
        },
        "differences": differences,
        "examples": {name: _examples(models, by_set[name]) for name in sets},
        "disagreements": {name: _disagreements(models, by_set[name]) for name in sets},
        "curves": {name: asdict(read_curves(folder)) for name, folder in settings.runs.items()},
        "manifests": manifests,
        "stages": [_stage(file, manifest) for file, manifest in manifests.items() if "seconds" in manifest],
        "evaluations": [_provenance(evaluation) for evaluation in evaluations],
        "statistics": {"resamples": RESAMPLES, "seed": settings.seed, "level": 0.95},
        "versions": {"finr1-kit": version("finr1-kit"), "python": platform.python_version()},
    }


def _choose(wanted: str, names: list[str], key: str, what: str) -> str:
    if wanted and wanted not in names:
        raise Refused(f"{key}: no {what} {wanted!r} was evaluated; there are {', '.join(names)}")
    return wanted or names[0]


def _set_facts(evaluations: dict[str, Evaluation]) -> dict[str, Any]:
    one = next(iter(evaluations.values()))
    asked = one.result["asking"]["set"]
    return {
        "benchmark": asked["benchmark"],
        "rows": len(one.rows),
        "documents": len({row.doc for row in one.rows}),
        "content": asked["content"],
    }


def _result(evaluation: Evaluation, seed: int) -> dict[str, Any]:
    rows = evaluation.rows
    rated = [row for row in rows if row.rated]
    counts = count(rows)
    return {
        "counts": counts,
        "error_rate": rates(counts)["error_rate"],
        "complete": evaluation.result["complete"],
        **{name: _estimate(rated, is_so, seed) for name, is_so in RATES.items()},
        "completion_tokens": _spread(row.completion_tokens for row in rated),
        "latency_s": _spread(row.latency_s for row in rated),
        "groups": {grouping: _group(rated, grouping, seed) for grouping in GROUPINGS},
    }


def _estimate(rated: list[Row], is_so: Callable[[Row], bool], seed: int) -> dict[str, Any] | None:
    estimate = proportion([is_so(row) for row in rated], [row.doc for row in rated], seed)
    return asdict(estimate) if estimate else None


def _group(rated: list[Row], grouping: str, seed: int) -> dict[str, Any]:
    values = sorted({getattr(row, grouping) for row in rated} - {""})
    return {
        value: _estimate([row for row in rated if getattr(row, grouping) == value], RATES["accuracy"], seed)
        for value in values
    }


def _spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Median and mean of what is known."""
    known = [value for value in values if value is not None]
    return {"median": statistics.median(known), "mean": statistics.fmean(known)} if known else None


def _differences(models: list[str], evaluations: dict[str, Evaluation], seed: int) -> list[dict[str, Any]]:
    """Every later model against the base, and each against the one before it."""
    present = [model for model in models if model in evaluations]
    against_base = [(present[0], model) for model in present[1:]]
    steps = list(itertools.pairwise(present[1:]))
    compared: list[dict[str, Any]] = []
    for first, second in against_base + steps:
        found = _paired(evaluations[first].rows, evaluations[second].rows, seed)
        if found is not None:
            compared.append({"from": first, "to": second, **asdict(found), "verdict": found.verdict})
    return compared


def _paired(first: list[Row], second: list[Row], seed: int) -> Difference | None:
    """The difference on the rows that both models were rated on."""
    others = {row.index: row for row in second if row.rated}
    pairs = [(row, others[row.index]) for row in first if row.rated and row.index in others]
    if not pairs:
        return None
    return difference([a.correct for a, _ in pairs], [b.correct for _, b in pairs], [a.doc for a, _ in pairs], seed)


def _examples(models: list[str], evaluations: dict[str, Evaluation]) -> dict[str, list[dict[str, Any]]]:
    """For each model one row that it has right, one that it has wrong, and one on which it differs from others."""
    present = [evaluations[model] for model in models if model in evaluations]
    return {evaluation.model: _worked(evaluation, present) for evaluation in present}


def _worked(evaluation: Evaluation, all_of_set: list[Evaluation]) -> list[dict[str, Any]]:
    others = [{row.index: row for row in other.rows} for other in all_of_set if other is not evaluation]
    kinds: dict[str, Callable[[Row], bool]] = {
        "right": lambda row: row.correct,
        "wrong": lambda row: row.status == "wrong",
        "disagree": lambda row: (
            row.rated and any(other[row.index].rated and other[row.index].correct != row.correct for other in others)
        ),
    }
    chosen: list[dict[str, Any]] = []
    used: set[int] = set()
    for kind, fits in kinds.items():
        # The first in file order: a choice that nobody made by taste.
        row = next((row for row in evaluation.rows if row.index not in used and fits(row)), None)
        if row is not None:
            used.add(row.index)
            rivals = {other.model: _brief(_at(other, row.index)) for other in all_of_set if other is not evaluation}
            chosen.append({"why": kind, **_shown(row), "others": rivals if kind == "disagree" else {}})
    return chosen


def _at(evaluation: Evaluation, index: int) -> Row:
    return next(row for row in evaluation.rows if row.index == index)


def _brief(row: Row) -> dict[str, str]:
    return {"status": row.status, "cause": row.cause, "extracted": row.extracted}


def _shown(row: Row) -> dict[str, Any]:
    keys = ("id", "lang", "kind", "level", "status", "cause", "reason", "extracted", "gold", "question", "prompt")
    return {key: getattr(row, key) for key in (*keys, "completion", "finish_reason", "completion_tokens")}


def _disagreements(models: list[str], evaluations: dict[str, Evaluation]) -> dict[str, Any]:
    """Rows that some models have right and others not: how many, and the first ones."""
    present = [evaluations[model] for model in models if model in evaluations]
    listed: list[dict[str, Any]] = []
    for rows in zip(*(evaluation.rows for evaluation in present), strict=True):
        if len({row.correct for row in rows if row.rated}) > 1:
            answers = {evaluation.model: _brief(row) for evaluation, row in zip(present, rows, strict=True)}
            listed.append({"id": rows[0].id, "question": rows[0].question, "gold": rows[0].gold, "answers": answers})
    return {"total": len(listed), "rows": listed[:DISAGREEMENTS]}


def _stage(file: str, manifest: dict[str, Any]) -> dict[str, str]:
    """What a manifest says of its stage, whichever stage wrote it; "" for what it does not say."""
    said = manifest.get("settings") or {}
    seeds = [place["seed"] for place in (said, said.get("recipe")) if isinstance(place, dict) and "seed" in place]
    versions = {**(manifest.get("versions") or {}), **(manifest.get("stack_versions") or {})}
    return {
        "stage": str(manifest.get("stage") or file),
        "started": str(manifest.get("started") or ""),
        "seconds": str(manifest["seconds"]),
        "seed": ", ".join(map(str, seeds)),
        "versions": ", ".join(f"{name} {known}" for name, known in sorted(versions.items())),
    }


def _provenance(evaluation: Evaluation) -> dict[str, Any]:
    result = evaluation.result
    kept = ("fingerprint", "scoring_sha256", "tokens", "batch", "versions", "started", "seconds", "complete", "asking")
    return {"model": evaluation.model, "set": evaluation.test_set, **{key: result[key] for key in kept}}
