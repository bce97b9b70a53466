"""The routing rule on labelled questions, and on real finance questions that nobody wrote for it."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from command import finr1
from versions_behind import KEY, need_haproxy

from launch import recipe
from launch.gateway.measure import OURS, ask_routes, measure
from launch.gateway.settings import GatewaySettings
from launch.paths import KIT
from reward_plugins.errors import Refused

SHIPPED = KIT / "recipes" / "gateway" / "ab.yaml"
SHARED = KIT.parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)


@pytest.fixture
def shipped() -> GatewaySettings:
    return recipe.settings(GatewaySettings, recipe.load(str(SHIPPED), []))


def test_the_documented_accuracy_is_what_the_command_measures(tmp_path: Path) -> None:
    done = finr1("gateway", SHIPPED, "measure", home=KIT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["by"]["half=measured"]
    told = re.search(r"right on (\d+) of the (\d+) questions", (KIT / "docs/gateway.md").read_text(encoding="utf-8"))
    assert told and [int(number) for number in told.groups()] == [found["right"], found["n"]]
    assert found["interval"][0] > 0.85


def test_the_labelled_set_is_what_its_page_says() -> None:
    rows = [json.loads(line) for line in OURS.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len({row["question"] for row in rows}) == len({row["id"] for row in rows}) == 326
    assert Counter(row["lang"] for row in rows) == {"en": 160, "zh": 166}
    assert Counter(row["script"] for row in rows)["traditional"] == 18
    for lang in ("en", "zh"):
        for label in ("finance", "other"):
            for hard in (True, False):
                halves = Counter(r["half"] for r in rows if (r["lang"], r["label"], r["hard"]) == (lang, label, hard))
                assert min(halves["written"], halves["measured"]) >= 17


def test_ones_own_file_is_measured_and_a_broken_one_refused(shipped: GatewaySettings, tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(
        '{"question": "净利润是多少？", "label": "finance"}\n{"question": "net profit?", "label": "other"}\n',
        encoding="utf-8",
    )
    found = measure(shipped, file)
    assert (found["n"], found["right"], found["misses"]) == (2, 1, ["other: net profit?"])
    file.write_text('{"question": "a", "label": "sport"}\n', encoding="utf-8")
    with pytest.raises(Refused, match=r"own.jsonl:1"):
        measure(shipped, file)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data")
def test_real_finance_questions_go_to_the_tuned_model(shipped: GatewaySettings) -> None:
    """Exam questions and questions on filings by themselves (the odd ones: the even ones had their words in the rule),
    and with the page that they ask about before them, as the tuned model is asked."""
    exam = json.loads((SHARED / "cflue" / "knowledge_dev40.json").read_text(encoding="utf-8"))[1::2]
    talks = json.loads((SHARED / "convfinqa" / "pot_convfinqa_dev80.json").read_text(encoding="utf-8"))
    filings = json.loads((SHARED / "tatqa" / "tatqa_dataset_dev.json").read_text(encoding="utf-8"))[1::2]
    asked = {
        "exam": [row["question"] for row in exam],
        "talks": [row["questions"][0] for row in talks],
        "filings": [row["question"] for filing in filings for row in filing["questions"]],
        "with its page": [f"{row['text']}\n{row['questions'][0]}" for row in talks],
    }
    recall = {}
    for name, questions in asked.items():
        routes = ask_routes(shipped, questions)
        recall[name] = routes.count("finance") / len(routes)
        assert set(routes) <= {"finance", "other"}
    print(recall)
    assert recall["with its page"] == 1.0
    assert recall["exam"] > 0.80 and recall["talks"] > 0.90 and recall["filings"] > 0.83
