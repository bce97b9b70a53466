"""The rewards in TRL's signature, open-r1's names, and the bridges to other trainers."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from reward_plugins.bridges import for_easyr1, for_verl
from reward_plugins.completion import completion_text, parse
from reward_plugins.errors import Refused
from reward_plugins.rewards import (
    FinanceFormat,
    Repetition,
    SoftOverlong,
    finance_accuracy,
    finance_format,
    finance_format_opened,
    openr1,
)

RIGHT = "<think>a</think><answer>14.32%</answer>"
WRONG = "<think>a</think><answer>15%</answer>"


def test_accuracy_takes_every_shape_of_completion_and_meta() -> None:
    logged: dict[str, float] = {}
    meta = {"dataset": "finqa", "exe_ans": 0.14322, "answer": "14.32%"}
    scores = finance_accuracy(
        prompts=[[{"role": "user", "content": "What percent?"}]] * 5,
        completions=[
            RIGHT,
            [{"role": "assistant", "content": WRONG}],
            [{"role": "assistant", "content": "<answer>14.32</answer>", "reasoning_content": "a"}],
            [{"role": "assistant", "content": [{"type": "text", "text": "<answer>0.14322</answer>"}]}],
            "<think>never ends",
        ],
        completion_ids=[[1]] * 5,
        solution=["14.32%"] * 5,
        meta=[json.dumps(meta), meta, json.dumps(meta), meta, None],
        trainer_state=None,
        log_extra=None,
        log_metric=logged.__setitem__,
    )
    assert scores == [1.0, 0.0, 1.0, 1.0, 0.0]
    assert logged == {f"finance_accuracy/{state}": share for state, share in
                      {"correct": 0.6, "wrong": 0.2, "no_answer": 0.2, "undecided": 0.0}.items()}  # fmt: skip


def test_accuracy_is_none_where_only_a_judge_can_tell() -> None:
    assert finance_accuracy(completions=["<answer>the shareholders</answer>"], solution=["the Board of Directors"]) == [
        None
    ]
    assert finance_accuracy(completions=[], solution=[]) == []


def test_columns_beside_meta_count() -> None:
    choices = {"A": "FIFO", "B": "LIFO"}
    assert finance_accuracy(
        completions=["<answer>LIFO</answer>"], solution=["B"], meta=[json.dumps({"choices": choices})]
    ) == [1.0]
    assert finance_accuracy(completions=["<answer>LIFO</answer>"], solution=["B"], choices=[choices]) == [1.0]
    assert finance_accuracy(completions=["<answer>3.5亿元</answer>"], solution=["3.5"], unit=["亿元"]) == [1.0]


@pytest.mark.parametrize(
    ("text", "whole", "opened"),
    [
        (RIGHT, True, False),
        ("<think>\na\n</think>\n\n<answer>\nb\n</answer>\n", True, False),
        ("a</think><answer>b</answer>", False, True),
        ("<think></think><answer>b</answer>", False, False),
        ("<think> \n</think><answer>b</answer>", False, False),
        ("</think><answer>b</answer>", False, False),
        ("<think>a</think><answer></answer>", False, False),
        (RIGHT + " and more", False, False),
        ("so: " + RIGHT, False, False),
        (RIGHT + "<answer>14.32%</answer>", False, False),
        ("<think>a</think>so<answer>b</answer>", False, False),
        ("<think>a</think><think>b</think><answer>c</answer>", False, False),
        ("<think>a<answer>b</answer></think>", False, False),
        ("<answer>b</answer><think>a</think>", False, False),
        ("<think>a</think><answer>b", False, False),
        ("<think>a", False, False),
        ("", False, False),
    ],
)
def test_format_is_strict_and_told_who_opened_the_think_block(text: str, whole: bool, opened: bool) -> None:
    assert FinanceFormat(think_opened=False)(completions=[text]) == [float(whole)]
    assert finance_format_opened(completions=[text]) == [float(opened)]
    assert finance_format(completions=[text]) == [float(whole or opened)]


def test_a_server_that_returns_the_reasoning_apart_is_the_same_completion() -> None:
    message = [{"role": "assistant", "content": "<answer>b</answer>", "reasoning_content": "a"}]
    assert completion_text(message) == "<think>a</think><answer>b</answer>"
    assert FinanceFormat(think_opened=False)(completions=[message]) == [1.0]
    parsed = parse(completion_text(message))
    assert (parsed.reasoning, parsed.blocks, parsed.cut_off) == ("a", ("b",), False)


def test_soft_overlong_falls_from_0_to_minus_1() -> None:
    reward = SoftOverlong(100, 20)
    assert reward(completion_ids=[[0] * size for size in (10, 80, 90, 99, 100, 200)]) == pytest.approx(
        [0, 0, -0.5, -0.95, -1, -1]
    )


def test_repetition_counts_characters_in_chinese_and_words_in_english() -> None:
    reward = Repetition(ngram_size=3, max_penalty=-1.0)
    assert reward(completions=["the cat sat on the mat today", "三亿五千万元人民币", "a b"]) == [0.0, 0.0, 0.0]
    looped = reward(completions=["buy and hold " * 30, "先进先出法" * 30])
    assert all(score is not None and -1 < score < -0.9 for score in looped)
    with pytest.raises(ValueError, match="above 0"):
        Repetition(max_penalty=1)


def test_open_r1_names_give_its_shapes() -> None:
    made = {
        name: openr1.reward(name, cosine_max_len=100, max_completion_len=100, soft_punish_cache=20)
        for name in openr1.NAMES
    }
    columns = {
        "completions": [RIGHT, WRONG],
        "solution": ["14.32%"] * 2,
        "completion_ids": [[0] * 90, [0] * 10],
        "prompts": ["q"] * 2,
    }
    assert made["accuracy"](**columns) == [1.0, 0.0]
    assert made["format"](**columns) == [1.0, 1.0]
    assert made["tag_count"](**columns) == [1.0, 1.0]
    assert made["tag_count"](completions=["a</think><answer>b</answer>"]) == [0.75]
    assert made["soft_overlong_punishment"](**columns) == [-0.5, 0.0]
    right, wrong = made["cosine"](**columns)
    assert 0.5 < right <= 1.0 and -0.5 <= wrong <= 0.0
    assert made["cosine"](completions=["<answer>5</answer>" + " " * 500], solution=["5"]) == pytest.approx([0.5])
    assert made["reasoning_steps"](
        completions=["Step 1: a\nStep 2: b\nStep 3: c", "首先甲，其次乙", "none"]
    ) == pytest.approx([1, 2 / 3, 0])
    longer = "<think>" + "a" * 50 + "</think><answer>14.32%</answer>"
    assert made["length"](completions=[RIGHT, longer, WRONG], solution=["14.32%"] * 3) == pytest.approx(
        [0.5 - 2 / 51, -0.5, 0.0], abs=0.05
    )
    with pytest.raises(Refused, match="did you mean 'cosine'"):
        openr1.reward("cosin")


def test_verl_and_easyr1_get_their_documented_shapes() -> None:
    score = for_verl.compute_score("finqa", RIGHT, "14.32%", {"question": "What percent?", "meta": "{}"})
    assert score == {"score": 1.0, "acc": 1.0, "undecided": 0.0}
    assert for_verl.compute_score("finqa", "<answer>x</answer>", "accrual basis")["undecided"] == 1.0
    inputs = [
        {"response": RIGHT, "ground_truth": "14.32%"},
        {"response": "<answer>15%</answer>", "ground_truth": "14.32%"},
    ]
    assert for_easyr1.compute_score(inputs) == [
        {"overall": 1.0, "accuracy": 1.0, "format": 1.0},
        {"overall": 0.0, "accuracy": 0.0, "format": 0.0},
    ]
    assert (for_easyr1.REWARD_NAME, for_easyr1.REWARD_TYPE) == ("finance", "batch")


def test_openrlhf_gets_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is in the training stacks")
    from reward_plugins.bridges.for_openrlhf import reward_func

    reply = reward_func([f"What percent?{RIGHT}", f"What percent?{WRONG}"], ["What percent?"] * 2, ["14.32%"] * 2)
    assert torch.equal(reply["rewards"], torch.tensor([1.0, 0.0]))


def test_open_r1_finds_the_kit_s_rewards(monkeypatch: pytest.MonkeyPatch) -> None:
    from reward_plugins.bridges import for_open_r1

    def theirs(script_args: SimpleNamespace) -> list[object]:
        return [{"format": "format itself"}[name] for name in script_args.reward_funcs]

    module = SimpleNamespace(get_reward_funcs=theirs)
    monkeypatch.setitem(sys.modules, "open_r1", SimpleNamespace(rewards=module))
    monkeypatch.setitem(sys.modules, "open_r1.rewards", module)
    for_open_r1.install()
    arguments = SimpleNamespace(reward_funcs=["finance_accuracy", "format"])
    assert module.get_reward_funcs(arguments) == [finance_accuracy, "format itself"]
    assert arguments.reward_funcs == ["finance_accuracy", "format"]


def test_the_verifier_needs_the_standard_library_only() -> None:
    code = (
        "import sys; before = set(sys.modules); from reward_plugins import verify, explain; import reward_plugins.golds;"
        "print({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "{'reward_plugins'}"
