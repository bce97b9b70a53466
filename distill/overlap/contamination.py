"""Which test question, if any, a training question is a copy of.

A question is known by n-grams of its own text; its page (`context`) and its choices are evidence for or against.
"What was the percentage change in revenue from 2008 to 2009?" is asked of a hundred reports: with the same page it is
the same question, with another page it is not. Another question on the same page is no copy.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distill.overlap.evidence import (
    TELLING_CHOICES,
    choices_within,
    same_choices,
    same_page,
    share_of_larger,
    share_of_smaller,
    shared,
    stands_whole,
    stands_within,
    wording,
)
from distill.overlap.folding import Grams, Text, choices_text, fold, fold_page, key, numbers
from distill.records import Question

Rows = NDArray[np.int64]

# A copy with a fifth of its words changed keeps at least this share of its tokens in their places (9 in 10 do, by
# benchmarks/overlap.py); of questions in sets that share none, one in a thousand comes so near another.
_SIMILAR = 0.62
# And this share of the test question's grams by weight, which is how copies are found at all.
_CANDIDATE = 0.25
# The most alike that are compared in full. Where there are more, the page narrows them down.
_CANDIDATES = 24
# A gram in at most this many test questions weighs 1, a more frequent one this many over its frequency: the words of
# an instruction that stands in a thousand rows say little.
_RARE = 5
# Two long texts under one instruction are alike without being copies. So of a long text (in tokens), what is peculiar
# to it must be there, too: this share of the grams that stand in at most 5% of the tests (but no more than 50, nor
# fewer than `_RARE`); if it has fewer than this many such grams, only an equal text is a copy.
_LONG = 40
_PECULIAR_SHARE = 0.4
_FEWEST_PECULIAR = 6
_PECULIAR_PART, _PECULIAR_MOST = 0.05, 50
# From this length on (in tokens), an equal question is the same whatever its choices are.
_SPEAKS_FOR_ITSELF = 30
# "3 + 4 = ?" with other numbers is another question; words (or Han characters) make it the same.
_FEWEST_WORDS = 4
_PAGE_SAMPLE = 64  # grams by which a page is found; a page with a fifth of its words changed keeps 40 of them
_NO_PAGE = -1


class Match(NamedTuple):
    """A test question, by its row in the index, that a training question copies.

    `kind`: "verbatim" (equal but for writing and spacing), "masked" (equal but for its numbers), "near" (some words
    differ), "within" (the test question and its page stand in the other's text). `similarity`: from 0 to 1, of the
    tokens of the question for "near", of its pairs of neighbours otherwise.
    """

    row: int
    kind: Literal["verbatim", "masked", "near", "within"]
    similarity: float


class Folded(NamedTuple):
    """A folded question; None for what it has not."""

    question: Text
    choices: Text | None
    page: Text | None


def fold_question(question: Question) -> Folded:
    """A question as it is compared."""
    return Folded(
        fold(question.question),
        fold(choices_text(question)) if question.choices else None,
        fold_page(question.context) if question.context.strip() else None,
    )


class TestIndex:
    """The test questions: `add` them all, then `match` training questions.

    `renumbered` says whether a question that differs in its numbers only is a copy. Memory: 8 bytes for each distinct
    gram of a question, of a page (each page is held once) and of a set of choices, twice.
    """

    __test__ = False  # the name is no test case of pytest

    def __init__(self, renumbered: bool = True) -> None:
        self._renumbered = renumbered
        self._questions: list[Text] = []
        self._choices: list[Text | None] = []
        self._pages: list[Text] = []
        self._page_of: list[int] = []
        self._page_numbers: dict[int, int] = {}
        self._rows_by_key: dict[int, list[int]] = {}
        self._postings: _Postings | None = None

    def __len__(self) -> int:
        return len(self._questions)

    def add(self, question: Question) -> int:
        """Take a test question in; returns its row."""
        row = len(self._questions)
        text, choices, page = fold_question(question)
        self._questions.append(text)
        self._rows_by_key.setdefault(text.masked_key, []).append(row)
        self._choices.append(choices)
        number = _NO_PAGE
        if page is not None:
            number = self._page_numbers.setdefault(key(question.context), len(self._pages))
            if number == len(self._pages):
                self._pages.append(page)
        self._page_of.append(number)
        self._postings = None
        return row

    def match(self, folded: Folded) -> Match | None:
        """The test question that this one copies, of several the most alike, then the first; None if it copies none."""
        if not self._questions:
            return None
        if self._postings is None:
            self._close()
            assert self._postings is not None
        if not folded.question.ids:
            return None
        likeness = self._postings.weight_shared(folded.question.masked) / self._postings.total
        equal = self._rows_by_key.get(folded.question.masked_key, [])
        likeness[equal] = 1.0
        rows = np.flatnonzero(likeness >= _CANDIDATE)
        if len(rows) > _CANDIDATES and folded.page is not None:
            rows = self._on_such_a_page(rows, folded.page)
        rows = rows[np.argsort(-likeness[rows], kind="stable")][:_CANDIDATES]
        matches = [match for row in rows if (match := self._judge(folded, int(row)))]
        return max(matches, key=lambda match: (match.similarity, match.kind == "verbatim", -match.row), default=None)

    def _judge(self, folded: Folded, row: int) -> Match | None:
        """Whether the question copies that of `row`, by its own text and by what its page and choices say."""
        text, test = folded.question, self._questions[row]
        page = self._pages[self._page_of[row]] if self._page_of[row] != _NO_PAGE else None
        equal = text.masked_key == test.masked_key
        if folded.page and page and not same_page(folded.page, page, renumbered=equal and self._renumbered):
            return None
        if same_choices(folded.choices, self._choices[row]) is False and not (
            equal and len(test.ids) >= _SPEAKS_FOR_ITSELF
        ):
            return None
        if text.key == test.key:
            return Match(row, "verbatim", 1.0)
        if equal:
            enough = len(test.ids) - len(numbers(test)) >= _FEWEST_WORDS
            similarity = share_of_larger(text.grams, test.grams)
            return Match(row, "masked", similarity) if self._renumbered and enough else None
        similarity = wording(text, test, at_least=_SIMILAR)
        if similarity and self._has_peculiar(text, test):
            return Match(row, "near", similarity)
        whole = Folded(test, self._choices[row], page)
        if _within(whole, folded) or _within(folded, whole):
            return Match(row, "within", share_of_smaller(test.grams, text.grams))
        return None

    def _has_peculiar(self, text: Text, test: Text) -> bool:
        """Whether a text has what is peculiar to a long test question, and not only the instruction of both."""
        if len(test.ids) < _LONG:
            return True
        assert self._postings is not None
        peculiar = self._postings.rare(test.masked)
        return len(peculiar) >= _FEWEST_PECULIAR and shared(peculiar, text.masked) >= _PECULIAR_SHARE * len(peculiar)

    def _close(self) -> None:
        self._postings = _Postings([text.masked for text in self._questions])
        self._page_postings = _Postings([_sample(page.masked) for page in self._pages])
        self._page_of_row = np.array(self._page_of)

    def _on_such_a_page(self, rows: Rows, page: Text) -> Rows:
        """Those of the rows that are on the test pages most like this one, or have no page."""
        weight = self._page_postings.weight_shared(page.masked)
        likely = np.argsort(-weight, kind="stable")[:_CANDIDATES]
        pages = self._page_of_row[rows]
        on_such: Rows = rows[np.isin(pages, likely[weight[likely] > 0]) | (pages == _NO_PAGE)]
        return on_such


def _within(part: Folded, whole: Folded) -> bool:
    """Whether one question, with what the other has not apart of its page and choices, stands in the other's text.

    Exams are passed on so, stem and choices in one instruction. Where neither page nor choices speak for it, a long
    question must be there in one piece: "what is the net change?" stands in many another question on its own page, too.
    """
    text, speaks = whole.question, False
    if part.choices and len(part.choices.ids) >= TELLING_CHOICES:
        if whole.choices is None and not choices_within(part.choices, text):
            return False
        speaks = whole.choices is None or bool(same_choices(part.choices, whole.choices))
    if part.page and not whole.page:
        if not stands_within(part.page, text):
            return False
        speaks = True
    if speaks:
        return stands_within(part.question, text)
    return len(part.question.ids) >= _SPEAKS_FOR_ITSELF and stands_whole(part.question, text)


class _Postings:
    """An inverted index: which rows hold a gram, and what the gram weighs. `total` is the weight of each row."""

    def __init__(self, rows: list[Grams]) -> None:
        row_of = np.repeat(np.arange(len(rows), dtype=np.int32), [len(row) for row in rows])
        grams = np.concatenate([np.empty(0, np.int64), *rows])
        self._grams, place, self._count = np.unique(grams, return_inverse=True, return_counts=True)
        self._rows = row_of[np.argsort(place, kind="stable")]
        self._start = np.concatenate([[0], np.cumsum(self._count)])
        self._weight = np.minimum(1.0, _RARE / self._count)
        self.total = np.maximum(np.bincount(row_of, self._weight[place], len(rows)), 1e-9)  # 0 for a row of no grams
        self._rare = min(max(len(rows) * _PECULIAR_PART, _RARE), _PECULIAR_MOST)

    def rare(self, grams: Grams) -> Grams:
        """Those of a row's grams that stand in few rows."""
        rare: Grams = grams[self._count[np.searchsorted(self._grams, grams)] <= self._rare]
        return rare

    def weight_shared(self, grams: Grams) -> NDArray[np.float64]:
        """The weight of the grams that each row has in common with these."""
        size = len(self.total)
        if not len(self._grams):
            return np.zeros(size)
        at = np.minimum(np.searchsorted(self._grams, grams), len(self._grams) - 1)
        at = at[self._grams[at] == grams]
        if not len(at):
            return np.zeros(size)
        rows = [self._rows[start:end] for start, end in zip(self._start[at], self._start[at + 1], strict=True)]
        weights = np.repeat(self._weight[at], self._count[at])
        weight: NDArray[np.float64] = np.bincount(np.concatenate(rows), weights, size).astype(np.float64, copy=False)
        return weight


def _sample(grams: Grams) -> Grams:
    """The same few grams of a page wherever they occur: those with the smallest hashes."""
    if len(grams) <= _PAGE_SAMPLE:
        return grams
    hashes = grams.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # 2^64 / phi, Knuth's multiplicative hash
    return np.sort(grams[np.argpartition(hashes, _PAGE_SAMPLE)[:_PAGE_SAMPLE]])
