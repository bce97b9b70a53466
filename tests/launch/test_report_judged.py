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
