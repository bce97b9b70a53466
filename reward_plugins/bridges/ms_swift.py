"""ms-swift: `--external_plugins <this file> --reward_funcs finance_accuracy finance_format`."""

from __future__ import annotations

from typing import Any

from swift.rewards import ORM, orms  # type: ignore[import-not-found,unused-ignore]

from reward_plugins.rewards import finance_accuracy as accuracy
from reward_plugins.rewards import finance_format as form


class FinanceAccuracy(ORM):  # type: ignore[misc,unused-ignore]
    """1.0 for a correct answer, 0.0 for any other, by the column `solution`, with `question` and `meta` beside it."""

    def __call__(self, completions: list[str], solution: list[str], **columns: Any) -> list[float]:
        """One score for each completion; ms-swift has no "no score", so an undecided answer scores 0."""
        return [score or 0.0 for score in accuracy(completions, solution, **columns)]


class FinanceFormat(ORM):  # type: ignore[misc,unused-ignore]
    """1.0 for a completion that keeps the form."""

    def __call__(self, completions: list[str], **columns: Any) -> list[float]:
        """One score for each completion."""
        return [score or 0.0 for score in form(completions)]


orms["finance_accuracy"] = FinanceAccuracy
orms["finance_format"] = FinanceFormat
