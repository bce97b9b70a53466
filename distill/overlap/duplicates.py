"""Near duplicates among the training questions: candidates by MinHash and LSH (rensa), then compared in full."""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np
from rensa import RMinHash, RMinHashLSH

from distill.overlap.contamination import Folded
from distill.overlap.evidence import same_choices, same_page, shared, wording
from distill.overlap.folding import Grams, Text, fold, numbers
from distill.records import Question

# 20 bands of 3: questions that share 0.6 of their grams become candidates at 99%, those that share 0.1 at 2%.
_BANDS, _PERMUTATIONS, _SEED = 20, 60, 42
# As many as the pairs of neighbours in a question of usual length, so that a page weighs as much as its question.
_PAGE_TOKENS = 16
# Cells of the frequency table: 16 MiB. A million questions with 20 grams of their own fill it five times over; a gram
# then looks a little more frequent than it is.
_CELLS = 1 << 22
# A gram in more questions than this, and than 1% of them, belongs to an instruction and finds no duplicates.
_FREQUENT, _FREQUENT_PART = 50, 0.01
_FEWEST_RARE = 6
_PECULIAR_SHARE = 0.5
# At most so many earlier questions are compared with one: a template's thousand instances are not compared in pairs.
_CANDIDATES = 32


class Frequencies:
    """In about how many questions each gram stands; memory does not grow."""

    def __init__(self) -> None:
        self._cells = np.zeros(_CELLS, np.uint32)
        self._questions = 0

    def add(self, text: Text) -> None:
        """Count the grams of one question."""
        self._cells[text.grams & (_CELLS - 1)] += 1
        self._questions += 1

    def rare(self, grams: Grams) -> Grams:
        """Those of a question's grams that belong to no instruction."""
        most = max(_FREQUENT, self._questions * _FREQUENT_PART)
        rare: Grams = grams[self._cells[grams & (_CELLS - 1)] <= most]
        return rare


class Seen:
    """The questions gone by, by their MinHash. Memory: about 1 KB a question."""

    def __init__(self, frequencies: Frequencies) -> None:
        self._frequencies = frequencies
        self._index = RMinHashLSH(threshold=0.5, num_perm=_PERMUTATIONS, num_bands=_BANDS)
        self._page: Text | None = None
        self._page_tokens: list[bytes] = []

    def signature(self, folded: Folded) -> RMinHash:
        """The MinHash of a question: what is peculiar to its text and choices, and a sample of its page."""
        grams = self._frequencies.rare(folded.question.grams)
        if len(grams) < _FEWEST_RARE:
            grams = folded.question.grams
        if folded.choices is not None:
            grams = np.concatenate([grams, folded.choices.grams])
        signature = RMinHash(_PERMUTATIONS, _SEED)
        signature.update(_as_bytes(grams))
        if folded.page is not None:
            if folded.page is not self._page:  # the questions of a page stand together in most files
                self._page, self._page_tokens = folded.page, _page_tokens(folded.page)
            signature.update(self._page_tokens)
        return signature

    def candidates(self, signature: RMinHash) -> list[int]:
        """The numbers of earlier questions that may be the same one, in order."""
        return sorted(self._index.query(signature))[:_CANDIDATES]

    def add(self, number: int, signature: RMinHash) -> None:
        """Remember a question by its number."""
        self._index.insert(number, signature)


def repeats(
    one: Question, folded: Folded, other: Question, other_folded: Folded, frequencies: Frequencies, at_least: float
) -> tuple[Literal["verbatim", "near"], float] | None:
    """How a question repeats another one, and how alike their wordings are (0 to 1); None if it is another question.

    Questions that ask for other numbers, or whose golds differ, are two questions, be they ever so alike: "net sales"
    for "net revenue" is one word. Equal ones with two golds are one question, of which one gold is wrong.
    """
    if (folded.page is None) != (other_folded.page is None) or same_choices(
        folded.choices, other_folded.choices
    ) is False:
        return None
    if folded.page and other_folded.page and not same_page(folded.page, other_folded.page):
        return None
    if not folded.question.ids:  # without a word, all texts fold alike
        return ("verbatim", 1.0) if one.question == other.question else None
    if folded.question.key == other_folded.question.key:
        return "verbatim", 1.0
    if numbers(folded.question) != numbers(other_folded.question) or _gold(one) != _gold(other):
        return None
    similarity = wording(folded.question, other_folded.question, at_least)
    peculiar = frequencies.rare(other_folded.question.grams)
    if not similarity or shared(peculiar, folded.question.grams) < _PECULIAR_SHARE * len(peculiar):
        return None
    return "near", similarity


def _gold(question: Question) -> int:
    """The gold as it is compared: of a letter, the choice that it names, since copies shuffle the letters."""
    choices = question.choices or {}
    letters = [letter for letter in question.gold if letter.isalpha()]
    if letters and all(letter in choices for letter in letters):
        return fold("\n".join(sorted(choices[letter] for letter in letters))).key
    return fold(question.gold).key


def _page_tokens(page: Text) -> list[bytes]:
    signature = RMinHash(_PAGE_TOKENS, _SEED)
    signature.update(_as_bytes(page.grams))
    return [struct.pack("<BI", *slot) for slot in enumerate(signature.digest())]


def _as_bytes(grams: Grams) -> list[bytes]:
    raw = grams.astype("<i8").tobytes()
    return [raw[start : start + 8] for start in range(0, len(raw), 8)]
