"""One completion, one outcome: the three states and their causes."""

from __future__ import annotations

import pytest

from eval_adapters.rows import Asked
from eval_adapters.scoring import (
    CUT,
    DECLINED,
    EMPTY,
    IN_REASONING,
    NO_FINAL,
    join_reasoning,
    macro_f1,
    official_value,
    score,
)
from reward_plugins import verify

ROW = Asked(id="q", lang="en", question="What is the margin?", gold="25", answer_type="number")


@pytest.mark.parametrize(
    ("response", "stop_reason", "status", "cause", "well_formed"),
    [
        ("<think>a</think><answer>25</answer>", "stop", "correct", "", True),
        ("a</think><answer>25</answer>", "stop", "correct", "", True),  # the template opened the block
        ("<answer>25</answer>", "stop", "correct", "", False),
        ("Sure! <think>a</think><answer>25</answer>", "stop", "correct", "", False),
        ("<think></think><answer>25</answer>", "stop", "correct", "", False),
        ("<think>a</think><answer>26</answer>", "stop", "wrong", "", True),
        ("<think>it is 25", "stop", "no_answer", IN_REASONING, False),
        ("", "stop", "no_answer", EMPTY, False),
        ("<think>a</think>", "stop", "no_answer", NO_FINAL, False),
        # Cut by the token limit: only a closed answer block is an answer.
        ("<think>it is 25", "max_tokens", "no_answer", CUT, False),
        ("<think>a</think><answer>25", "max_tokens", "no_answer", CUT, False),
        ("so it is 25 and then", "max_tokens", "no_answer", CUT, False),
        ("<think>a</think><answer>25</answer> and mor", "max_tokens", "correct", "", False),
        # The text is the server's: whatever number it holds, nobody answered.
        ("maximum context length is 25 tokens", "model_length", "error", "prompt longer than the context", False),
        ("<answer>25</answer>", "content_filter", "error", "content filter", False),
    ],
)
def test_states(response: str, stop_reason: str, status: str, cause: str, well_formed: bool) -> None:
    outcome = score(response, stop_reason, ROW)
    assert (outcome.status, outcome.cause, outcome.well_formed) == (status, cause, well_formed)


def test_only_errors_are_in_no_rate() -> None:
    assert score("", "model_length", ROW).metrics() == {}
    assert score("", "stop", ROW).metrics() == {
        "accuracy": 0.0,
        "strict_accuracy": 0.0,
        "lenient_accuracy": 0.0,
        "format_rate": 0.0,
        "no_answer_rate": 1.0,
    }
    lenient = score("<answer>25</answer>", "stop", ROW).metrics()
    assert (lenient["accuracy"], lenient["strict_accuracy"]) == (1.0, 0.0)


def test_what_the_rule_cannot_decide_is_left_to_a_judge_and_in_no_rate() -> None:
    words = ROW.model_copy(update={"gold": "because rates rose", "answer_type": "text"})
    response = "<think>a</think><answer>since the rates went up</answer>"
    assert verify(response, words.gold).status == "undecided"
    outcome = score(response, "stop", words)
    assert (outcome.status, outcome.strict_status, outcome.metrics()) == ("undecided", "undecided", {})


def test_the_verifier_gets_the_question_and_the_meta_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def spy(response: str, gold: str, question: str, meta: dict[str, object]) -> object:
        seen.update(response=response, gold=gold, question=question, meta=meta)
        return verify(response, gold)

    monkeypatch.setattr("eval_adapters.scoring.verify", spy)
    meta = {"exe_ans": 25, "dataset": "finqa"}
    score("<answer>25</answer>", "stop", ROW.model_copy(update={"meta": meta}))
    assert seen == {"response": "<answer>25</answer>", "gold": "25", "question": ROW.question, "meta": meta}


def test_reasoning_sent_apart_is_the_same_completion() -> None:
    assert join_reasoning("a", "<answer>25</answer>", cut=False) == "<think>a</think><answer>25</answer>"
    assert join_reasoning("", "<answer>25</answer>", cut=False) == "<answer>25</answer>"
    assert join_reasoning("still thinking", "", cut=True) == "<think>still thinking"


@pytest.mark.parametrize(
    ("response", "status", "strict", "lenient"),
    [
        ("<think>a</think><answer>25</answer>", "correct", "correct", "correct"),
        ("<answer>25</answer>", "correct", "no_answer", "correct"),
        ("<answer>26</answer>", "wrong", "no_answer", "wrong"),
        ("<think>a</think>Revenue is 100.\nSo the margin comes to 25", "no_answer", "no_answer", "correct"),
        ("<think>a</think>Revenue is 25.\nSo the margin comes to 26", "no_answer", "no_answer", "no_answer"),
        ("<think>a</think>Either 24, 25 or 26", "no_answer", "no_answer", "no_answer"),
        ("<think>so the margin comes to 25", "no_answer", "no_answer", "no_answer"),
    ],
)
def test_strict_and_lenient_stand_beside_the_headline(response: str, status: str, strict: str, lenient: str) -> None:
    outcome = score(response, "stop", ROW)
    assert (outcome.status, outcome.strict_status, outcome.lenient_status) == (status, strict, lenient)
    figures = outcome.metrics()
    assert figures["strict_accuracy"] <= figures["accuracy"] <= figures["lenient_accuracy"]


def test_what_a_model_declines_has_a_cause_of_its_own() -> None:
    assert score("<think>a</think><answer>N/A</answer>", "stop", ROW).cause == DECLINED


@pytest.mark.parametrize(
    ("answer", "exe_ans", "right"),
    [
        ("14.1%", 0.141, True),
        ("14.1%", 0.14136, False),  # FinQA's rule knows no rounding of a percentage
        ("$ 1,200.5", 1200.5, True),
        ("0.141361", 0.14136, True),
        ("14.136", 0.14136, False),  # nor a percentage without its sign
        ("yes", "yes", True),
        ("Yes", "yes", True),
        ("no", "yes", False),
        ("", "yes", False),
        ("1200 million", 1200, False),
    ],
)
def test_finqa_s_own_rule(answer: str, exe_ans: object, right: bool) -> None:
    assert official_value(answer, "as written", {"exe_ans": exe_ans}) is right


def test_finqa_s_own_rule_is_counted_beside_ours() -> None:
    row = ROW.model_copy(
        update={"gold": "14.14%", "meta": {"dataset": "finqa", "answer": "14.14%", "exe_ans": 0.14136}}
    )
    outcome = score("<think>a</think><answer>14.14%</answer>", "stop", row, official=True)
    assert (outcome.status, outcome.official) == ("correct", False)
    assert outcome.metrics()["execution_accuracy"] == 0.0


@pytest.mark.parametrize(
    ("said", "label"), [("bullish", "bullish"), ("bearish", "bearish"), ("it will rain", ""), ("", "")]
)
def test_the_class_that_is_named(said: str, label: str) -> None:
    meta = {"labels": {"0": "bearish", "1": "bullish", "2": "neutral"}, "dataset": "tfns"}
    row = ROW.model_copy(update={"question": "Bearish, bullish or neutral?", "gold": "bullish", "meta": meta})
    assert score(f"<think>a</think><answer>{said}</answer>", "stop", row, classes=True).label == label


def test_macro_f1_is_that_of_the_textbook() -> None:
    # Per class: a 2*2/(2*2+1+0)=0.8, b 2*1/(2*1+0+2)=0.5, c no hit 0; and what is no class is only missed.
    pairs = [("a", "a"), ("a", "a"), ("b", "b"), ("b", "a"), ("b", ""), ("c", "")]
    assert macro_f1(pairs) == pytest.approx((0.8 + 0.5 + 0.0) / 3)
    assert macro_f1([]) is None
    assert macro_f1([("a", "b"), ("b", "a")]) == 0.0
