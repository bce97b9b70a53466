"""The report's parts beyond accuracy: several samples, contamination, published scores, cost, the first screen."""

from __future__ import annotations

import itertools
import json
import math
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mock_server import Reply, completion, serve
from small_sets import Golds, recipe, row, rows, well_formed, write_set

from eval_adapters.prices import TokenPrices
from eval_adapters.reviews import failed_row
from eval_adapters.run import run_one
from eval_adapters.settings import Generation, SetSpec
from launch.report import ReportSettings, run
from launch.report.published import published
from launch.report.samples import majority, pass_at_k, several_samples
from launch.report.usage import read_perf
from launch.stages import run_report
from reward_plugins.errors import Refused

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

CONTENT = rows(24)
NUMBERS = {each["prompt"][-1]["content"]: number for number, each in enumerate(CONTENT)}


def sample(question: int, repeat: int, status: str, extracted: str) -> Any:
    asked = {key: CONTENT[question][key] for key in ("id", "lang", "question", "gold", "answer_type")}
    row = failed_row({"index": 4 * question + repeat, "repeat": repeat, "cause": "", "asked": asked})
    fields = {**row.__dict__, "status": status, "extracted": extracted}
    return type(row)(**fields)


def test_pass_at_k_is_the_share_of_all_choices_of_k_samples_that_hold_a_right_one() -> None:
    for n in range(1, 8):
        for right in range(n + 1):
            for k in range(1, n + 1):
                choices = list(itertools.combinations(range(n), k))
                hits = sum(min(choice) < right for choice in choices)
                assert pass_at_k(n, right, k) == pytest.approx(hits / len(choices))


def test_the_majority_is_found_without_the_gold_and_ties_are_shared() -> None:
    def vote(*answers: str) -> float:
        said = [
            sample(
                0,
                place,
                "no_answer" if not answer else "correct" if float(answer.rstrip("%")) == 3 else "wrong",
                answer,
            )
            for place, answer in enumerate(answers)
        ]
        return majority(said)

    assert vote("3", "3", "4", "5") == 1.0
    assert vote("4", "4.0", "3", "5") == 0.0  # one wrong answer in two writings outvotes the right one
    assert vote("3", "3.00", "4", "4") == 0.5
    assert vote("3", "", "", "") == 1.0  # what does not answer does not vote
    assert vote("", "", "", "") == 0.0


def test_a_question_of_which_a_sample_failed_is_left_out_for_every_k() -> None:
    states = [["correct", "wrong", "wrong", "wrong"], ["correct"] * 4, ["correct", "correct", "correct", "error"]]
    questions = [
        [sample(number, repeat, status, "3" if status == "correct" else "4") for repeat, status in enumerate(of_one)]
        for number, of_one in enumerate(states)
    ]
    found = several_samples(questions, seed=0)
    assert found is not None and (found["questions"], found["left_out"]) == (2, 1)
    assert {k: each["value"] for k, each in found["pass_at_k"].items()} == {
        "1": pytest.approx(0.625),
        "2": pytest.approx(0.75),
        "4": 1.0,
    }
    assert found["majority"]["value"] == 0.5
    assert several_samples([of_one[:1] for of_one in questions], seed=0) is None


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, four samples a question: each sample of base is right by a chance of 1 in 4, of tuned 3 in 4."""
    folder = tmp_path_factory.mktemp("evaluation")
    data = write_set(folder / "test", CONTENT)
    for name, chance in (("base", 0.25), ("tuned", 0.75)):
        dice = random.Random(name)

        def reply(request: dict[str, Any], dice: random.Random = dice, chance: float = chance) -> Reply:
            gold = CONTENT[NUMBERS[request["messages"][-1]["content"]]]["gold"]
            return completion(well_formed(gold if dice.random() < chance else "1"))

        with serve(reply) as server:
            settings = recipe(folder / "out", data, server.url, names=("base", "tuned")).model_copy(
                update={"repeats": 4, "generation": Generation(max_tokens=64, temperature=0.7)}
            )
            run_one(settings, next(model for model in settings.models if model.name == name))
    return folder / "out"


def report(evaluation: Path, out: Path, **more: Any) -> tuple[dict[str, Any], str]:
    summary = run(ReportSettings(out=out, evaluations=[evaluation], **more))
    return summary, (out / "report.html").read_text(encoding="utf-8")


def test_samples_are_counted_by_question_and_compared_by_question(evaluation: Path, tmp_path: Path) -> None:
    summary, page = report(evaluation, tmp_path)
    results = summary["results"]["finmath"]
    assert summary["sets"]["finmath"]["rows"] == 24
    for result in results.values():
        found = result["samples"]
        assert result["accuracy"]["n"] == 96 and found["samples"] == 4 and found["questions"] == 24
        assert found["pass_at_k"]["1"]["value"] == pytest.approx(result["accuracy"]["value"])
        values = [found["pass_at_k"][k]["value"] for k in ("1", "2", "4")]
        assert values == sorted(values) and values[0] < values[2]
    (compared,) = summary["differences"]["finmath"]
    assert compared["n"] == 24 and compared["gained"] + compared["lost"] <= 24
    expected = results["tuned"]["accuracy"]["value"] - results["base"]["accuracy"]["value"]
    assert compared["value"] == pytest.approx(expected)
    assert compared["verdict"] == "better"
    assert "pass@4" in page and "pass@4" in (tmp_path / "report_zh.md").read_text(encoding="utf-8")


def test_flagged_questions_are_shown_and_the_score_is_given_without_them(evaluation: Path, tmp_path: Path) -> None:
    flags = [
        {"id": "t1", "why": "contaminated", "of": "q0", "set": "finmath", "similarity": 0.7, "kind": "near"},
        {"id": "t2", "why": "contaminated", "of": "q0", "set": "finmath", "similarity": 1.0, "kind": "verbatim"},
        {"id": "t3", "why": "contaminated", "of": "q5", "set": "finmath", "similarity": 0.9, "kind": "masked"},
        {"id": "t4", "why": "duplicate", "of": "q1", "set": "finmath", "similarity": 1.0, "kind": "verbatim"},
        {"id": "t5", "why": "contaminated", "of": "another", "set": "finqa", "similarity": 1.0, "kind": "verbatim"},
    ]
    file = tmp_path / "overlap.jsonl"
    file.write_text("".join(json.dumps(flag) + "\n" for flag in flags), encoding="utf-8")
    summary, page = report(evaluation, tmp_path / "report", overlap=[file])
    found = summary["contamination"]["finmath"]
    assert found["flagged"] == 2
    assert [(row["id"], row["of"], row["copies"]) for row in found["rows"]] == [("q0", "t2", 2), ("q5", "t3", 1)]
    assert {model: each["n"] for model, each in found["accuracy"].items()} == {"base": 88, "tuned": 88}
    assert found["differences"][0]["n"] == 22
    top = page[page.index("<section>") : page.index("</section>")]
    assert "2 of 24 questions of finmath stand in the training data" in top
    assert report(evaluation, tmp_path / "none")[0]["contamination"] == {}
    with pytest.raises(Refused, match="no overlap file at"):
        report(evaluation, tmp_path / "report", overlap=[tmp_path / "missing.jsonl"])


def test_cost_is_the_counted_tokens_at_the_given_prices(evaluation: Path, tmp_path: Path) -> None:
    prices = TokenPrices(currency="USD", prompt=2.0, completion=10.0)
    summary, page = report(evaluation, tmp_path, prices={"tuned": prices})
    used = summary["results"]["finmath"]["tuned"]["usage"]
    # The mock server counts 7 tokens for each prompt, and the words of the completion (four).
    assert (used["counted"], used["prompt_tokens"], used["completion_tokens"]) == (96, 96 * 7, 96 * 4)
    assert used["cost"]["total"] == pytest.approx(96 * (7 * 2 + 4 * 10) / 1e6)
    right = summary["results"]["finmath"]["tuned"]["counts"]["correct"]
    assert used["cost"]["per_right"] == pytest.approx(used["cost"]["total"] / right)
    assert summary["results"]["finmath"]["base"]["usage"]["cost"] is None
    assert "USD" in page
    with pytest.raises(Refused, match="prices: no model 'tunned'"):
        report(evaluation, tmp_path, prices={"tunned": prices})


def test_a_load_test_is_read_from_evalscope_s_files(tmp_path: Path) -> None:
    for at_once, latency in ((8, 2.5), (1, 0.5)):
        folder = tmp_path / f"parallel_{at_once}"
        folder.mkdir()
        said = {"Concurrency": at_once, "Total Requests": 10, "Failed Requests": 0, "Avg Latency (s)": latency}
        (folder / "benchmark_summary.json").write_text(json.dumps(said), encoding="utf-8")
    found = read_perf(tmp_path)
    assert [(each["concurrency"], each["latency_s"], each["ttft_ms"]) for each in found] == [
        (1, 0.5, None),
        (8, 2.5, None),
    ]
    with pytest.raises(Refused, match="no load test below"):
        read_perf(tmp_path / "parallel_1" / "nothing")


def test_the_command_takes_folders_as_well(evaluation: Path) -> None:
    found = run_report(str(evaluation / "base"), str(evaluation / "tuned"), overrides=["base=tuned", "title=Two"])
    assert found["report"] == str(evaluation / "base" / "report" / "report.html")
    assert found["summary"]["models"] == ["tuned", "base"] and found["summary"]["title"] == "Two"
    with pytest.raises(Refused, match="no recipe at"):
        run_report(str(evaluation / "nothing"))


def test_published_scores_stand_beside_the_sets_that_they_are_about() -> None:
    assert published("finr1_finmath") is None
    benchmarks = ("finr1_finqa", "finr1_convfinqa", "finr1_fin_eva", "finr1_tfns", "finr1_finance_instruct")
    printed = {"Qwen2.5-7B-Instruct": 65.6, "Fin-R1-SFT": 71.9, "Fin-R1": 75.2, "DeepSeek-R1": 78.2}
    for source in ("arXiv:2503.16252v1", "README"):
        rows = [row for name in benchmarks if (each := published(name)) for row in each["scores"]]
        here = [row for row in rows if any(source in where for where in row["sources"])]
        for model, average in printed.items():  # the averages that both sources print, to a tenth
            scores = [row["score"] for row in here if row["model"] == model]
            assert len(scores) == 5
            assert math.isclose(100 * sum(scores) / 5, average, abs_tol=0.11)
    finqa = published("finr1_finqa")
    assert finqa is not None and all(len(row["sources"]) == 2 for row in finqa["scores"])
    instruct = published("finr1_finance_instruct")
    assert instruct is not None
    assert [row["score"] for row in instruct["scores"] if row["model"] == "Fin-R1-SFT"] == [0.614, 0.61]


def test_finqa_stands_beside_the_published_scores_and_long_pages_are_clipped(tmp_path: Path) -> None:
    content = [row(0, "3", source="finqa")]
    page = "begin" + 50_000 * "表" + "end"
    content[0]["prompt"] = [{"role": "user", "content": page}]
    with serve(Golds(content)) as server:
        settings = recipe(tmp_path / "out", write_set(tmp_path / "test", content), server.url)
        finqa = SetSpec(benchmark="finr1_finqa", path=tmp_path / "test", subset="finmath")
        settings = settings.model_copy(update={"sets": [finqa]})
        run_one(settings, settings.models[0])
    summary, html = report(tmp_path / "out", tmp_path / "report")
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    sources = "arXiv:2503.16252v1, table 2; github.com/SUFE-AIFLM-Lab/Fin-R1, README"
    assert f"| Fin-R1 | 76.0% | Published, other harness: {sources}" in markdown
    assert html.count(sources) == 4 and html.count('lang="zh">已发表的结果（其他评测框架）') == 5
    (example,) = summary["examples"]["finmath"]["m"]
    assert example["prompt"].startswith("begin") and example["prompt"].endswith("end")
    assert "[... 30,008 characters ...]" in example["prompt"] and len(html) < 100_000


def test_names_in_chinese_are_drawn_by_the_browser(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with serve(Golds(CONTENT[:3])) as server:
        settings = recipe(tmp_path / "输出", write_set(tmp_path / "test", CONTENT[:3]), server.url, names=("模型甲",))
        run_one(settings, settings.models[0])
    _, html = report(tmp_path / "输出", tmp_path / "报告")
    chart = html[html.index("<svg") : html.index("</svg>")]
    assert ">模型甲</text>" in chart
    assert not [each for each in recwarn if "Glyph" in str(each.message)]


def test_the_answer_is_on_the_first_screen(evaluation: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    _, page = report(evaluation, tmp_path)
    probe = (
        "<script>const box = document.querySelector('.answer').getBoundingClientRect();"
        "const plot = document.querySelector('figure').getBoundingClientRect();"
        "document.title = `bottoms ${Math.round(box.bottom)} ${Math.round(plot.bottom)}`;</script></body>"
    )
    (tmp_path / "probed.html").write_text(page.replace("</body>", probe), encoding="utf-8")
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,900", "--dump-dom"]
    shown = subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "probed.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    ).stdout
    title = shown[shown.index("<title>") + 7 : shown.index("</title>")]
    sentence, chart = (int(number) for number in title.removeprefix("bottoms ").split())
    assert 0 < sentence < 300 and sentence < chart < 900
