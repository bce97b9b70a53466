"""What the judges of an evaluation are asked: the rows that they decide, and those by which they are measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eval_adapters.judge_settings import JudgeSettings
from eval_adapters.reviews import Row
from reward_plugins import verify
from reward_plugins.judge_quality import Sample

Case = tuple[str, str, str]
"""Question, gold, answer."""

_MORE_WORDS = {
    "en": "Having gone through the figures that are given, step by step and with care, the answer is as follows: {}",
    "zh": "在逐步、仔细地核对题目所给的数据之后，得出的答案如下：{}",
}
"""The same answer in more words: a verdict that this changes was about its length."""

ANSWERED = ("correct", "wrong", "undecided")
"""The states with an answer to judge."""


@dataclass(frozen=True)
class Plan:
    """The requests of every judge.

    `decides`: the rows whose verdict is theirs. `checks`: rows that the rule has decided, to compare with (in mode "both"
    they are among `decides`). `twice` and `bias` are of those two. `controls`: golds as answers, and whether the judge
    must take them.
    """

    decides: list[Row]
    checks: list[Row]
    twice: list[Row]
    bias: list[Row]
    controls: list[tuple[Case, bool]]


def make_plan(rows: list[Row], settings: JudgeSettings) -> Plan:
    """Choose the rows; samples are drawn by a hash of their ids, so the same ones every time."""
    decided = [row for row in rows if row.status in ("correct", "wrong")]
    if settings.mode == "both":
        decides = [row for row in rows if row.status in ANSWERED]
        checks = decided
    else:
        decides = [row for row in rows if row.status == "undecided"]
        half = settings.check_rows // 2
        checks = [
            *_drawn((row for row in decided if row.correct), settings.check_rows - half),
            *_drawn((row for row in decided if not row.correct), half),
        ]
    if not decides:
        return Plan([], [], [], [], [])
    # What the judge decides comes first: there its faults count.
    subjects = (
        decides if len(decides) >= settings.bias_rows else list({row.index: row for row in decides + checks}.values())
    )
    return Plan(
        decides,
        checks,
        _drawn(subjects, settings.repeat_rows),
        _drawn(subjects, settings.bias_rows),
        _controls(rows, settings.control_rows),
    )


def case(row: Row) -> Case:
    """What is shown of a row."""
    return row.question, row.gold, row.extracted


def wordy(row: Row) -> Case:
    """The same with the answer in more words."""
    return row.question, row.gold, _MORE_WORDS["zh" if row.lang == "zh" else "en"].format(row.extracted)


def _drawn(rows: Iterable[Row], size: int) -> list[Row]:
    sample: Sample[Row] = Sample(size)
    for row in rows:
        sample.offer(f"{row.id} {row.repeat}", row)
    return sample.drawn()


def _controls(rows: list[Row], size: int) -> list[tuple[Case, bool]]:
    """Each drawn question with its own gold, and with the next one's where that is surely another answer."""
    drawn = _drawn((row for row in rows if row.repeat == 0), size)
    controls: list[tuple[Case, bool]] = []
    for row, other in zip(drawn, drawn[1:] + drawn[:1], strict=True):
        controls.append(((row.question, row.gold, row.gold), True))
        if not verify(f"<answer>{other.gold}</answer>", row.gold, row.question).correct:
            controls.append(((row.question, row.gold, other.gold), False))
    return controls
