"""The data pipelines of Fin-R1 and FTModel on real samples, with the worked solutions as the only teacher.

With the embedded model as teacher and judge they take minutes; here nothing is served.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from export_chain import KIT

from distill import ask, export, overlap, prepare, screen
from distill.questions import document, read_questions

DATA = KIT.parent / "shared" / "data"
STAGES: dict[str, Any] = {
    "prepare": prepare,
    "distill": ask,
    "screen": screen,
    "overlap": overlap,
    "export": export,
}


def without_models(stage: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a stage less what asks or needs a model."""
    if stage == "distill":
        return {**settings, "teachers": [each for each in settings["teachers"] if each.get("kind") == "reference"]}
    needs = {"judge", "tokenizer", "cutoff_len", "prompt_cutoff"}
    return {key: value for key, value in settings.items() if key not in needs}


@pytest.fixture(params=["fin_r1", "ftmodel"])
def made(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    """A pipeline's name, and what each of its stages returned; the working directory is its home."""
    if not DATA.is_dir():
        pytest.skip(f"the real sets are not at {DATA}")
    shutil.copytree(KIT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    text = (KIT / f"recipes/pipelines/{request.param}.yaml").read_text(encoding="utf-8")
    counts = {}
    for step in yaml.safe_load(text.replace("$data", str(DATA)))["stages"]:
        named = isinstance(step["recipe"], str)
        whole = yaml.safe_load(Path(step["recipe"]).read_text(encoding="utf-8")) if named else step["recipe"]
        stage = STAGES[step["stage"]]
        settings = without_models(step["stage"], {**whole, **step.get("set", {})})
        counts[step["stage"]] = stage.run(stage.Settings.model_validate(settings))
    return request.param, counts


def test_a_pipeline_makes_a_set_whose_funnel_adds_up(made: tuple[str, dict[str, Any]]) -> None:
    name, counts = made
    rows, left_out, screened = counts["export"]["rows"], counts["export"]["left_out"], counts["screen"]
    sft, grpo = rows["sft/train.jsonl"], rows["grpo/train.jsonl"]
    assert sft and grpo and sum(size for file, size in rows.items() if file.startswith("test/"))
    for step in ("asked", "answered", "right", "kept"):
        assert sum(group[step] for group in screened["by"]["source"].values()) == screened[step]
    assert sft + sum(size for why, size in left_out.items() if why.startswith("sft: ")) == screened["kept"]
    left = sum(size for why, size in left_out.items() if why.startswith("grpo: "))
    assert grpo + left == counts["prepare"]["questions"]["train"]
    barred = [size for why, size in left_out.items() if why in ("grpo: contaminated", "grpo: duplicate")]
    assert sum(barred) == counts["overlap"]["flagged"]
    page = Path(f"datasets/{name}/README.md").read_text(encoding="utf-8")
    assert f"| all | {screened['asked']} | {screened['answered']} | {screened['right']} |" in page


def test_a_pipeline_keeps_documents_and_policies_apart(made: tuple[str, dict[str, Any]]) -> None:
    name, _ = made
    train, test = (
        set(map(document, read_questions(Path(f"runs/{name}/questions/{x}.jsonl")))) for x in ("train", "test")
    )
    assert train and test and not train & test
    sft, grpo = (ids(Path(f"datasets/{name}/{kind}/train.jsonl")) for kind in ("sft", "grpo"))
    assert not sft & grpo if name == "fin_r1" else grpo <= sft
    entry = json.loads(Path("dataset_info.json").read_text(encoding="ascii"))[f"{name}_sft"]
    assert entry["formatting"] == ("sharegpt" if name == "fin_r1" else "alpaca")


def ids(rows: Path) -> set[str]:
    """The questions of a file of a set."""
    return {json.loads(line)["id"].split("|")[0] for line in rows.read_text(encoding="utf-8").splitlines()}
