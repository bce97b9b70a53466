"""GRPO beside a judge: TRL's trainer goes on whatever becomes of the judge, and its log says which it was."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from command import finr1
from places import HERE, free_port, new_home

from launch import stacks
from launch.engine import environment
from reward_plugins import verify
from reward_plugins.judge import OUTCOMES

sys.path.insert(0, str(HERE.parent / "reward_plugins"))

from judge_server import judging

RECIPE = HERE / "recipes" / "judged_grpo.yaml"
# Two replies to each question, neither of them the gold's words: the test's judge takes the first and refuses the second.
ROWS = [
    ("Which basis does the firm use?", "accrual basis", ["accrual accounting", "cash accounting"]),
    ("How is the inventory valued?", "weighted average cost", ["weighted mean price", "latest invoice price"]),
    ("What is depreciated evenly?", "straight-line equipment", ["equipment lease", "goodwill impairment"]),
    ("Who approves the dividend?", "shareholders in general meeting", ["shareholders together", "managers alone"]),
]


def _prompt(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}]


def _reply(answer: str) -> str:
    return f"<think>I recall it.</think><answer>{answer}</answer>"


@pytest.fixture(scope="module")
def answering_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers that know the replies of `ROWS` by heart."""
    out = tmp_path_factory.mktemp("models") / "answering"
    talks = [
        [*_prompt(question), {"role": "assistant", "content": _reply(answer)}]
        for question, _, answers in ROWS
        for answer in answers
    ]
    words = [stacks.python("rl"), HERE / "teach_tiny_model.py", tiny_model, out]
    subprocess.run(words, input=json.dumps(talks).encode(), check=True, env=environment(None), capture_output=True)
    return out


def _trained(model: Path, folder: Path, url: str) -> list[dict[str, Any]]:
    """Two steps beside the judge at that address; what TRL logged for each."""
    home = new_home(folder, free_port())
    data = home / "datasets" / "judged"
    data.mkdir(parents=True)
    rows = [{"prompt": _prompt(question), "question": question, "solution": gold} for question, gold, _ in ROWS]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    judge = {"FINR1_JUDGE_URL": url, "FINR1_JUDGE_MODEL": "judge", "FINR1_JUDGE_SECONDS": "1"}
    done = finr1("grpo", RECIPE, "--set", f"model_name_or_path={model}", home=home, **judge)
    assert done.returncode == 0, done.stderr[-3000:]
    assert any((home / "runs" / "judged").glob("*.safetensors"))
    state = json.loads((home / "runs" / "judged" / "trainer_state.json").read_text(encoding="utf-8"))
    return [step for step in state["log_history"] if "loss" in step]


def test_the_rules_leave_every_reply_to_the_judge() -> None:
    for question, gold, answers in ROWS:
        for answer in answers:
            assert verify(_reply(answer), gold, question).status == "undecided", answer


@pytest.mark.parametrize(
    ("manner", "logged"),
    [
        ("answers", {"correct", "wrong"}),
        ("babbles", {"unreadable"}),
        ("hangs", {"timeout"}),
        ("dead", {"unreachable"}),
    ],
)
def test_training_goes_on_and_the_log_says_what_the_judge_did(
    manner: str, logged: set[str], answering_model: Path, tmp_path: Path
) -> None:
    if manner == "dead":
        steps = _trained(answering_model, tmp_path / "home", f"http://127.0.0.1:{free_port()}/v1")
    else:
        with judging(manner) as judge:
            steps = _trained(answering_model, tmp_path / "home", judge.url)
            assert judge.requests, "the judge was never asked"
    assert len(steps) == 2
    happened: Counter[str] = Counter()
    for step in steps:
        assert math.isfinite(step["loss"]) and math.isfinite(step["grad_norm"])
        shares = {outcome: step[f"finance_judge/{outcome}"] for outcome in OUTCOMES}  # each is logged, 0 included
        happened.update(shares)
        asked = step["finance_judge/undecided"]
        assert asked == step["finance_accuracy/undecided"] > 0.5
        assert sum(shares.values()) == pytest.approx(asked), "each undecided row has one outcome"
        if manner == "answers":
            assert step["rewards/finance_judge/mean"] == pytest.approx(shares["correct"] / asked)
        else:
            assert step["rewards/finance_judge/mean"] is None, "no verdict is no reward of 0"
    assert {outcome for outcome, share in happened.items() if share} == logged
