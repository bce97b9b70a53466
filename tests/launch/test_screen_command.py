"""`finr1 screen` as a person runs it: with a judge, without one, and with one that is gone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import finr1
from judge_server import judging
from screen_cases import made_trace

from distill.journal import Journal
from distill.records import Question, write_records
from launch.paths import KIT


@pytest.fixture
def recipe(home: Path) -> Path:
    """One answer that the rule finds right and one that it leaves undecided; the tests say where the judge is."""
    questions = [
        Question(
            id=name,
            source="made",
            split="train",
            lang="en",
            task="t",
            question=text,
            gold=gold,
            answer_type="text",
            licence="x",
        )
        for name, text, gold in (
            ("a", "What is the margin?", "4%"),
            ("b", "How is the plant written off?", "straight-line depreciation"),
        )
    ]
    write_records(home / "questions.jsonl", questions)
    with Journal(home / "traces.jsonl") as out:
        out.append(made_trace(questions[0], "4%"))
        out.append(made_trace(questions[1], "straight linear write-off"))
    shutil.copy(KIT / "recipes" / "prompts" / "judge_reasoning.txt", home / "judge.txt")
    path = home / "screen.yaml"
    path.write_text(
        "questions: questions.jsonl\ntraces: traces.jsonl\nout: verdicts.jsonl\n"
        "judge: {base_url: URL, model: m, system_prompt: judge.txt, attempts: 1, timeout_s: 1}\n"
    )
    return path


def at(recipe: Path, url: str) -> None:
    recipe.write_text(recipe.read_text().replace("URL", url))


def test_with_a_judge_without_one_and_with_it_again(recipe: Path, home: Path) -> None:
    with judging("answers") as server:
        at(recipe, server.url)
        summary = json.loads(finr1("screen", recipe, home=home).stdout)
        assert (summary["kept"], summary["right_by"]) == (2, {"rule": 1, "judge": 1})
        assert json.loads(finr1("screen", recipe, home=home).stdout)["done"] == "already"
        alone = json.loads(finr1("screen", recipe, "--no-judge", home=home).stdout)
        assert (alone["kept"], alone["why"]) == (1, {"kept": 1, "undecided": 1}) and "judge" not in alone
        asked = len(server.requests)
        again = json.loads(finr1("screen", recipe, home=home).stdout)
        assert again["kept"] == 2 and len(server.requests) == asked


def test_a_judge_that_is_gone_is_one_sentence_and_exit_code_2(recipe: Path, home: Path) -> None:
    with judging("answers") as server:
        at(recipe, server.url)
    done = finr1("screen", recipe, home=home)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    # One trace, and the one that the rule decided, on which the judge is measured.
    assert "verdicts of the judge are missing: 2; traces not kept for want of one: 1" in said, said
    assert "nothing answers at" in said and said.count("finr1: ") == 1
    assert json.loads((home / "verdicts.jsonl").read_text().splitlines()[1])["keep"] is False


def test_a_key_that_no_judge_has_is_refused_with_a_suggestion(recipe: Path, home: Path) -> None:
    at(recipe, "http://127.0.0.1:9/v1")
    done = finr1("screen", recipe, "--set", "judge.check_row=3", home=home)
    assert done.returncode == 2 and "check_rows" in done.stderr
