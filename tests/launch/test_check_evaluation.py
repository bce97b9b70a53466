"""What `finr1 check` says of an evaluation: what `finr1 eval` would refuse, and every path from the recipe's home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_runs import write
from small_sets import row, write_set

from eval_adapters.settings import EvalSettings
from launch.check.evaluation import evaluation
from launch.check.finding import Finding, State, of
from launch.check.place import Machine, Place

CPU = Machine(0, 0.0, False, 24.0)
OWN = {"benchmark": "finr1_jsonl", "path": "mine", "subset": "test", "system_prompt": "prompt.txt"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A home with questions of one's own, a prompt file and a train split."""
    write_set(tmp_path / "mine", [{"问": f"{n} 加 {n}？", "答": str(2 * n)} for n in range(1, 5)], "test")
    train = [{**row(n, str(n)), "split": "train", "lang": "zh"} for n in range(20, 24)]
    write_set(tmp_path / "questions", train, "train")
    write(tmp_path / "prompt.txt", "先思考，再回答。")
    return Place(CPU, tmp_path)


def found(place: Place, test_set: dict[str, Any], **more: Any) -> list[Finding]:
    model = {"name": "m", "api_url": "http://127.0.0.1:9/v1"}
    settings = EvalSettings.model_validate({"out": "e", "models": [model], "sets": [{**OWN, **test_set}], **more})
    return list(evaluation(settings, place))


def test_columns_prompt_and_examples_are_read_as_the_evaluation_reads_them(place: Place) -> None:
    columns = {"question": "问", "gold": "答"}
    few_shot = {"path": "questions/train.jsonl", "count": 2}
    said = found(place, {"columns": columns, "few_shot": few_shot})
    assert {each.state for each in said} == {State.HOLDS}
    assert any("all of 4 golds" in each.said for each in said)


@pytest.mark.parametrize(
    ("change", "state", "says"),
    [
        ({}, State.MISTAKE, "no question"),
        ({"columns": {"question": "问", "gold": "答", "qustion": "x"}}, State.MISTAKE, "columns names qustion"),
        ({"benchmark": "finr1_finmath", "columns": {"gold": "答"}}, State.MISTAKE, "columns are for finr1_jsonl only"),
        ({"system_prompt": "none.txt"}, State.LACKING, "system_prompt"),
        ({"few_shot": {"path": "none.jsonl", "count": 1}}, State.LACKING, "few_shot, path"),
        ({"subset": "other"}, State.LACKING, "other.jsonl"),
    ],
)
def test_what_the_evaluation_would_refuse_is_named(
    change: dict[str, Any], state: State, says: str, place: Place
) -> None:
    assert [each.said for each in of(found(place, change), state) if says in each.said]


def test_a_test_question_among_the_examples_is_a_mistake(place: Place) -> None:
    same = {**row(30, "2"), "split": "train", "lang": "zh", "question": "1 加 1？"}
    write_set(place.home / "questions", [same], "train")
    few_shot = {"path": "questions/train.jsonl", "count": 1}
    (mistake,) = of(found(place, {"columns": {"question": "问", "gold": "答"}, "few_shot": few_shot}), State.MISTAKE)
    assert "is the test question" in mistake.said


def test_what_an_earlier_stage_writes_need_not_be_there(place: Place) -> None:
    later = Place(CPU, place.home, made=(Path("datasets/new"),))
    (said,) = found(later, {"path": "datasets/new/test"})
    assert said.state is State.UNKNOWN


def test_golds_that_no_answer_meets_are_noted(place: Place) -> None:
    write_set(place.home / "mine", [row(1, "10"), row(2, "I don't know")], "test")
    said = found(place, {"benchmark": "finr1_exported", "system_prompt": None})
    assert [each.said for each in of(said, State.NOTE) if "1 of 2 golds" in each.said and "q2" in each.said]


def test_a_judge_s_key_and_prompt_are_looked_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_JUDGE_KEY", raising=False)
    judge = {"api_url": "http://127.0.0.1:9/v1", "model": "j", "api_key_env": "NO_SUCH_JUDGE_KEY", "prompt": "j.txt"}
    said = of(found(place, {"columns": {"question": "问", "gold": "答"}}, judge={"judges": [judge]}), State.LACKING)
    assert any("NO_SUCH_JUDGE_KEY" in each.said for each in said)
    assert any("j.txt" in each.said for each in said)


def test_an_adapter_is_told_with_its_base_and_one_without_a_base_is_lacking(place: Place) -> None:
    base, adapter = place.home / "base", place.home / "adapter"
    write(base / "config.json", "{}")
    write(adapter / "adapter_config.json", json.dumps({"base_model_name_or_path": str(base)}))
    models = [{"name": "tuned", "path": "adapter"}]
    columns = {"columns": {"question": "问", "gold": "答"}}
    assert [each.said for each in of(found(place, columns, models=models), State.NOTE) if str(base) in each.said]
    (base / "config.json").unlink()
    base.rmdir()
    (lack,) = of(found(place, columns, models=models), State.LACKING)
    assert "base_model_name_or_path" in lack.said
