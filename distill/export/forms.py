"""The rows of a set: what LLaMA-Factory, TRL and EvalScope read, made of a question and what was answered to it."""

from __future__ import annotations

import json
from typing import Any

from distill.dataset_info import Form
from distill.prompts import messages, user_message
from distill.questions import check_meta
from distill.records import Question, Trace
from distill.reply import completion


def sft_row(trace: Trace, question: Question, system: str, form: Form) -> dict[str, Any]:
    """One answer to learn. `id` is the trace's; `system` is "" for none."""
    answer = completion(trace.reasoning, trace.answer)
    if form == "alpaca":
        return {"id": trace.id, "system": system, **_instruction(question), "output": answer}
    return {"id": trace.id, "system": system, "conversations": [_human(question), _gpt(answer)]}


def dpo_row(chosen: Trace, rejected: Trace, question: Question, system: str, form: Form) -> dict[str, Any]:
    """A right and a wrong answer to one question, in the ranking form. `id` names both traces."""
    good, bad = completion(chosen.reasoning, chosen.answer), completion(rejected.reasoning, rejected.answer)
    head = {"id": f"{chosen.id}||{rejected.id}", "system": system}
    if form == "alpaca":
        return {**head, **_instruction(question), "chosen": good, "rejected": bad}
    return {**head, "conversations": [_human(question)], "chosen": _gpt(good), "rejected": _gpt(bad)}


def grpo_row(question: Question, system: str) -> dict[str, Any]:
    """TRL's conversational form with the columns that the rewards read; `meta` is a JSON string."""
    return {
        "prompt": messages(question, system),
        "solution": question.gold,
        "id": question.id,
        "question": question.question,
        "meta": json.dumps(check_meta(question), ensure_ascii=False),
    }


def test_row(question: Question, system: str) -> dict[str, Any]:
    """The question, the prompt to send as it stands, and in `meta` all that the check is told."""
    return {**question.model_dump(), "meta": check_meta(question), "prompt": messages(question, system)}


def _instruction(question: Question) -> dict[str, str]:
    # LLaMA-Factory joins both by one line break; with all in the first, the string is that of every other form.
    return {"instruction": user_message(question), "input": ""}


def _human(question: Question) -> dict[str, str]:
    return {"from": "human", "value": user_message(question)}


def _gpt(text: str) -> dict[str, str]:
    return {"from": "gpt", "value": text}
