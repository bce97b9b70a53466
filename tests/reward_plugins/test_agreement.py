"""Cohen's kappa against hand-worked tables, and the cover of its interval."""

from __future__ import annotations

import random

import pytest

from reward_plugins.agreement import cohen_kappa


def test_kappa_of_a_worked_table() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: observed 35/50, by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5.
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    kappa = cohen_kappa(pairs)
    assert kappa is not None
    assert (kappa.value, kappa.chance, kappa.agreed, kappa.n) == (pytest.approx(0.4), pytest.approx(0.5), 35, 50)
    assert kappa.low < 0.4 < kappa.high


def test_full_agreement_is_not_full_certainty() -> None:
    kappa = cohen_kappa([(True, True)] * 10 + [(False, False)] * 10)
    assert kappa is not None and kappa.value == kappa.high == 1.0
    assert 0.6 < kappa.low < 0.75  # Wilson of 20 out of 20 is 0.839: (0.839 - 0.5) / 0.5


def test_opposite_raters_are_below_chance() -> None:
    kappa = cohen_kappa([(True, False), (False, True)] * 10)
    assert kappa is not None and kappa.value == kappa.low == -1.0


@pytest.mark.parametrize("pairs", [[], [(True, True)] * 5])
def test_where_kappa_says_nothing(pairs: list[tuple[bool, bool]]) -> None:
    assert cohen_kappa(pairs) is None


@pytest.mark.parametrize(("right", "kept"), [(0.5, 0.9), (0.7, 0.8), (0.5, 0.6)])
def test_the_interval_covers_the_truth(right: float, kept: float) -> None:
    """A judge who repeats the rule's verdict with probability `kept`, else says the opposite."""
    judged_right = right * kept + (1 - right) * (1 - kept)
    chance = right * judged_right + (1 - right) * (1 - judged_right)
    truth = (kept - chance) / (1 - chance)
    draw = random.Random(0)
    covered = 0
    for _ in range(400):
        pairs = []
        for _ in range(150):
            first = draw.random() < right
            pairs.append((first, first if draw.random() < kept else not first))
        kappa = cohen_kappa(pairs)
        assert kappa is not None
        covered += kappa.low <= truth <= kappa.high
    assert 0.92 <= covered / 400 <= 0.985
