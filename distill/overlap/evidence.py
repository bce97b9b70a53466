"""When two pages, two sets of choices or two wordings are one. The constants are measured by benchmarks/overlap.py."""

from __future__ import annotations

import numpy as np
from rapidfuzz.distance import Levenshtein

from distill.overlap.folding import Grams, Text

# A page is known by its figures: of those of the shorter page, a copy with a fifth of its words changed keeps 0.9, and
# the same page of next year's report at most 0.4 (FinQA's train against its test pages).
_SAME_FIGURES = 0.6
_FEWEST_FIGURES = 5
# A renumbered page keeps its words, all of them.
_SAME_WORDS = 0.95
# For pages with few figures: the share of the shorter one's pairs of neighbours. A fifth of the words changed leaves
# about 0.6 of them; two pages on different things share less than 0.2.
_SAME_PAIRS = 0.5
# Choices are short, so that few pairs of neighbours are left of changed ones; of other choices fewer still.
_SAME_CHOICES = 0.25
# Choices of fewer tokens than this ("120万元", "有效") say nothing either way.
TELLING_CHOICES = 8
# A page that stands within the other text is there nearly whole.
_WITHIN = 0.8
# Between choices within a text stand their letters: of four choices of three characters each, 8 of 11 pairs are left.
_CHOICES_WITHIN = 0.6


def same_page(one: Text, other: Text, renumbered: bool = False) -> bool:
    """Whether two pages are one, whole or in part, with some words changed; with other numbers if `renumbered`."""
    if one.key == other.key:
        return True
    if renumbered and (one.masked_key == other.masked_key or share_of_larger(one.masked, other.masked) >= _SAME_WORDS):
        return True
    if min(len(one.figures), len(other.figures)) >= _FEWEST_FIGURES:
        return share_of_smaller(one.figures, other.figures) >= _SAME_FIGURES
    return share_of_smaller(one.grams, other.grams) >= _SAME_PAIRS


def same_choices(one: Text | None, other: Text | None) -> bool | None:
    """Whether two sets of choices, in any order, are one; None where there is one set, or they say nothing."""
    if one is None or other is None or min(len(one.ids), len(other.ids)) < TELLING_CHOICES:
        return None
    return one.masked_key == other.masked_key or share_of_larger(one.masked, other.masked) >= _SAME_CHOICES


def stands_within(part: Text, whole: Text) -> bool:
    """Whether a text is part of another one, whose numbers are its own."""
    return shared(part.grams, whole.grams) >= _WITHIN * len(part.grams)


def choices_within(choices: Text, whole: Text) -> bool:
    """Whether choices are part of a text, in any order and whatever their letters."""
    return shared(choices.grams, whole.grams) >= _CHOICES_WITHIN * len(choices.grams)


def stands_whole(part: Text, whole: Text) -> bool:
    """Whether a text is part of another one in one piece, word for word."""
    return np.array(part.ids).tobytes() in np.array(whole.ids).tobytes()


def wording(one: Text, other: Text, at_least: float) -> float:
    """The share of the longer text's tokens that stand in the shorter one in their order; 0 below `at_least`."""
    return float(Levenshtein.normalized_similarity(one.ids, other.ids, score_cutoff=at_least))


def shared(one: Grams, other: Grams) -> int:
    """How many grams two sets have in common."""
    return len(np.intersect1d(one, other, assume_unique=True))


def share_of_larger(one: Grams, other: Grams) -> float:
    """The common grams over those of the larger set."""
    return shared(one, other) / max(len(one), len(other), 1)


def share_of_smaller(one: Grams, other: Grams) -> float:
    """The common grams over those of the smaller set."""
    return shared(one, other) / max(min(len(one), len(other)), 1)
