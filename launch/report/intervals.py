"""Intervals and paired tests for right-or-wrong answers, and for the shares of right ones among repeats.

Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927); B. Efron and
R. Tibshirani, "An Introduction to the Bootstrap" (1993), percentile interval over clusters; Q. McNemar,
Psychometrika 12 (1947), here in its exact binomial form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reward_plugins.agreement import wilson

RESAMPLES = 10_000
"""Bootstrap resamples: the ends of an interval then move by less than 0.1 points from seed to seed at 200 rows."""

Method = Literal["Wilson", "bootstrap by document"]


@dataclass(frozen=True)
class Estimate:
    """A mean of values between 0 and 1 with its 95% interval; `n` rows."""

    value: float
    low: float
    high: float
    n: int
    method: Method


@dataclass(frozen=True)
class Difference:
    """How much more often the second of two models is right on the same `n` questions.

    `first` and `second` are the two shares on these questions, `value` their difference with its 95% interval (paired
    bootstrap by document); `gained` and `lost` count the questions that only the second, or only the first, has right,
    or has right more often, where each was asked several times; `p` is McNemar's exact two-sided p (then the sign test,
    which it is a case of).
    """

    first: float
    second: float
    value: float
    low: float
    high: float
    n: int
    gained: int
    lost: int
    p: float

    @property
    def verdict(self) -> Literal["better", "worse", "unclear"]:
        """Better or worse only where the interval leaves out 0 and p < 0.05.

        Both, since the percentile bootstrap is too sure of itself when few rows differ, and McNemar's test does not
        know that rows of one document belong together.
        """
        if self.p < 0.05 and self.low > 0:
            return "better"
        if self.p < 0.05 and self.high < 0:
            return "worse"
        return "unclear"


def proportion(right: Sequence[float], documents: Sequence[str], seed: int = 0) -> Estimate | None:
    """The mean of values between 0 and 1, of booleans the share of right rows, with its interval; None for no rows.

    Wilson where each document gives one row, right or wrong. Else rows of one document are alike, and whole documents
    are resampled; where all documents have one mean a resample cannot differ, and Wilson over the documents is used.
    """
    n = len(right)
    if n == 0:
        return None
    share = sum(right) / n
    clusters = len(set(documents))
    partly = any(0 < value < 1 for value in right)
    if (clusters < n or partly) and 0 < share < 1:
        low, high = _bootstrap(np.asarray(right, dtype=float), documents, seed)
        if low < high:
            return Estimate(share, low, high, n, "bootstrap by document")
    low, high = wilson(round(share * clusters), clusters)
    return Estimate(share, low, high, n, "Wilson")


def difference(first: Sequence[float], second: Sequence[float], documents: Sequence[str], seed: int = 0) -> Difference:
    """Compare two models on the same questions: right or not, or the share of right repeats (one length n > 0).

    Where all questions differ alike, or none does, no resample can differ either: what n documents cannot rule out then
    widens the interval, by the upper end of Wilson's interval for none of n.
    """
    n = len(first)
    gains = np.asarray(second, dtype=float) - np.asarray(first, dtype=float)
    gained, lost = int((gains > 0).sum()), int((gains < 0).sum())
    value = float(gains.mean())
    low, high = _bootstrap(gains, documents, seed)
    if low == high:
        _, unseen = wilson(0, len(set(documents)))
        low, high = max(-1.0, value - unseen), min(1.0, value + unseen)
    return Difference(
        first=sum(first) / n,
        second=sum(second) / n,
        value=value,
        low=low,
        high=high,
        n=n,
        gained=gained,
        lost=lost,
        p=mcnemar(gained, lost),
    )


def mcnemar(gained: int, lost: int) -> float:
    """McNemar's exact two-sided p: how probable so uneven a split of the rows that differ is, if both are as likely."""
    differ = gained + lost
    tail = sum(math.comb(differ, count) for count in range(min(gained, lost) + 1))
    return min(1.0, float(2 * tail / 2**differ)) if differ else 1.0


def _bootstrap(values: np.ndarray, documents: Sequence[str], seed: int) -> tuple[float, float]:
    """The 95% percentile interval of the mean of `values`, whole documents drawn with replacement."""
    _, of_row = np.unique(np.asarray(documents), return_inverse=True)
    sums, sizes = np.bincount(of_row, weights=values), np.bincount(of_row)
    generator = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    # In slices, so that 100,000 documents need no array of a billion cells.
    step = max(1, 5_000_000 // len(sums))
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        drawn = generator.integers(0, len(sums), size=(count, len(sums)))
        means[start : start + count] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
