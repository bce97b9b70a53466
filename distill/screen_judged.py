"""The part of the screen that a judge decides: what waits for it, and how it is asked about all of that."""

from __future__ import annotations

import asyncio
import json
from array import array
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from distill.judging import Asker, decide
from distill.reasoning import Reasoning
from distill.records import Dimension, Question, Trace, Verdict
from distill.screen_funnel import Group
from distill.screen_rules import Place, Screened, rows_at
from reward_plugins.judge_quality import Sample, agreement, share

Progressed = Callable[[int], None]
"""Told how many traces the judge is done with."""


class Docket:
    """The rule's verdicts in a temporary file, those that wait for the judge, and what the judge made of them.

    Memory: 16 bytes for each trace that waits. `checks`: places of verdicts that the rule was sure of, a sample of the
    right ones and one of the wrong ones.
    """

    def __init__(self, file: BinaryIO, reasoning: Reasoning | None, check_rows: int) -> None:
        self._file = file
        self._asks_about_reasoning = reasoning is not None and bool(reasoning.judged)
        self._waiting, self._settled = array("Q"), array("Q")
        self._end = 0
        self._checks = {"correct": Sample[int](check_rows - check_rows // 2), "wrong": Sample[int](check_rows // 2)}

    def __len__(self) -> int:
        """How many traces wait for the judge."""
        return len(self._waiting)

    def add(self, screened: Screened) -> None:
        """Take the next verdict of the rule."""
        verdict = screened.verdict
        offset = self._write(screened)
        self._end = self._file.tell()
        if verdict.why == "undecided" or (verdict.keep and self._asks_about_reasoning):
            self._waiting.append(offset)
            self._settled.append(offset)
        if (sample := self._checks.get(verdict.rule.status)) is not None:
            sample.offer(verdict.trace_id, offset)

    def has_work(self) -> bool:
        """Whether the judge is asked anything: on what waits for it, or on what it is measured by."""
        return bool(self._waiting) or any(map(len, self._checks.values()))

    def checks(self) -> list[int]:
        """The places of the verdicts to measure the judge on."""
        return [offset for sample in self._checks.values() for offset in sample.drawn()]

    def waiting(self) -> Iterator[tuple[int, Screened]]:
        """(number, verdict) of each trace that waits for the judge."""
        for number, offset in enumerate(self._waiting):
            yield number, self.at(offset)

    def settle(self, number: int, screened: Screened) -> None:
        """Put the judge's verdict in the place of the rule's."""
        self._settled[number] = self._write(screened)

    def at(self, offset: int) -> Screened:
        """The verdict at a place."""
        self._file.seek(offset)
        return self._read()

    def final(self) -> Iterator[Screened]:
        """All verdicts in the order of the journal, the judge's where there is one."""
        settled = iter(zip(self._waiting, self._settled, strict=True))
        next_waiting, instead = next(settled, (None, 0))
        offset = 0
        while offset < self._end:
            screened = self.at(offset)
            following = self._file.tell()
            if offset == next_waiting:
                screened = self.at(instead)
                next_waiting, instead = next(settled, (None, 0))
            yield screened
            offset = following

    def _write(self, screened: Screened) -> int:
        offset = self._file.seek(0, 2)
        head = json.dumps([*screened.place, *screened.group])
        self._file.write(head.encode() + b"\t" + screened.verdict.model_dump_json().encode() + b"\n")
        return offset

    def _read(self) -> Screened:
        head, _, verdict = self._file.readline().partition(b"\t")
        trace, question, *group = json.loads(head)
        return Screened(Place(trace, question), Group(*group), Verdict.model_validate_json(verdict))


class Said(NamedTuple):
    """What the judge said of an answer (right or wrong) or of the reasoning (its dimensions), and of which row."""

    row: Screened
    value: bool | dict[str, Dimension]


class Hearing:
    """One judge at work on a docket: a sample that the rule decided, then what waits, then some of it once more.

    `missing` counts what it has not said anything on, so that a later run asks again; for want of it `unsettled`
    traces are not kept.
    """

    def __init__(
        self,
        traces: Path,
        questions: Path,
        reasoning: Reasoning | None,
        docket: Docket,
        asker: Asker,
        settled: Progressed,
    ) -> None:
        self.missing = self.unsettled = 0
        self._traces, self._questions = traces, questions
        self._reasoning = reasoning
        self._docket = docket
        self._asker = asker
        self._settled = settled
        self._unscored = self._done = 0
        self._checked: list[tuple[bool, bool]] = []
        self._unchecked = 0
        self._sample = Sample[Said](asker.judge.repeat_rows)
        self._repeated: dict[str, list[bool]] = {"answer": [], "reasoning": [], "scores": []}

    async def run(self) -> None:
        """Ask everything that is not on the disk yet."""
        await self._side_by_side(self._check(self._docket.at(offset)) for offset in self._docket.checks())
        await self._side_by_side(self._settle(number, row) for number, row in self._docket.waiting())
        await self._side_by_side(self._repeat(said) for said in self._sample.drawn())

    def failures(self) -> list[tuple[str, int]]:
        """The reasons why requests got no reply in this run, the commonest first."""
        return self._asker.tally.failed.most_common()

    def summary(self) -> dict[str, Any]:
        """How many verdicts there are, and how far they can be trusted, as JSON values."""
        tally, judge = self._asker.tally, self._asker.judge
        return {
            "model": judge.model,
            "prompts": judge.prompt_hashes(),
            "traces": len(self._docket),
            "unscored": self._unscored,
            "missing": self.missing,
            "replies": {"asked": tally.asked, "recalled": tally.recalled, "failed": dict(sorted(tally.failed.items()))},
            "unreadable_replies": share(tally.unreadable, tally.asked + tally.recalled),
            "agreement_with_rule": {**agreement(self._checked), "no_verdict": self._unchecked},
            "repeatability": {name: share(sum(same), len(same)) for name, same in self._repeated.items()},
        }

    async def _side_by_side(self, jobs: Iterable[Awaitable[None]]) -> None:
        """Do the jobs, as many at once as the judge allows; they are made as they are taken, so memory stays flat."""
        queue = iter(jobs)

        async def work() -> None:
            for job in queue:
                await job

        workers = [asyncio.create_task(work()) for _ in range(self._asker.judge.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _check(self, row: Screened) -> None:
        """Judge an answer that the rule has decided."""
        _, question = self._records(row)
        opinion = await self._asker.about_answer(question, row.verdict.rule.extracted)
        if opinion.value is None:
            self.missing += opinion.missing
            self._unchecked += 1
            return
        self._checked.append((row.verdict.rule.status == "correct", opinion.value[0]))
        self._offer("answer", row, opinion.value[0])

    async def _settle(self, number: int, row: Screened) -> None:
        """Judge what the rule left open."""
        trace, question = self._records(row)
        verdict, missing = await decide(self._asker, self._reasoning, trace, question, row.verdict)
        self._docket.settle(number, row._replace(verdict=verdict))
        self.missing += missing
        self.unsettled += missing
        assert verdict.judge is not None
        if verdict.judge.answer is not None:
            self._offer("answer", row, verdict.judge.answer == "correct")
        if verdict.judge.dimensions:
            self._offer("reasoning", row, verdict.judge.dimensions)
        elif verdict.why.startswith("judge: ") and verdict.judge.answer != "wrong":
            self._unscored += 1
        self._done += 1
        self._settled(self._done)

    async def _repeat(self, said: Said) -> None:
        """Ask once more, and see whether the judge says the same."""
        trace, question = self._records(said.row)
        if isinstance(said.value, bool):
            answer = await self._asker.about_answer(question, said.row.verdict.rule.extracted, again=True)
            self.missing += answer.missing
            if answer.value is not None:
                self._repeated["answer"].append(answer.value[0] == said.value)
            return
        scores = await self._asker.about_reasoning(question, trace, again=True)
        self.missing += scores.missing
        if scores.value is not None and self._reasoning is not None:
            fails = self._reasoning.fails
            self._repeated["reasoning"].append((fails(scores.value) == "") == (fails(said.value) == ""))
            self._repeated["scores"] += [said.value[name].score == each.score for name, each in scores.value.items()]

    def _offer(self, about: str, row: Screened, value: bool | dict[str, Dimension]) -> None:
        self._sample.offer(f"{about} {row.verdict.trace_id}", Said(row, value))

    def _records(self, row: Screened) -> tuple[Trace, Question]:
        (records,) = rows_at(self._traces, self._questions, [row.place])
        return records
