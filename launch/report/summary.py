"""All numbers of a report, as one JSON value. `report.json` is this value; the other forms only lay it out."""

from __future__ import annotations

import itertools
import platform
from collections.abc import Callable, Set
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from eval_adapters.judging import judged_right
from eval_adapters.reviews import Row, count, rates
from launch.report.contamination import LISTED, Flags, flagged_rows, read_flags
from launch.report.examples import disagreements, examples
from launch.report.intervals import RESAMPLES, Difference, difference, proportion
from launch.report.published import published
from launch.report.read import Evaluation, read_curves, read_evaluations, read_manifest
from launch.report.samples import several_samples
from launch.report.settings import ReportSettings
from launch.report.usage import read_perf, usage
from reward_plugins.errors import Refused

_LENGTHS = (500, 2_000, 8_000)
"""Where the groups by length of the prompt part, in characters: a question alone, a paragraph, a page, more."""

RATES: dict[str, Callable[[Row], bool]] = {
    "accuracy": lambda row: row.correct,
    "strict_accuracy": lambda row: row.strict_status == "correct",
    "lenient_accuracy": lambda row: row.lenient_status == "correct",
    "format_rate": lambda row: row.well_formed,
    "no_answer_rate": lambda row: row.status == "no_answer",
}


def _length(row: Row) -> str:
    size = len(row.prompt)
    edges = [0, *_LENGTHS]
    low = max(edge for edge in edges if edge <= size)
    if low == edges[-1]:
        return f"≥ {low:,}"
    return f"{low:,}–{edges[edges.index(low) + 1] - 1:,}"


GROUPINGS: dict[str, Callable[[Row], str]] = {
    "lang": lambda row: row.lang,
    "level": lambda row: row.level,
    "answer_type": lambda row: row.answer_type,
    "length": _length,
    "type": lambda row: row.type,
    "kind": lambda row: row.kind,
}
"""What the tables group rows by, those with few lines first; "" is in no group."""


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
    for key, named in (("prices", settings.prices), ("perf", settings.perf)):
        for model in named:
            _choose(model, models, key, "model")
    models.sort(key=lambda model: model != base)  # the base comes first; the others keep their order
    by_set = {name: _in_order([e for e in evaluations if e.test_set == name], models) for name in sets}
    manifests = {str(file): read_manifest(file) for file in settings.manifests}
    flags = read_flags(settings.overlap)
    differences = {name: _differences(by_set[name], settings.seed) for name in sets}
    judged_differences = {name: _judged_differences(by_set[name], settings.seed) for name in sets}
    results = {name: {e.model: _result(e, settings) for e in by_set[name]} for name in sets}
    by_judge = _left_to_judges(results[headline])
    return {
        "schema": 3,
        "title": settings.title,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": base,
        "models": models,
        "sets": {name: _set_facts(by_set[name], settings.published) for name in sets},
        "headline": {
            "set": headline,
            "by": "judged" if by_judge else "accuracy",
            "differences": (judged_differences if by_judge else differences)[headline],
        },
        "results": results,
        "differences": differences,
        "judged_differences": judged_differences,
        "contamination": {name: _contamination(by_set[name], flags, settings.seed) for name in sets}
        if settings.overlap
        else {},
        "perf": {model: read_perf(folder) for model, folder in settings.perf.items()},
        "examples": {name: examples(by_set[name]) for name in sets},
        "disagreements": {name: disagreements(by_set[name]) for name in sets},
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


def _in_order(evaluations: list[Evaluation], models: list[str]) -> list[Evaluation]:
    return sorted(evaluations, key=lambda evaluation: models.index(evaluation.model))


def _set_facts(evaluations: list[Evaluation], with_published: bool) -> dict[str, Any]:
    one = evaluations[0]
    asked = one.result["asking"]["set"]
    return {
        "benchmark": asked["benchmark"],
        "rows": len(one.questions),
        "documents": len({row.doc for row in one.rows}),
        "content": asked["content"],
        "golds_refused": len(one.result.get("golds_refused", [])),
        "published": published(asked["benchmark"]) if with_published else None,
    }


def _result(evaluation: Evaluation, settings: ReportSettings) -> dict[str, Any]:
    rows, seed = evaluation.rows, settings.seed
    rated = [row for row in rows if row.rated]
    counts = count(rows)
    official = [row for row in rated if row.official is not None]
    return {
        "counts": counts,
        "error_rate": rates(counts)["error_rate"],
        "complete": evaluation.result["complete"],
        **{name: _estimate(rated, is_so, seed) for name, is_so in RATES.items()},
        "execution_accuracy": _estimate(official, lambda row: bool(row.official), seed),
        "macro_f1": counts["macro_f1"],
        "judged": _judged(evaluation, seed),
        "usage": usage(rows, settings.prices.get(evaluation.model)),
        "samples": several_samples(list(evaluation.questions.values()), seed),
        "groups": {name: _group(rated, value_of, seed) for name, value_of in GROUPINGS.items()},
    }


def _judged(evaluation: Evaluation, seed: int) -> dict[str, Any] | None:
    """The judged score with its interval, or why there is none, and how far the judges can be trusted."""
    if evaluation.judged is None:
        return None
    judged, verdicts = evaluation.judged
    said = [(right, row.doc) for row in evaluation.rows if (right := judged_right(row, judged, verdicts)) is not None]
    accuracy = proportion([right for right, _ in said], [doc for _, doc in said], seed)
    kept = {key: judged[key] for key in ("mode", "rows", "why_not", "panel", "judges")}
    return {**kept, "accuracy": asdict(accuracy) if accuracy and not judged["why_not"] else None}


def _estimate(rated: list[Row], is_so: Callable[[Row], bool], seed: int) -> dict[str, Any] | None:
    estimate = proportion([is_so(row) for row in rated], [row.doc for row in rated], seed)
    return asdict(estimate) if estimate else None


def _group(rated: list[Row], value_of: Callable[[Row], str], seed: int) -> dict[str, Any]:
    grouped: dict[str, list[Row]] = {}
    for row in sorted(rated, key=lambda row: (len(row.prompt) if value_of is _length else 0, value_of(row))):
        if value := value_of(row):
            grouped.setdefault(value, []).append(row)
    return {value: _estimate(rows, RATES["accuracy"], seed) for value, rows in grouped.items()}


def _left_to_judges(results: dict[str, dict[str, Any]]) -> bool:
    """Whether the answer on top is the judges': they scored the set, and the rule left more of it open than it decided."""
    undecided = sum(result["counts"]["undecided"] for result in results.values())
    decided = sum(result["accuracy"]["n"] for result in results.values() if result["accuracy"])
    return undecided > decided and any(result["judged"] and result["judged"]["accuracy"] for result in results.values())


Right = Callable[[Evaluation, Row], bool | None]
"""Whether a row is right; None where it does not count."""


def _by_rule(_: Evaluation, row: Row) -> bool | None:
    return row.correct if row.rated else None


def _by_judge(evaluation: Evaluation, row: Row) -> bool | None:
    return judged_right(row, *evaluation.judged) if evaluation.judged else None


def _differences(
    evaluations: list[Evaluation], seed: int, right: Right = _by_rule, without: Set[str] = frozenset()
) -> list[dict[str, Any]]:
    """Every later model against the base, and each against the one before it; `without` questions of these ids."""
    if not evaluations:
        return []
    base, *later = evaluations
    compared: list[dict[str, Any]] = []
    for first, second in [(base, each) for each in later] + list(itertools.pairwise(later)):
        found = _paired(first, second, seed, right, without)
        if found is not None:
            compared.append({"from": first.model, "to": second.model, **asdict(found), "verdict": found.verdict})
    return compared


def _judged_differences(evaluations: list[Evaluation], seed: int) -> list[dict[str, Any]]:
    """The same by the judged score, of the models that have one from the same judges as the first that has one."""
    scored = [each for each in evaluations if each.judged and not each.judged[0]["why_not"]]
    alike = [each for each in scored if _judges(each) == _judges(scored[0])]
    return _differences(alike, seed, _by_judge)


def _judges(evaluation: Evaluation) -> tuple[str, set[tuple[str, str]]]:
    """Who judged what: a judge is its model and its prompt."""
    judged: dict[str, Any] = evaluation.judged[0] if evaluation.judged else {"mode": "", "judges": {}}
    return judged["mode"], {(facts["model"], facts["prompt_sha256"]) for facts in judged["judges"].values()}


def _paired(first: Evaluation, second: Evaluation, seed: int, right: Right, without: Set[str]) -> Difference | None:
    """The difference on the questions that count for both models, by each one's share of right samples."""
    pairs = [
        (one, other, samples[0].doc)
        for number, samples in first.questions.items()
        if samples[0].id not in without
        and (one := _share_right(first, samples, right)) is not None
        and (other := _share_right(second, second.questions[number], right)) is not None
    ]
    if not pairs:
        return None
    ones, others, documents = zip(*pairs, strict=True)
    return difference(ones, others, documents, seed)


def _share_right(evaluation: Evaluation, samples: list[Row], right: Right) -> float | None:
    counted = [said for row in samples if (said := right(evaluation, row)) is not None]
    return sum(counted) / len(counted) if counted else None


def _contamination(evaluations: list[Evaluation], flags: Flags, seed: int) -> dict[str, Any]:
    """The set's questions that stand in the training data, and the scores on the others."""
    listed = flagged_rows({row.id: row.question for row in evaluations[0].rows}, flags)
    flagged = {each["id"] for each in listed}
    clean = {e.model: [row for row in e.rows if row.rated and row.id not in flagged] for e in evaluations}
    return {
        "flagged": len(listed),
        "rows": listed[:LISTED],
        "accuracy": {model: _estimate(rows, RATES["accuracy"], seed) for model, rows in clean.items()},
        "differences": _differences(evaluations, seed, without=flagged),
    }


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
