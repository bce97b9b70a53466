"""The reward for what rules cannot decide: a judge's verdict, for undecided rows only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reward_plugins.completion import completion_text
from reward_plugins.decision import verify
from reward_plugins.judge import OUTCOMES, Judge
from reward_plugins.rewards.columns import metas_of, questions_of


class FinanceJudge:
    """1.0 or 0.0 as the judge says, None for every row that the rules decide and for every row without a verdict.

    `judge`: the judge to ask; by default the one that the environment names when the first batch comes (see
    `Judge.from_environment`). Without one, all rows are None. Logs the share of rows asked about and of each outcome
    under equal keys on every rank.
    """

    def __init__(self, judge: Judge | None = None) -> None:
        self.judge = judge
        self.__name__ = "finance_judge"

    async def __call__(
        self,
        completions: Sequence[str | Sequence[Mapping[str, Any]]],
        solution: Sequence[str],
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One score for each completion."""
        size = len(completions)
        scores: list[float | None] = [None] * size
        rows: list[int] = []
        cases: list[tuple[str, str, str]] = []
        questions, metas = questions_of(size, columns), metas_of(size, columns)
        for index, completion in enumerate(completions):
            gold, question = str(solution[index]), questions[index]
            verdict = verify(completion_text(completion), gold, question, metas[index])
            if verdict.status == "undecided":
                rows.append(index)
                cases.append((question, gold, verdict.extracted))
        self.judge = self.judge or Judge.from_environment()
        outcomes: Counter[str] = Counter()
        if self.judge is not None and cases:
            for index, judgement in zip(rows, await self.judge.judge(cases), strict=True):
                outcomes[judgement.outcome] += 1
                scores[index] = None if judgement.correct is None else float(judgement.correct)
        if log_metric is not None:
            log_metric("finance_judge/undecided", len(rows) / max(size, 1))
            for outcome in OUTCOMES:
                log_metric(f"finance_judge/{outcome}", outcomes[outcome] / max(size, 1))
        return scores


finance_judge = FinanceJudge()
