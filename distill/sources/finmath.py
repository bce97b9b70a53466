"""The source `finmath`: finance problems made by program, with computed golds and worked solutions."""

from __future__ import annotations

from collections.abc import Iterator

from distill.finmath import generate
from distill.records import Question


def read(
    *,
    split: str,
    count: int,
    seed: int,
    languages: tuple[str, ...] = ("en", "zh"),
    levels: tuple[int, ...] = (1, 2, 3),
    kinds: tuple[str, ...] | None = None,
) -> Iterator[Question]:
    """`count` problems; the same arguments give the same problems."""
    for question in generate(count, seed=seed, languages=languages, levels=levels, kinds=kinds, split=split):
        judged = question.answer_type in ("boolean", "choice")
        yield question.model_copy(update={"meta": question.meta | {"type": "reasoning" if judged else "calculation"}})
