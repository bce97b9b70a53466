"""TAT-QA and TAT-HQA: tables and paragraphs of annual reports, with several questions a page.

Golds are an answer and its scale: "1,496.5" and "million". A percentage is in points, unlike FinQA's ratios.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from distill.records import Question
from distill.sources.rows import BadRow, LeftOut, Row, document_of, each, written
from distill.sources.tables import markdown

# A question whose gold lost its sign (the set's issue 12); its derivation lost it, too.
_WRONG = {"c91ad938-6ad1-4481-8f6b-43ccd2f69926"}
_TYPES = {"span": "analysis", "multi-span": "analysis"}  # a look-up; all others are sums
_SCALES = ("", "thousand", "million", "billion", "percent")


def tatqa(row: Row) -> Iterator[Question | LeftOut]:
    """The questions of one page, which is `table`, `paragraphs` and `questions`.

    TAT-HQA stands on the tables of TAT-QA under other ids, so the table's text names the document for both.
    """
    table, paragraphs, questions = row.get("table"), row.get("paragraphs"), row.get("questions")
    if not isinstance(table, dict) or not isinstance(paragraphs, list) or not isinstance(questions, list):
        raise BadRow("no page")
    grid = markdown([cells for cells in table.get("table") or [] if isinstance(cells, list)])
    ordered = sorted(paragraphs, key=lambda paragraph: int(paragraph.get("order", 0)))
    context = "\n\n".join(part for part in (grid, *(written(each["text"]) for each in ordered)) if part)
    inner: Iterable[Row] = (row.inner(str(number), question) for number, question in enumerate(questions))
    yield from each(inner, partial(_question, context=context, doc=document_of(grid or context, "")))


def _question(row: Row, context: str, doc: str) -> Iterator[Question]:
    answer, scale, kind = row.get("answer"), row.text("scale"), row.text("answer_type")
    if scale not in _SCALES:
        raise BadRow("a scale that the set does not define")
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    yield row.question(
        row.text("question"),
        answer,
        task=kind,
        id=row.text("uid"),
        context=context,
        answer_type="percent" if scale == "percent" and not isinstance(answer, list) else "",
        doc=doc,
        doc_of="tatqa",
        scale=scale,
        derivation=row.text("derivation"),
        type=_TYPES.get(kind, "calculation"),
        doubt="its users have shown the gold to be wrong" if row.text("uid") in _WRONG else "",
    )
