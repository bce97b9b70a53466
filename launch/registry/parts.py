"""What a version carries, read from the folders that training and evaluation left: nothing is guessed or filled in."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from distill import manifest
from eval_adapters.identity import model_hash
from eval_adapters.reviews import sha256
from launch.registry.outcomes import Outcomes, outcome_of
from launch.report import ReportSettings, plots
from launch.report import run as write_report
from launch.report.read import Curves, Evaluation, read_curves, read_evaluations
from launch.report.render import JSON
from reward_plugins.errors import Refused


@dataclass(frozen=True)
class Training:
    """A run as its manifest tells it: the recipe, the data and the weights that it read, each by hash, and its curves."""

    folder: Path
    manifest: dict[str, Any]
    data: dict[str, dict[str, Any]]
    read_weights: frozenset[str]
    curves: Curves | None

    @property
    def digest(self) -> str:
        """Tells one run from another."""
        return _digest(self.manifest)


@dataclass(frozen=True)
class Evaluated:
    """An evaluation of these weights: what became of each question, and the folder that the report is made of."""

    folder: Path
    outcomes: Outcomes

    @property
    def digest(self) -> str:
        """Tells one evaluation from another; where it lies is no part of it."""
        return _digest(self.outcomes.model_dump(mode="json"))


@dataclass(frozen=True)
class Parts:
    """All that is known of a model folder. `weights`: sha256 by name of the files that hold them."""

    folder: Path
    sha256: str
    weights: dict[str, str]
    training: Training | None
    evaluated: Evaluated | None
    remarks: list[str] = field(default_factory=list)


def collect(folder: Path, run: Path | None = None, report: Path | None = None, evaluated_as: str = "") -> Parts:
    """Read a version's parts.

    `run` is the training run's folder (default: the model's own, where a manifest lies in it). `report` is a folder of
    evaluations, as `finr1 report` takes it; the one of these weights is found by their hash, or by the name
    `evaluated_as` where the model was reached by an address.

    Raises:
        Refused: no whole model, no such run or evaluation, or one that is of other weights.
    """
    if not folder.is_dir():
        raise Refused(f"no folder at {folder}; a version is a model folder on this machine")
    folder = folder.resolve()
    whole = model_hash(folder)
    weights = {file.name: sha256(file) for file in sorted(folder.glob("*.safetensors"))}
    remarks: list[str] = []
    place = run.resolve() if run else folder
    training = None
    if run or (place / "manifest.json").is_file():
        training = _training(place)
        tie = _tie(training, folder, weights)
        if not tie and place == folder:
            raise Refused(
                f"{folder}: the weights are not those that its run wrote (see its manifest.json); name the run that made "
                "them with --run, or move its manifest.json away"
            )
        if not tie:
            remarks.append(f"no hash ties these weights to the run in {place}: that it made them is your word")
    evaluated = _evaluated(report.resolve(), whole, evaluated_as) if report else None
    return Parts(folder, whole, weights, training, evaluated, remarks)


def write_training(training: Training, out: Path) -> None:
    """Put the recipe, the manifest, the data's hashes and the curves of a run into a folder."""
    for name in ("manifest.json", "recipe.yaml", "resolved_recipe.json"):
        if (training.folder / name).is_file():
            shutil.copyfile(training.folder / name, out / name)
    _write(out / "data.json", training.data)
    if training.curves:
        _write(out / "curves.json", asdict(training.curves))
        if drawn := plots.curves({**training.curves.points}):
            (out / "curves.svg").write_text(drawn, encoding="utf-8")
    for picture in training.folder.glob("*.png"):
        shutil.copyfile(picture, out / picture.name)


def write_evaluated(evaluated: Evaluated, out: Path) -> None:
    """Put the outcomes and the report over the whole evaluation, all its models side by side, into a folder."""
    (out / "outcomes.json").write_text(evaluated.outcomes.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_report(ReportSettings(out=out / "report", evaluations=[evaluated.folder]))


def _training(folder: Path) -> Training:
    said = manifest.read(folder / "manifest.json")
    if said is None:
        raise Refused(f"no run at {folder}: it has no manifest.json that can be read (did its training end?)")
    inputs = {Path(name): facts for name, facts in said["inputs"].items()}
    models = {path.parent for path in inputs if path.name in ("config.json", "adapter_config.json")}
    try:
        curves = read_curves(folder)
    except Refused:  # a merge, or a run without a log
        curves = None
    return Training(
        folder,
        said,
        {str(path): facts for path, facts in inputs.items() if path.parent not in models},
        frozenset(facts["sha256"] for path, facts in inputs.items() if path.suffix == ".safetensors"),
        curves,
    )


def _tie(training: Training, folder: Path, weights: dict[str, str]) -> bool:
    """Whether the run wrote these weights, or wrote what they were merged from, or they are a checkpoint inside it."""
    wrote = {
        facts["sha256"] for name, facts in training.manifest["outputs"].items() if Path(name).suffix == ".safetensors"
    }
    merged = manifest.read(folder / "manifest.json") if training.folder != folder else None
    read = {facts["sha256"] for facts in merged["inputs"].values()} if merged else set()
    return bool(wrote & set(weights.values())) or bool(wrote & read) or training.folder in folder.parents


def _evaluated(folder: Path, whole: str, name: str) -> Evaluated:
    if (folder / JSON).is_file() and not any(folder.rglob("result.json")):
        raise Refused(
            f"{folder} holds a report, and a promotion needs its rows: name the folder of evaluations that it was made of"
        )
    there = read_evaluations([folder])
    of_model = {each.model: each.result["asking"]["model"] for each in there}
    if name:
        if name not in of_model:
            raise Refused(f"no evaluation below {folder} is called {name!r}; there are {', '.join(of_model)}")
        if of_model[name].get("sha256", whole) != whole:
            raise Refused(f"{name} below {folder} was evaluated with other weights; run finr1 eval on this folder")
        chosen = name
    else:
        fit = [model for model, asked in of_model.items() if asked.get("sha256") == whole]
        if not fit:
            raise Refused(
                f"no evaluation below {folder} is of these weights (there are {', '.join(of_model)}): run finr1 eval with "
                "this folder as the model's path, or say with --evaluated-as which one was served from it by address"
            )
        if len(fit) > 1:
            raise Refused(f"{', '.join(fit)} below {folder} are all of these weights: choose one with --evaluated-as")
        chosen = fit[0]
    sets: dict[str, Evaluation] = {each.test_set: each for each in there if each.model == chosen}
    by_hash = of_model[chosen].get("sha256") == whole
    kept = {test_set: outcome_of(each) for test_set, each in sets.items()}
    return Evaluated(folder, Outcomes(model=chosen, by="weights" if by_hash else "name", sets=kept))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:12]


def _write(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
