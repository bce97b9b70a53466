"""The source `finqa`: questions on pages of US annual reports.

Formats: the official schema (Chen et al., EMNLP 2021), rows of `id`, `filename`, `pre_text`, `post_text`, `table` and
`qa` (`question`, `answer`, `exe_ans`, `program`); and the flat rows in which others pass it on, `id`, `question`,
`context`, `exe_ans` or `answer`, `program` and sometimes `table`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from distill.records import Question
from distill.sources.finqa_program import work_out
from distill.sources.finqa_scale import stated_scale
from distill.sources.rows import BadRow, Row
from distill.sources.tables import markdown

# Some answers end in a line break that was escaped once too often: a backslash (or several) and an n.
_STRAY_BREAK = re.compile(r"(?:\\+n|\s)+$")
_DIGIT = re.compile(r"\d")
_NUMBER = re.compile(r"-?\d*\.?\d+")


# Rows whose gold its users have shown to be wrong (the set's issue 15).
_WRONG = {"ANSS/2008/page_89.pdf-1"}
_NEAR = 300  # characters before a table in which "( in millions )" is said of it


def finqa(row: Row) -> Iterator[Question]:
    """The gold is `answer` where it is a number or yes/no, else `exe_ans`.

    Both, and the program, stay in `meta`, since they differ for about one row in ten and the check wants either;
    `meta["doubt"]` says so of rows that are not fit to be rewarded by, `meta["solution"]` is the gold program in plain
    arithmetic, `meta["doc"]` the report page, `meta["scale"]` the scale that the page states for the gold's figure.
    """
    yield _official(row) if row.has("qa") else _flat(row)


def _official(row: Row) -> Question:
    qa = row.get("qa")
    if not isinstance(qa, dict) or not str(qa.get("question") or "").strip():
        raise BadRow("no question")
    if not row.text("id") or not row.text("filename"):
        raise BadRow("no id or filename")
    before = " ".join(map(str, row.get("pre_text") or []))[-_NEAR:]
    return _question(row, qa, row.text("filename"), page(row), row.get("table"), before)


def _flat(row: Row) -> Question:
    if row.has("source_dataset") and row.text("source_dataset") != "finqa":
        raise BadRow("a row of another set")
    name, context = row.text("id"), row.text("context")
    document = name.rpartition("-")[0]
    if not document:
        raise BadRow("no id or filename")
    if not context:
        raise BadRow("no page")
    qa = {key: row.get(key) if row.has(key) else None for key in ("question", "answer", "exe_ans", "program")}
    if qa["exe_ans"] is None:  # passed on without it: the answer is the executed one, as text
        text, qa["answer"] = str(qa["answer"] or ""), None
        qa["exe_ans"] = float(text) if _NUMBER.fullmatch(text) else text
    table = row.get("table") if row.has("table") and isinstance(row.get("table"), list) else []
    return _question(row, qa, document, context, table, context.partition("\n|")[0][-_NEAR:])


def _question(row: Row, qa: dict[str, Any], document: str, context: str, table: list[Any], before: str) -> Question:
    answer = _STRAY_BREAK.sub("", str(qa.get("answer") or "")).strip()
    exe_ans, program = qa.get("exe_ans"), str(qa.get("program") or "")
    gold = answer if _usable(answer) else written_number(exe_ans)
    if not gold:
        raise BadRow("no usable gold")
    worth: dict[str, Any] = _worth(program, table, None if qa.get("answer") is None else answer, exe_ans, gold)
    if row.text("id") in _WRONG:
        worth = {"doubt": "its users have shown the gold to be wrong"}
    kind, question = answer_type(gold), str(qa["question"] or "")
    scalable = kind in ("number", "money") and "doubt" not in worth
    return row.question(
        question,
        gold,
        task="calculation",
        id=row.text("id"),
        context=context,
        answer_type=kind,
        doc=document,
        answer=answer,
        exe_ans=exe_ans,
        program=program,
        type="calculation",
        scale=stated_scale(program, table, before, context, question) if scalable else "",
        **worth,
    )


def page(row: Row) -> str:
    """The report page as running text, its table in the middle. Lines without a letter or digit are left-overs."""
    if not all(isinstance(row.get(key), list) for key in ("pre_text", "post_text", "table")):
        raise BadRow("no page")
    before, after = (
        "\n".join(line for line in map(str, row.get(key)) if any(character.isalnum() for character in line))
        for key in ("pre_text", "post_text")
    )
    table = markdown([cells for cells in row.get("table") if isinstance(cells, list)])
    return "\n\n".join(part for part in (before, table, after) if part)


def _usable(answer: str) -> bool:
    return bool(_DIGIT.search(answer)) or answer.lower() in ("yes", "no")


def written_number(exe_ans: Any) -> str:
    """An `exe_ans` as a person writes it: a number without an idle ".0", or yes/no."""
    if isinstance(exe_ans, str):
        return exe_ans.strip() if _usable(exe_ans.strip()) else ""
    if isinstance(exe_ans, int | float) and not isinstance(exe_ans, bool) and math.isfinite(exe_ans):
        return str(int(exe_ans)) if exe_ans == int(exe_ans) else repr(float(exe_ans))
    return ""


# The two golds often differ by a scale alone: a ratio and its percent, a plain number and its thousands or millions.
_SCALES = (1, 100, 1_000, 1_000_000, 1_000_000_000, 10, 0.1, 0.01, 0.001)
# Of the pairs that agree up to scale, all but a few are within 5%: "7%" stands for 0.0676, and some are cut, not rounded.
_SAME = 0.05


def _worth(program: str, table: list[Any], answer: str | None, exe_ans: Any, gold: str) -> dict[str, Any]:
    """`doubt` where the golds disagree; else `solution`, the gold program worked out, where it gives `exe_ans`.

    `answer` is None in rows that were passed on without it.
    """
    if answer is not None and (doubt := _doubt(answer, exe_ans)):
        return {"doubt": doubt}
    worked = work_out(program, table)
    if worked is None:
        return {}
    steps, result = worked
    if isinstance(result, str) or not isinstance(exe_ans, int | float):
        same = result == exe_ans
    else:
        same = math.isclose(result, exe_ans, rel_tol=1e-5, abs_tol=1e-5)  # exe_ans is rounded to five decimals
    return {"solution": f"{'; '.join(steps)}. The answer is {gold}."} if same else {}


def _doubt(answer: str, exe_ans: Any) -> str:
    """Why the gold may be wrong (about one row in thirteen); "" if the two golds agree up to scale and rounding."""
    if not _usable(answer):
        return "the answer is no number and no yes or no"
    number = _NUMBER.search(answer)
    if number is None or isinstance(exe_ans, str):
        return "" if answer.lower() == str(exe_ans).lower() else "answer and exe_ans differ"
    if not written_number(exe_ans):
        return "the program gives nothing"
    value, shown = float(number[0]), len(number[0].partition(".")[2])
    off = max(10.0**-shown, _SAME * abs(value))
    return "" if any(abs(value - exe_ans * scale) <= off for scale in _SCALES) else "answer and exe_ans differ"


def answer_type(gold: str) -> str:
    if gold.lower() in ("yes", "no"):
        return "boolean"
    if gold.endswith("%"):
        return "percent"
    return "money" if "$" in gold else "number"
