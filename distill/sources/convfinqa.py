"""ConvFinQA: dialogues on FinQA's report pages; each turn is a question, with what was asked and answered before it."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from distill.records import Question
from distill.sources.finqa import answer_type, page, written_number
from distill.sources.instructions import history
from distill.sources.rows import BadRow, LeftOut, Row, each
from distill.sources.tables import markdown

_PAGE = re.compile(r"(?:Single_|Double_)?(?P<page>[^/]+/\d{4}/page_\d+\.pdf)")
_WORKED = re.compile(r"\(| [-+*/<>] ")  # a program that does more than look a figure up
# Turns whose gold its users have shown to be wrong (the set's issue 5), by page and turn.
_WRONG = {("AOS/2004/page_11.pdf", 0), ("VLO/2018/page_25.pdf", 0)}


def convfinqa(row: Row) -> Iterator[Question | LeftOut]:
    """The turns of a dialogue, in the set's own schema (`annotation`) or flattened with a Python snippet for each turn.

    A file of single turns gives the last one of each row. Golds are executed programs, so that a percentage is a
    ratio. A turn whose gold cannot be had is left out, and the history of the later ones says so.
    """
    found = _PAGE.match(row.text("id"))
    if found is None:
        raise BadRow("an id that names no report page")
    context, questions, golds, programs, first = (_official if row.has("annotation") else _flat)(row)
    if not questions or not len(questions) == len(golds) == len(programs):
        raise BadRow("not one gold for each question")
    told = [(question, gold or "?") for question, gold in zip(questions, golds, strict=True)]
    turns = (row.inner(str(turn), (turn, context, told, programs[turn])) for turn in range(first, len(questions)))
    yield from each(turns, lambda inner: _turn(inner, row.text("id"), found["page"]))


def _turn(row: Row, name: str, page_name: str) -> Iterator[Question]:
    turn, context, told, program = row.value
    question, gold = told[turn]
    if gold == "?":
        raise BadRow("no gold")
    before = history(told[:turn], question)
    yield row.question(
        question,
        gold,
        task="calculation",
        id=f"{name}/{turn}",
        context="\n\n".join(part for part in (context, before) if part),
        answer_type=answer_type(gold),
        doc=page_name,
        doc_of="finqa",
        turn=turn,
        type="calculation" if _WORKED.search(program) else "analysis",
        exe_ans=gold if gold in ("yes", "no") else float(gold),
        doubt="its users have shown the gold to be wrong" if (page_name, turn) in _WRONG else "",
    )


Dialogue = tuple[str, list[str], list[str], list[str], int]
"""Context, questions, golds and programs of a dialogue, and the first turn that is wanted."""


def _official(row: Row) -> Dialogue:
    notes = row.get("annotation")
    questions = notes.get("dialogue_break") or notes.get("cur_dial")
    golds = notes.get("exe_ans_list")
    if not isinstance(questions, list) or not isinstance(golds, list):
        raise BadRow("no dialogue")
    first = notes.get("turn_ind", 0)
    upto = first + 1 if "turn_ind" in notes else len(questions)
    asked = [str(question).strip() for question in questions[:upto]]
    programs = [str(program) for program in (notes.get("turn_program") or [""] * upto)[:upto]]
    return page(row), asked, [written_number(gold) for gold in golds[:upto]], programs, first


def _flat(row: Row) -> Dialogue:
    questions, programs = row.get("questions"), row.get("programs")
    if not isinstance(questions, list) or not isinstance(programs, list) or not programs:
        raise BadRow("no dialogue")
    golds = [written_number(work_out(program)) for program in programs[:-1]] + [written_number(row.get("answer"))]
    table = markdown([line.split(" | ") for line in row.text("table").splitlines()])
    return "\n\n".join(part for part in (row.text("text"), table) if part), questions, golds, [*map(str, programs)], 0


_OPERATIONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Gt: operator.gt,
    ast.Lt: operator.lt,
}
_PERCENT = re.compile(r"(\d)%")
_LONGEST = 400  # the set's longest snippet has 150 characters


def work_out(program: object) -> float | str | None:
    """The value of `ans` after a snippet such as "x0 = 60.94 - 25.14; ans = x0 / 25.14"; None where it has none.

    Only assignments of sums, products and comparisons are followed; nothing is executed.
    """
    names: dict[str, Any] = {}
    try:
        if len(str(program)) > _LONGEST:
            return None
        for statement in ast.parse(_PERCENT.sub(r"\1 / 100", str(program)).replace("; ", "\n")).body:
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
                return None
            names[statement.targets[0].id] = _value(statement.value, names)
        answer = names["ans"]
    except (ArithmeticError, KeyError, RecursionError, SyntaxError, TypeError, ValueError):
        return None
    if isinstance(answer, bool):
        return "yes" if answer else "no"
    return round(float(answer), 5)  # as FinQA's own executed answers


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, names)
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _OPERATIONS[type(node.ops[0])](_value(node.left, names), _value(node.comparators[0], names))
    raise ValueError(ast.dump(node))
