"""One completion, one outcome: the three states and their causes."""

from __future__ import annotations

import pytest

from eval_adapters.rows import Asked
from eval_adapters.scoring import CUT, EMPTY, IN_REASONING, NO_FINAL, join_reasoning, score
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
