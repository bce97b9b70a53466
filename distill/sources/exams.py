"""Exam papers with choices: FinanceIQ, FinEval, Fin-Eva (Ant_Finance), CFLUE, FinCorpus's exam file and FinPEE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from distill.records import Question
from distill.sources.instructions import instruction
from distill.sources.rows import BadRow, Row


def financeiq(row: Row) -> Iterator[Question]:
    """FinanceIQ: a table for each of ten Chinese exams; columns Question, A-D, Answer."""
    yield row.question(row.text("Question"), row.text("Answer"), task=_subject(row), choices=row.options())


def fineval(row: Row) -> Iterator[Question]:
    """FinEval: a table for each of 34 subjects; `dev` has explanations, `test` no answers."""
    solution = row.text("explanation") if row.has("explanation") else ""
    subject = re.sub(r"_(?:dev|val|test)$", "", _subject(row))
    yield row.question(row.text("question"), row.text("answer"), task=subject, choices=row.options(), solution=solution)


def fin_eva(row: Row) -> Iterator[Question]:
    """Fin-Eva, the Ant part: a table for each task, named after it; some with a passage, some with 是/否 for a gold.

    Most rows of the published files are a blind test without an answer.
    """
    context = row.text("context") if row.has("context") else ""
    yield row.question(
        row.text("question"), row.text("answer"), task=_subject(row), context=context, choices=row.options("ABCDE")
    )


def cflue(row: Row) -> Iterator[Question]:
    """CFLUE: `knowledge` (one, several or true/false choices; golds such as "ACDE") and `application` (instructions)."""
    if row.has("instruction"):
        yield instruction(row, task=row.text("sub_task"))
        return
    yield row.question(
        row.text("question"),
        row.text("answer"),
        task=row.text("task"),
        choices=row.text("choices"),
        solution=row.text("analysis") if row.has("analysis") else "",
        exam=row.text("名称"),
    )


def finpee(row: Row) -> Iterator[Question]:
    """FinPEE, entrance exams for graduate study: columns question, answer, and where there are any A-D and analysis."""
    solution = row.text("analysis") if row.has("analysis") else ""
    yield row.question(
        row.text("question"), row.text("answer"), task="exam", choices=row.options("ABCDE"), solution=solution
    )


_ANSWER = re.compile(r"\n\s*(?:正确|参考|标准)?答案\s*[:：]\s*")
_EXPLANATION = re.compile(r"\n\s*(?:分析解释|答案解析|解析|分析|解释)\s*[:：]\s*")
_CHOICE = re.compile(r"\n\s*([A-H])\s*[、.．:：]\s*")
_NUMBERED = re.compile(r"^\s*\d{1,4}\s*[、.．]\s*")


def fincorpus(row: Row) -> Iterator[Question]:
    """FinCorpus, `fin_exam`: one column `text`, in which the stem, the choices, 答案 and 分析解释 follow each other.

    The corpus's other files (announcements, news, articles) hold no question.
    """
    asked, *rest = _ANSWER.split("\n" + row.text("text"), maxsplit=1)
    if not rest:
        raise BadRow("no exam question: the text has no 答案")
    gold, *explained = _EXPLANATION.split(rest[0], maxsplit=1)
    stem, *pieces = _CHOICE.split(asked)
    choices = dict(zip(pieces[::2], (piece.strip() for piece in pieces[1::2]), strict=True))
    yield row.question(
        _NUMBERED.sub("", stem.strip()),
        re.sub(r"[\[\]\"'\s]", "", gold) if choices else gold,
        task="exam",
        choices=choices,
        solution=explained[0].strip() if explained else "",
    )


def _subject(row: Row) -> str:
    return row.file.rpartition("/")[2]
