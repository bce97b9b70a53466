"""The verifier against its corpus: labelled completions in nine families, and the rounds of other hands."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from corpus_cases import CORPUS, Case, cases

from reward_plugins import verify

STATUS_OF = {"+": {"correct"}, "-": {"wrong", "undecided", "no_answer"}, "0": {"no_answer"}, "?": {"undecided"}}
STATUS_OF["!"] = STATUS_OF["-"]

ALL = list(cases())


def _verdict_is_labelled(case: Case) -> bool:
    return verify(case.response, case.gold, case.question, case.meta).status in STATUS_OF[case.label]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.txt")), ids=lambda path: path.stem)
def test_each_family_is_judged_as_labelled(path: Path) -> None:
    family = [case for case in ALL if case.where.startswith(path.name)]
    assert len(family) > 150
    misses = [f"{case.where} {case.label} {case.response!r}" for case in family if not _verdict_is_labelled(case)]
    assert not misses, "\n".join(misses)


def test_the_corpus_is_what_it_says() -> None:
    counts = Counter(case.label for case in ALL)
    assert len(ALL) >= 10_000
    assert counts["!"] >= 500  # cheats
    wrong = len(ALL) - counts["+"]
    assert 0.45 < wrong / len(ALL) < 0.65  # a verifier that says one thing to all gets half
    distinct = {(case.response, case.gold, case.question, str(case.meta)) for case in ALL}
    assert len(distinct) >= 9000  # two families may share a line, but not many


def test_a_verdict_names_its_answer_and_its_reason() -> None:
    for case in ALL:
        verdict = verify(case.response, case.gold, case.question, case.meta)
        assert verdict.reason and "\n" not in verdict.reason
        assert verdict.correct == (verdict.status == "correct")
        assert bool(verdict.extracted) == (verdict.status != "no_answer"), case.where
