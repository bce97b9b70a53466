"""ms-swift: `--external_plugins <this file> --reward_funcs finance_accuracy finance_format`."""

from __future__ import annotations

from typing import Any

from swift.rewards import ORM, orms  # type: ignore[import-not-found,unused-ignore]

from reward_plugins.rewards import finance_accuracy as accuracy
from reward_plugins.rewards import finance_format as form


class FinanceAccuracy(ORM):  # type: ignore[misc,unused-ignore]
    """1.0 for a correct answer, 0.0 for any other, by the columns `solution`, `meta` and `question` (else the messages)."""

    def __call__(self, completions: list[str], solution: list[str], **columns: Any) -> list[float | None]:
        """One score for each completion; None, which ms-swift leaves out of the sum, where only a judge could tell."""
        return accuracy(completions, solution, **{"prompts": columns.get("messages"), **columns})


class FinanceFormat(ORM):  # type: ignore[misc,unused-ignore]
    """1.0 for a completion that keeps the form."""

    def __call__(self, completions: list[str], **columns: Any) -> list[float | None]:
        """One score for each completion."""
        return form(completions, **columns)


orms["finance_accuracy"] = FinanceAccuracy
orms["finance_format"] = FinanceFormat
