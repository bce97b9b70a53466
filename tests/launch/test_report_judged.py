"""The judged score in the report, and what is said where a judge failed."""

from __future__ import annotations

import html
import sys
from pathlib import Path
from typing import Any

import pytest
from mock_server import Reply, completion, serve
from small_sets import recipe, row, well_formed, write_set

from eval_adapters.judge_settings import JudgeSettings, JudgeSpec
from eval_adapters.judging import judge_model
from eval_adapters.run import run_one
from launch.report import ReportSettings, run

sys.path.append(str(Path(__file__).parents[1] / "reward_plugins"))
from judge_server import judging

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

GOLD, PARAPHRASE, WRONG = "straight-line depreciation", "straight linear write-off", "declining balance write-off"
CONTENT = [
    row(number, GOLD, answer_type="text", lang="en", question=f"Which method is used in case {number}?")
    | {"prompt": [{"role": "user", "content": f"Which method is used in case {number}?"}]}
    for number in range(20)
]
NUMBERS = {each["prompt"][-1]["content"]: number for number, each in enumerate(CONTENT)}


def model(request: dict[str, Any]) -> Reply:
    """A quarter is said wrongly, the rest in other words."""
    return completion(well_formed(PARAPHRASE if NUMBERS[request["messages"][-1]["content"]] % 4 else WRONG))


def test_the_judged_score_stands_beside_the_rule_s_and_a_dead_judge_gives_none(tmp_path: Path) -> None:
    with serve(model) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", CONTENT), server.url)
        run_one(settings, settings.models[0])
    for manner, expected in (("http 500", None), ("answers", 15 / 20)):
        with judging(manner) as judge:
            spec = JudgeSpec(api_url=judge.url, model="m", timeout_s=1.0)
            judged = settings.model_copy(update={"judge": JudgeSettings(judges=[spec])})
            judge_model(judged, settings.models[0])
        summary = run(ReportSettings(out=tmp_path / "report", evaluations=[tmp_path / "out"]))
        result = summary["results"]["finmath"]["m"]
        page = html.unescape((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
        assert result["accuracy"] is None  # the rule decides none of them
        assert "20 of 20 rows can be decided by a judge only" in page
        if expected is None:
            assert result["judged"]["accuracy"] is None
            assert "m on finmath: no judged score: 0.0% of 20 rows got a verdict" in page[: page.index("</section>")]
        else:
            found = result["judged"]["accuracy"]
            assert (found["value"], found["n"]) == (expected, 20) and found["low"] < expected < found["high"]
            assert "75.0%" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def better_model(request: dict[str, Any]) -> Reply:
    """Wrong in one case of ten only."""
    return completion(well_formed(WRONG if NUMBERS[request["messages"][-1]["content"]] % 10 == 9 else PARAPHRASE))


def two_models(tmp_path: Path, *judge_models: str) -> dict[str, Any]:
    """The report on two models over free text, each judged by a judge of the given name."""
    data = write_set(tmp_path / "test", CONTENT)
    for name, answers, judge_name in zip(("base", "tuned"), (model, better_model), judge_models, strict=True):
        with serve(answers) as server, judging("answers") as judge:
            settings = recipe(tmp_path / "out" / name, data, server.url, names=(name,))
            run_one(settings, settings.models[0])
            spec = JudgeSpec(api_url=judge.url, model=judge_name, timeout_s=1.0)
            judged = settings.model_copy(update={"judge": JudgeSettings(judges=[spec])})
            judge_model(judged, settings.models[0])
    folders = [tmp_path / "out" / "base", tmp_path / "out" / "tuned"]
    return run(ReportSettings(out=tmp_path / "report", evaluations=folders, base="base"))


def test_judged_scores_are_compared_in_pairs_and_give_the_answer_on_top(tmp_path: Path) -> None:
    summary = two_models(tmp_path, "m", "m")
    (found,) = summary["judged_differences"]["finmath"]
    # Rows 4, 8, 12, 16 and 0 are gained, 9 and 19 lost: McNemar's p of 2 and 5 is 58/128.
    assert (found["from"], found["to"], found["n"], found["gained"], found["lost"]) == ("base", "tuned", 20, 5, 2)
    assert found["p"] == pytest.approx(58 / 128)
    assert found["value"] == pytest.approx(18 / 20 - 15 / 20)
    assert summary["differences"]["finmath"] == []  # the rule decides none of them
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "**By the judge: That it got better cannot be shown: tuned answers 90.0% of 20" in text
    assert "| finmath | base → tuned | +15.0 |" in text
    page = html.unescape((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert "按裁判得分：无法证明变好了" in page and "Differences by the judged score" in page


def test_scores_of_different_judges_are_not_compared(tmp_path: Path) -> None:
    assert two_models(tmp_path, "m", "another")["judged_differences"] == {"finmath": []}
