"""A real model as the judge: the embedded one is far too small for it, and the report must say so and give no score."""

from __future__ import annotations

import html
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from places import free_port

from eval_adapters.judging import read_judged
from launch import stages
from launch.paths import KIT
from launch.serving.server import ServeSettings, serving
from reward_plugins.errors import Refused

sys.path.append(str(Path(__file__).parents[1] / "eval_adapters"))
from mock_server import Reply, completion, serve

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

SAID = {
    "What does a bond's duration measure?": ("sensitivity to interest rates", "how the price reacts to yields"),
    "What is working capital?": ("current assets less current liabilities", "the number of staff"),
}
"""Gold and answer by question: one answer is right in other words, one is wrong."""


def model(request: dict[str, Any]) -> Reply:
    return completion(f"<think>I know.</think><answer>{SAID[request['messages'][-1]['content']][1]}</answer>")


@pytest.mark.timeout(900)  # two verdicts; minutes where others use the CPU, too
def test_a_judge_that_is_not_up_to_it_is_found_out(real_model: Path, home: Path) -> None:
    rows = [{"question": question, "gold": gold, "answer_type": "text"} for question, (gold, _) in SAID.items()]
    (home / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judging = ServeSettings(
        model=str(real_model),
        engine="transformers",
        port=free_port(),
        dtype="float32",  # faster than bfloat16 on a CPU without instructions for it
        flags={"transformers": {"cb-num-blocks": 32, "cb-max-batch-tokens": 256}},
    )
    with serve(model) as answers, serving(judging) as endpoint:
        judge = {"api_url": endpoint.url, "model": endpoint.model_id, "max_tokens": 32, "timeout_s": 500.0}
        prompt = str(KIT / "recipes/prompts/think_answer.txt")
        asked = {
            "out": "eval",
            "models": [{"name": "m", "api_url": answers.url}],
            "sets": [{"benchmark": "finr1_jsonl", "path": "mine.jsonl", "subset": "mine", "system_prompt": prompt}],
            "judge": {"judges": [judge], "repeat_rows": 0, "bias_rows": 0, "control_rows": 0},
        }
        Path("eval.yaml").write_text(json.dumps(asked), encoding="utf-8")
        with pytest.raises(Refused, match="m on mine: no judged score, since") as refused:
            stages.run_eval("eval.yaml")
    read = read_judged(home / "eval/m/mine")
    assert read is not None
    judged, verdicts = read
    (facts,) = judged["judges"].values()
    assert facts["tokens"]["completion"] > 0  # it did answer
    assert sum(facts["outcomes"].values()) == judged["rows"] == len(rows)
    assert facts["coverage"]["n"] == len(rows) and len(verdicts) == round(facts["coverage"]["share"] * len(rows))
    assert judged["accuracy"] is None and judged["why_not"] in str(refused.value)
    stages.run_report(str(home / "eval"))
    page = html.unescape((home / "eval/report/report.html").read_text(encoding="utf-8"))
    assert f"m on mine: no judged score: {judged['why_not']}" in page[: page.index("</section>")]
