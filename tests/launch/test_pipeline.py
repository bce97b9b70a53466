"""The runner of pipelines, with stages that only take notes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from launch import pipeline
from launch.stages import STAGES, read_over
from reward_plugins.errors import Refused


@pytest.fixture
def notes() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    return []


@pytest.fixture
def stages(notes: list[Any]) -> dict[str, Callable[..., dict[str, Any]]]:
    def stage(name: str) -> Callable[..., dict[str, Any]]:
        def work(path: str, **options: Any) -> dict[str, Any]:
            notes.append((name, yaml.safe_load(Path(path).read_text(encoding="utf-8")), options))
            return {"done": "now"}

        return work

    return {name: stage(name) for name in ("prepare", "sft")}


def written(home: Path, text: str) -> str:
    path = home / "pipeline.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


GOOD = """
out: runs/x
variables: {data: null, rows: 8, folder: runs/x}
stages:
- {stage: prepare, recipe: {path: $data, count: $rows, out: $folder/questions}}
- {stage: sft, recipe: sft.yaml, set: {output_dir: $folder/sft}, options: {fast: true}}
"""


def test_stages_run_in_order_with_their_resolved_recipes(home: Path, stages: Any, notes: Any) -> None:
    (home / "sft.yaml").write_text("output_dir: elsewhere\nlr: 1\n", encoding="utf-8")
    (home / "data").mkdir()
    pipeline.run(written(home, GOOD), ["data=data", "rows=9"], stages)
    assert notes == [
        ("prepare", {"path": str(home / "data"), "count": 9, "out": "runs/x/questions"}, {}),
        ("sft", {"output_dir": "runs/x/sft", "lr": 1}, {"fast": True}),
    ]
    kept = home / "runs" / "x" / "recipes" / "02-sft.yaml"
    assert kept.read_text(encoding="utf-8").startswith("# finr1 sft runs/x/recipes/02-sft.yaml\n")
    assert set(json.loads((home / "runs" / "x" / "timings.json").read_text())) == {"01-prepare", "02-sft"}


@pytest.mark.parametrize(
    ("overrides", "text", "complaint"),
    [
        ([], GOOD, "needs --set data="),
        (["dta=x"], GOOD, "did you mean 'data'"),
        (["data"], GOOD, "names no variable"),
        (["data=x", "rows=[1"], GOOD, "'\\[1' is not YAML"),
        (["data=x"], GOOD.replace("stage: sft", "stage: sfft"), "no stage is called 'sfft'; did you mean 'sft'"),
        (["data=x"], GOOD.replace("$rows", "$row"), "names no variable"),
        (["data=x"], GOOD.replace("sft.yaml", "missing.yaml"), r"no recipe at missing.yaml"),
        (["data=x"], GOOD.replace("options:", "option:"), "unknown key 'stages.1.option'; did you mean 'options'"),
        ([], "out: x\nstages: []\n", "stages"),
    ],
)
def test_a_mistake_is_found_before_the_first_stage(
    home: Path, stages: Any, notes: Any, overrides: list[str], text: str, complaint: str
) -> None:
    (home / "sft.yaml").write_text("lr: 1\n", encoding="utf-8")
    with pytest.raises(Refused, match=complaint):
        pipeline.run(written(home, text), overrides, stages)
    assert notes == []
    assert not (home / "runs").exists()


def test_a_path_is_meant_from_where_the_user_stands(
    home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, stages: Any, notes: Any
) -> None:
    (home / "sft.yaml").write_text("lr: 1\n", encoding="utf-8")
    stands = tmp_path_factory.mktemp("stands")
    (stands / "sets").mkdir()
    monkeypatch.setattr(pipeline, "STARTED_IN", stands)  # the command has gone to the home folder since
    pipeline.run(written(home, GOOD), ["data=sets"], stages)
    assert notes[0][1]["path"] == str(stands / "sets")


def test_what_somebody_wrote_into_the_timings_stops_nothing(home: Path, stages: Any, notes: Any) -> None:
    (home / "sft.yaml").write_text("lr: 1\n", encoding="utf-8")
    (home / "runs" / "x").mkdir(parents=True)
    timings = home / "runs" / "x" / "timings.json"
    for text in ("{", "[1]", ""):
        timings.write_text(text, encoding="utf-8")
        pipeline.run(written(home, GOOD), ["data=x"], stages)
        assert set(json.loads(timings.read_text())) == {"01-prepare", "02-sft"}


TWO = """
out: runs/x
stages:
- stage: prepare
  recipe: {out: runs/x/questions, sources: [{name: finmath, count: 4, seed: 1}]}
- stage: LAST
"""


@pytest.mark.parametrize(
    ("last", "complaint"),
    [
        ("export\n  recipe: {set: x, questions: q, traces: t, verdict: v}", "stage 2, export: unknown key 'verdict'; did you"),
        ("screen\n  recipe: {questions: q, traces: t, out: o}\n  options: {engin: ray}", "option 'engin'; did you mean 'engine'"),
        ("screen\n  recipe: {questions: q, traces: t, out: o}\n  set: {judge.name: x}", "unknown key 'judge.name'"),
        ("overlap\n  recipe: {questions: q, out: o, duplicates: many}", "stage 2, overlap: duplicates: "),
        ("sft\n  recipe: recipes/sft/smollm2_135m_cpu.yaml\n  set: {learning_rat: 1}", "'?learning_rat'?.*did you mean"),
        ("grpo\n  recipe: recipes/grpo/smollm2_135m_cpu.yaml\n  options: {proceses: 2}", "did you mean 'processes'"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_last_stage_costs_no_teacher_call(home: Path, last: str, complaint: str) -> None:
    with pytest.raises(Refused, match=complaint):
        pipeline.run(written(home, TWO.replace("LAST", last)), [], STAGES, read_over)
    assert not (home / "runs").exists()
