"""The intervals and tests of a report, against published values and against simulation."""

from __future__ import annotations

import random

import pytest

from launch.report.intervals import Difference, difference, mcnemar, proportion
from reward_plugins.agreement import wilson


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(right: int, n: int, low: float, high: float) -> None:
    assert wilson(right, n) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


def test_the_ends_stay_between_0_and_1() -> None:
    for n in (1, 7, 1000):
        assert wilson(0, n)[0] == 0.0 and wilson(n, n)[1] == 1.0


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    # Two-sided binomial tests at one half: 2 * sum of C(n, k) / 2**n over the smaller tail.
    [(0, 0, 1.0), (5, 0, 2 / 32), (6, 0, 2 / 64), (8, 2, 2 * (1 + 10 + 45) / 1024), (3, 3, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int, p: float) -> None:
    assert mcnemar(gained, lost) == mcnemar(lost, gained) == pytest.approx(p)


def test_mcnemar_stands_large_counts() -> None:
    assert 0 < mcnemar(2600, 2400) < 0.01
    assert mcnemar(5000, 0) < 1e-300


def test_one_question_a_document_is_wilson_and_several_are_resampled_as_documents() -> None:
    right = [number % 3 == 0 for number in range(60)]
    alone = proportion(right, [str(number) for number in range(60)])
    assert alone is not None and alone.method == "Wilson"
    assert (alone.low, alone.high) == wilson(20, 60)
    alike = [number // 6 % 3 == 0 for number in range(60)]
    together = proportion(alike, [str(number // 6) for number in range(60)])
    assert together is not None and together.method == "bootstrap by document"
    assert together.high - together.low > 1.8 * (alone.high - alone.low)


def test_a_set_that_is_all_right_is_not_certain() -> None:
    found = proportion([True] * 20, [str(number // 2) for number in range(20)])
    assert found is not None and found.method == "Wilson"
    assert (found.low, found.high) == wilson(10, 10)
    assert proportion([], []) is None


def test_a_difference_counts_the_rows_that_changed() -> None:
    first = [True] * 10 + [False] * 30
    second = [True] * 8 + [False] * 2 + [True] * 12 + [False] * 18
    found = difference(first, second, [str(number) for number in range(40)])
    assert (found.gained, found.lost, found.n) == (12, 2, 40)
    assert (found.first, found.second, found.value) == (0.25, 0.5, 0.25)
    assert found.low < 0.25 < found.high
    assert found.verdict == "better"
    back = difference(second, first, [str(number) for number in range(40)])
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low), abs=0.03)
    assert back.verdict == "worse"


def test_few_changed_rows_are_no_proof_whatever_the_bootstrap_says() -> None:
    found = difference([False] * 100, [True] * 5 + [False] * 95, [str(number) for number in range(100)])
    assert found.low > 0 and found.p > 0.05
    assert found.verdict == "unclear"


def test_models_that_never_differ_are_not_surely_alike() -> None:
    documents = [str(row) for row in range(10)]
    alike = difference([1.0] * 10, [1.0] * 10, documents)
    # Wilson's upper end for 0 of 10 is 0.278.
    assert (alike.value, alike.verdict) == (0.0, "unclear")
    assert (alike.low, alike.high) == (pytest.approx(-0.278, abs=1e-3), pytest.approx(0.278, abs=1e-3))
    gained = difference([0.0] * 10, [1.0] * 10, documents)
    assert (gained.low, gained.high, gained.verdict) == (pytest.approx(0.722, abs=1e-3), 1.0, "better")
    assert difference([0.0] * 10, [1.0] * 10, ["one"] * 10).low < gained.low


def test_the_same_seed_gives_the_same_interval() -> None:
    sample = random.Random(3)
    first, second = ([sample.random() < share for _ in range(90)] for share in (0.4, 0.5))
    documents = [str(number // 3) for number in range(90)]
    assert difference(first, second, documents, seed=1) == difference(first, second, documents, seed=1)


def test_the_interval_of_a_difference_holds_the_truth_about_95_times_in_100() -> None:
    sample = random.Random(7)
    documents = [str(number) for number in range(120)]
    held = 0
    for _ in range(200):
        first = [sample.random() < 0.4 for _ in documents]
        second = [right if sample.random() < 0.7 else sample.random() < 0.6 for right in first]
        found: Difference = difference(first, second, documents)
        held += found.low <= 0.06 <= found.high  # 0.3 * (0.6 - 0.4)
    assert 180 <= held <= 199


def test_documents_that_are_all_alike_inside_are_not_certain_either() -> None:
    found = proportion([number % 2 == 0 for number in range(24)], [str(number // 2) for number in range(24)])
    assert found is not None and (found.value, found.method) == (0.5, "Wilson")
    assert (found.low, found.high) == wilson(6, 12)


def test_shares_of_repeats_are_means_with_a_resampled_interval() -> None:
    found = proportion([0.25, 0.5, 1.0, 0.75] * 5, [str(number) for number in range(20)])
    assert found is not None and found.value == 0.625 and found.method == "bootstrap by document"
    assert 0.45 < found.low < 0.625 < found.high < 0.8
    compared = difference([0.25, 0.5] * 10, [0.5, 0.5] * 10, [str(number) for number in range(20)])
    assert (compared.value, compared.gained, compared.lost, compared.n) == (0.125, 10, 0, 20)
    assert compared.p == mcnemar(10, 0)
