"""A report on real evaluations: its numbers, its honesty, and that the page is safe and whole."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from markupsafe import escape
from mock_server import Reply, completion, serve
from rich.console import Console
from small_sets import recipe, rows, well_formed, write_set

from eval_adapters.reviews import json_lines
from eval_adapters.run import run_one
from launch.report import ReportSettings, run, terminal
from launch.report.read import read_curves
from reward_plugins.errors import Refused

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

CONTENT = rows(60)
NUMBERS = {each["prompt"][-1]["content"]: number for number, each in enumerate(CONTENT)}
EVIL = "<script>alert('from a model')</script>"


def by_number(right: Callable[[int], bool]) -> Callable[[dict[str, Any]], Reply]:
    """A model that has the rows right for which `right` holds; elsewhere it errs in three ways, by turns."""

    def reply(request: dict[str, Any]) -> Reply:
        number = NUMBERS[request["messages"][-1]["content"]]
        if right(number):
            return completion(well_formed(CONTENT[number]["gold"]))
        wrong = [
            completion(f"<think>{EVIL}</think><answer>1</answer>"),
            completion(f"<think>{EVIL} on and on", finish="length"),
            completion(f"{EVIL} I do not know"),
        ]
        return wrong[number % 3]

    return reply


def evaluate(out: Path, data: Path, models: dict[str, Callable[[int], bool]]) -> Path:
    for name, right in models.items():
        with serve(by_number(right)) as server:
            settings = recipe(out, data, server.url, names=tuple(models))
            run_one(settings, next(model for model in settings.models if model.name == name))
    return out


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base has every tenth row right, SFT every second one, GRPO the same and one more."""
    folder = tmp_path_factory.mktemp("evaluation")
    models: dict[str, Callable[[int], bool]] = {
        "base": lambda number: number % 10 == 0,
        "sft": lambda number: number % 2 == 0,
        "grpo": lambda number: number % 2 == 0 or number == 1,
    }
    return evaluate(folder / "out", write_set(folder / "test", CONTENT), models)


def report(evaluation: Path, out: Path, **more: Any) -> tuple[dict[str, Any], str]:
    summary = run(ReportSettings(out=out, evaluations=[evaluation], **more))
    return summary, (out / "report.html").read_text(encoding="utf-8")


def test_every_number_is_a_recount_of_the_review_files(evaluation: Path, tmp_path: Path) -> None:
    summary, _ = report(evaluation, tmp_path)
    right_by_model = {}
    for model in ("base", "sft", "grpo"):
        file = next((evaluation / model / "finmath").rglob(f"reviews/{model}/*.jsonl"))
        scores = {each["index"]: each["sample_score"]["score"] for each in json_lines(file)}
        result = summary["results"]["finmath"][model]
        counted = Counter(score["metadata"]["status"] for score in scores.values())
        assert {state: result["counts"][state] for state in counted} == dict(counted)
        assert sum(counted.values()) == result["counts"]["requested"] == 60
        for rate in ("accuracy", "strict_accuracy", "format_rate", "no_answer_rate"):
            assert result[rate]["value"] == sum(score["value"][rate] for score in scores.values()) / 60
        for grouping in ("kind", "lang", "level", "answer_type"):
            for value, found in result["groups"][grouping].items():
                inside = [score for score in scores.values() if score["metadata"][grouping] == value]
                assert found["n"] == len(inside)
                assert found["value"] == sum(score["value"]["accuracy"] for score in inside) / len(inside)
        right_by_model[model] = [scores[index]["value"]["accuracy"] for index in range(60)]
    for found in summary["differences"]["finmath"]:
        pairs = list(zip(right_by_model[found["from"]], right_by_model[found["to"]], strict=True))
        assert (found["gained"], found["lost"]) == (pairs.count((0.0, 1.0)), pairs.count((1.0, 0.0)))
    assert summary["results"]["finmath"]["base"]["counts"]["no_answer_by_cause"] == {
        "cut by max_tokens": 18,
        "no final answer": 18,
    }


def test_the_answer_says_what_was_shown_and_what_was_not(evaluation: Path, tmp_path: Path) -> None:
    summary, page = report(evaluation, tmp_path)
    top = page[page.index("<section>") : page.index("</section>")]
    assert "Yes, it got better: grpo answers 51.7% of 60 test questions correctly, base 10.0%." in html.unescape(top)
    assert "是的，变好了" in top
    assert "sft → grpo: +1.7 points" in top and "no clear difference" in top
    verdicts = {(found["from"], found["to"]): found["verdict"] for found in summary["differences"]["finmath"]}
    assert verdicts == {("base", "sft"): "better", ("base", "grpo"): "better", ("sft", "grpo"): "unclear"}
    against_sft, page = report(evaluation, tmp_path, base="sft")
    assert "That it got better cannot be shown: grpo answers 51.7%" in page
    assert against_sft["models"] == ["sft", "base", "grpo"]


def test_a_loss_is_called_a_loss_and_one_model_alone_is_compared_with_nothing(evaluation: Path, tmp_path: Path) -> None:
    for name, folders, sentence in (
        ("loss", [evaluation / "sft", evaluation / "base"], "No, it got worse: base answers 10.0%"),
        ("alone", [evaluation / "sft"], "sft answers 50.0% of 60 questions correctly"),
    ):
        run(ReportSettings(out=tmp_path / name, evaluations=folders, base="sft"))
        assert sentence in (tmp_path / name / "report.html").read_text(encoding="utf-8")
        brief = (tmp_path / name / "report.md").read_text(encoding="utf-8")
        assert ("gained / lost" in brief) is (name == "loss")  # and no table of no line


def test_the_page_is_one_file_that_loads_nothing(evaluation: Path, tmp_path: Path) -> None:
    _, page = report(evaluation, tmp_path)
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?\s*(?!#)[^\s"'>]+""", page, re.IGNORECASE)
    assert not re.findall(r"@import|url\((?!#)", page)
    assert page.count("<svg") == 1 and "<script" not in page
    assert "<image" not in page and "<link" not in page


def test_text_from_models_and_data_is_escaped_everywhere(evaluation: Path, tmp_path: Path) -> None:
    (tmp_path / "note.json").write_text(json.dumps({"note": EVIL}), encoding="utf-8")
    _, page = report(evaluation, tmp_path, manifests=[tmp_path / "note.json"], title=EVIL)
    assert "<script" not in page
    # The title twice, the manifest once (as JSON), the examples of three models.
    assert page.count(str(escape(EVIL))) >= 8


def test_three_worked_examples_a_model(evaluation: Path, tmp_path: Path) -> None:
    summary, page = report(evaluation, tmp_path)
    for model in ("base", "sft", "grpo"):
        examples = summary["examples"]["finmath"][model]
        assert [each["why"] for each in examples] == ["right", "wrong", "disagree"]
        assert [each["status"] for each in examples[:2]] == ["correct", "wrong"]
        others = examples[2]["others"].values()
        assert any((other["status"] == "correct") != (examples[2]["status"] == "correct") for other in others)
        assert all(str(escape(each["completion"])) in page for each in examples)
    assert summary["disagreements"]["finmath"]["total"] == 25


def test_both_languages_say_the_same_numbers(evaluation: Path, tmp_path: Path) -> None:
    _, page = report(evaluation, tmp_path)
    english, chinese = ((tmp_path / name).read_text(encoding="utf-8") for name in ("report.md", "report_zh.md"))
    numbers = r"[-−+]?\d+\.\d+"
    assert Counter(re.findall(numbers, english)) == Counter(re.findall(numbers, chinese))
    assert "准确率" in chinese and "准确率" not in english
    assert 'id="pick-en" checked' in page and page.count('class="en"') == page.count('class="zh"')


def test_the_table_fits_a_terminal_of_80_columns(evaluation: Path, tmp_path: Path) -> None:
    summary, _ = report(evaluation, tmp_path)
    console = Console(width=80, record=True, file=(tmp_path / "out.txt").open("w"))
    console.print(terminal(summary))
    shown = console.export_text()
    assert re.search(r"sft\s.*50\.0% .*\+40\.0", shown)
    assert "51.7%" in shown


def test_an_unchanged_report_is_not_made_again_and_a_changed_one_is(evaluation: Path, tmp_path: Path) -> None:
    first, _ = report(evaluation, tmp_path)
    before = (tmp_path / "report.html").stat().st_mtime_ns
    assert report(evaluation, tmp_path)[0] == json.loads(json.dumps(first))
    assert (tmp_path / "report.html").stat().st_mtime_ns == before
    report(evaluation, tmp_path, seed=1)
    assert (tmp_path / "report.html").stat().st_mtime_ns != before


def test_failed_rows_are_in_no_rate_and_said_on_top(tmp_path: Path) -> None:
    data = write_set(tmp_path / "test", CONTENT)
    evaluate(tmp_path / "out", data, {"base": lambda number: number % 10 == 0})
    golds = by_number(lambda number: True)

    def failing(request: dict[str, Any]) -> Reply:
        return 9.0 if NUMBERS[request["messages"][-1]["content"]] % 20 == 0 else golds(request)

    with serve(failing) as server:
        settings = recipe(tmp_path / "out", data, server.url, names=("base", "sft"), timeout_s=3.0)
        run_one(settings, settings.models[1])
    summary, page = report(tmp_path / "out", tmp_path / "report")
    assert summary["results"]["finmath"]["sft"]["counts"]["error"] == 3
    assert summary["results"]["finmath"]["sft"]["accuracy"]["n"] == 57
    assert summary["differences"]["finmath"][0]["n"] == 57
    assert "sft on finmath: 3 of 60 rows are in no rate (timed out: 3)." in page
    assert "Run the evaluation again" in page


def test_a_base_that_gave_nothing_is_not_called_the_lack_of_another_model(tmp_path: Path) -> None:
    data = write_set(tmp_path / "test", CONTENT[:4])
    golds = by_number(lambda number: True)
    dead = web.json_response({}, status=500)
    with serve(lambda request: dead if request["model"] == "base" else golds(request)) as server:
        settings = recipe(tmp_path / "out", data, server.url, names=("base", "sft"))
        with pytest.raises(Refused, match="base on finmath: none of 4"):
            run_one(settings, settings.models[0])
        run_one(settings, settings.models[1])
    _, page = report(tmp_path / "out", tmp_path / "report")
    assert "base has no rated question of these to compare it with" in page
    assert "there is no other model" not in page


def test_what_a_set_calls_its_groups_stays_in_its_cell(tmp_path: Path) -> None:
    named = [{**each, "meta": {"level": place % 2, "type": "a|b\n<script>"}} for place, each in enumerate(CONTENT[:4])]
    named[0]["meta"]["type"] = "c"
    evaluate(tmp_path / "out", write_set(tmp_path / "test", named), {"m": lambda number: True})
    summary, page = report(tmp_path / "out", tmp_path / "report")
    groups = summary["results"]["finmath"]["m"]["groups"]
    assert {level: found["n"] for level, found in groups["level"].items()} == {"0": 2, "1": 2}  # 0 is a level, too
    lines = (tmp_path / "report" / "report.md").read_text(encoding="utf-8").split("\n")
    assert "| a\\|b &lt;script> | 100.0% | 3 |" in lines
    assert "<script" not in page


def test_evaluations_that_cannot_be_compared_are_refused(evaluation: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no evaluation below"):
        report(tmp_path, tmp_path / "report")
    with pytest.raises(Refused, match="base: no model 'bse' was evaluated; there are base, sft, grpo"):
        report(evaluation, tmp_path, base="bse")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "result.json").write_text('{"schema": 1, "mod', encoding="utf-8")
    with pytest.raises(Refused, match=r"result\.json is not JSON; run finr1 eval again"):
        report(tmp_path / "torn", tmp_path / "report")
    other = write_set(tmp_path / "test", CONTENT[:30])
    evaluate(tmp_path / "out", other, {"other": lambda number: True})
    with pytest.raises(Refused, match="they were asked different questions"):
        run(ReportSettings(out=tmp_path / "report", evaluations=[evaluation, tmp_path / "out"]))
    assert not (tmp_path / "report").exists()


def test_curves_are_read_from_each_trainer_s_log(evaluation: Path, tmp_path: Path) -> None:
    grpo, sft, killed = tmp_path / "grpo", tmp_path / "sft", tmp_path / "killed"
    for folder in (grpo, sft, killed / "checkpoint-8", killed / "checkpoint-16"):
        folder.mkdir(parents=True)
    logged = {"loss": 0.1, "reward": 0.5, "reward_std": 0.2, "completions/mean_length": 60.0}
    history = [{"step": 1, **logged}, {"step": 2, **logged, "loss": float("nan")}, {"step": 2, "train_runtime": 3.0}]
    (grpo / "trainer_state.json").write_text(json.dumps({"log_history": history}))
    (sft / "trainer_log.jsonl").write_text('{"current_steps": 4, "loss": 2.5}\n{"current_steps": 8, "lo')
    for step in (8, 16):
        state = {"log_history": [{"step": step, "loss": 1.0}]}
        (killed / f"checkpoint-{step}" / "trainer_state.json").write_text(json.dumps(state))
    read = read_curves(grpo)
    assert read.points["reward"] == [(1.0, 0.5), (2.0, 0.5)]
    assert (read.points["loss"], read.not_finite) == ([(1.0, 0.1)], {"loss": 1})
    assert read_curves(sft).points == {"loss": [(4.0, 2.5)]}
    assert read_curves(killed).points == {"loss": [(16.0, 1.0)]}
    _, page = report(evaluation, tmp_path / "report", runs={"sft": sft, "grpo": grpo})
    assert page.count("<svg") == 3
    assert "loss: 1 values were no finite number" in page
    with pytest.raises(Refused, match="no training log at"):
        report(evaluation, tmp_path / "report", runs={"sft": tmp_path})
