"""Sets of instructions and conversations: Finance-Instruct-500k, FinanceQT, DianJin-R1-Data, DISC-FinLLM, one's own.

Forms: Alpaca (`instruction`, `input`, `output`, `history`), ShareGPT (`conversations` of `from` and `value`, or
`messages` of `role` and `content`), and plain question and answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from distill.records import Question
from distill.sources.rows import BadRow, Row, answered, document_of, written
from reward_plugins.completion import completion_text


def finance_instruct(row: Row) -> Iterator[Question]:
    """Finance-Instruct-500k: columns system, user, assistant. The system prompt is generic, and a recipe has its own."""
    gold, solution = answered(row.text("assistant"))
    yield row.question(row.text("user"), gold, task="instruction", solution=solution)


def financeqt(row: Row) -> Iterator[Question]:
    """FinanceQT (Quant-Trading-Instruct): columns question, answer (text and code), context (what the row is about)."""
    context = row.text("context") if row.has("context") else ""
    question = row.text("question")
    yield row.question(
        question, row.text("answer"), task="quant", context=context, answer_type="text", doc=document_of("", question)
    )


def dianjin(row: Row) -> Iterator[Question]:
    """DianJin-R1-Data: instruction and output, with the reasoning in <think> and the answer in <answer> and a box."""
    part = row.file.rpartition("/")[2]  # of the set's three files; from the hub it is the split
    yield instruction(row, task=part if part.startswith(("cflue", "fin")) else "exam")


_STEPS = re.compile(r"(?P<steps>.*=)\s*(?P<value>-?[\d.,]+\s*(?:%|倍|[万亿]?元|[万亿])?)\s*[。.]?", re.DOTALL)


def disc_finllm(row: Row) -> Iterator[Question]:
    """DISC-FinLLM: Alpaca rows; of `computing_eval` the output is a sum whose last value is the gold."""
    if "computing_eval" in row.file and (worked := _STEPS.fullmatch(row.text("output"))):
        yield row.question(row.text("instruction"), worked["value"], task="computing", solution=row.text("output"))
    else:
        yield instruction(row, task=row.file.rpartition("/")[2].removesuffix("_part"))


Column = Literal[
    "question", "answer", "context", "choices", "id", "doc", "solution", "unit", "scale", "task", "type",
    "A", "B", "C", "D", "E", "F", "G", "H",
    "instruction", "input", "output", "history", "system", "conversations", "messages",
]  # fmt: skip
"""The columns that `own` knows."""


def own(
    row: Row,
    *,
    form: Literal["alpaca", "sharegpt", "question"] | None = None,
    columns: dict[Column, str] | None = None,
    task: str = "own",
    lang: Literal["zh", "en"] | None = None,
    answer_type: str = "",
    labels: list[str] | None = None,
    licence: str = "not stated",
) -> Iterator[Question]:
    """One's own rows in one of the three forms; which, is seen from the columns unless `form` says so.

    `columns` names the file's columns for the kit's, as `{question: 题目, answer: 答案}`. Those of the question form:
    question, answer, and where there are any context, choices (or A, B, ...), id, doc, solution, unit, scale, task, type.
    """
    row = row.renamed(columns or {})
    if form == "sharegpt" or (form is None and (row.has("conversations") or row.has("messages"))):
        found = conversation(row, task, answer_type)
    elif form == "alpaca" or (form is None and _is_alpaca(row)):
        found = instruction(row, task, answer_type)
    else:
        extra = {key: row.text(key) for key in _OPTIONAL if row.has(key)}
        choices = row.get("choices") if row.has("choices") else row.options("ABCDEFGH")
        found = row.question(
            row.text("question"),
            row.get("answer"),
            choices=choices,
            labels=labels,
            lang=lang,
            answer_type=answer_type,
            id=row.own_id(),
            **{"task": task, **extra},
        )
    yield found.model_copy(update={"licence": licence, "lang": lang or found.lang})


def _is_alpaca(row: Row) -> bool:
    """Whether the columns are Alpaca's; the instruction may be empty, with what is asked in the input."""
    return row.has("instruction") or (
        isinstance(row.value, Mapping) and "instruction" in row.value and not row.has("question")
    )


_OPTIONAL = ("context", "doc", "solution", "unit", "scale", "task", "type")


def instruction(row: Row, task: str, answer_type: str = "") -> Question:
    """An Alpaca row; `system`, the `history` (pairs of question and answer) and its `input` are the context."""
    past = (row.get("history") if row.has("history") else None) or []
    if isinstance(past, str):
        past = _json_list(past)
    if not isinstance(past, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in past):
        raise BadRow("the history is no list of pairs of question and answer")
    turns = [(written(asked), written(told)) for asked, told in past]
    given = row.text("input") if row.has("input") else ""
    gold, solution = answered(row.text("output"))
    question = row.text("instruction")
    if not question:  # some sets keep what is asked in the input, and say nothing beside it
        question, given = given, ""
    return row.question(
        question,
        gold,
        task=task,
        id=row.own_id(),
        context="\n\n".join(part for part in (_system(row), history(turns, question), given) if part),
        answer_type=answer_type,
        doc=document_of("", turns[0][0]) if turns else "",
        solution=solution,
    )


# As ShareGPT, OpenAI, Gemini and the sets made after them name who speaks; in any case of letters.
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "agent": "assistant",
          "bot": "assistant", "chatgpt": "assistant", "model": "assistant", "system": "system",
          "developer": "system"}  # fmt: skip


def conversation(row: Row, task: str, answer_type: str = "") -> Question:
    """A ShareGPT row: the last answer is the gold, the question before it the question, what was said before the context.

    A message may be a list of parts, and may have its reasoning apart. All conversations that begin alike are one
    document; one in which tools are called is left out.
    """
    said = row.get("conversations") if row.has("conversations") else row.get("messages")
    messages = _json_list(said) if isinstance(said, str) else said
    if not isinstance(messages, Sequence) or not all(isinstance(message, dict) for message in messages):
        raise BadRow("the conversation is no list of messages")
    turns: list[tuple[str, str]] = []
    for message in messages:
        role = _ROLES.get(str(message.get("from", message.get("role"))).lower())
        if role is None:
            raise BadRow("the conversation has a message of an unknown role")
        content = message.get("value", message.get("content"))
        plain = "value" in message or not isinstance(content, str | list | None)
        turns.append((role, written(content) if plain else completion_text([message])))
    system = "\n\n".join([_system(row), *(text for role, text in turns if role == "system")]).strip()
    turns = [turn for turn in turns if turn[0] != "system"]
    if [role for role, _ in turns] != ["user", "assistant"] * (len(turns) // 2) or not turns:
        raise BadRow("the conversation is not question and answer in turn")
    pairs = [(turns[at][1], turns[at + 1][1]) for at in range(0, len(turns), 2)]
    question, (gold, solution) = pairs[-1][0], answered(pairs[-1][1])
    return row.question(
        question,
        gold,
        task=task,
        id=row.own_id(),
        context="\n\n".join(part for part in (system, history(pairs[:-1], question)) if part),
        answer_type=answer_type,
        doc=document_of("", pairs[0][0]),
        solution=solution,
    )


_BEFORE = {"en": ("Earlier in this conversation:", "Q: ", "A: "), "zh": ("此前的对话：", "问：", "答：")}


def history(pairs: Sequence[tuple[str, str]], question: str) -> str:
    """What was asked and answered before a question, as text in the question's language; "" if nothing was."""
    if not pairs:
        return ""
    head, ask, answer = _BEFORE["zh" if any("\u4e00" <= letter <= "\u9fff" for letter in question) else "en"]
    return "\n".join([head, *(line for asked, told in pairs for line in (ask + asked, answer + told))])


def _system(row: Row) -> str:
    """What a row tells the assistant beforehand; it belongs to the question, as each row may have another."""
    return row.text("system") if row.has("system") else ""


def _json_list(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, list):
        raise BadRow("a list stands as text that is no JSON")
    return value
