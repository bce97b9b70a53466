"""The stage `screen`: is each trace right, and fit to be learnt from? One verdict a request, and the funnel.

First the rules, on all cores; then, where the recipe names one, a judge for what the rules leave open.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from pydantic import Field, model_validator
from rich.progress import Progress

from distill import ledger, manifest
from distill.ask import Serve
from distill.cost_cap import check_cap
from distill.endpoint import Endpoint
from distill.interrupt import gentle_interrupt
from distill.journal import entries
from distill.judging import Asker, Replies, ScreenJudge
from distill.ledger import CapReached, Ledger
from distill.progress import progress_bars
from distill.questions import QuestionIndex
from distill.reasoning import Reasoning
from distill.records import Verdict, write_records
from distill.screen_funnel import Funnel
from distill.screen_judged import Docket, Hearing
from distill.screen_rules import Place, Screened, malformed, screen, screen_all, screen_rows
from distill.spread import Cores, Engine
from distill.stage import StageSettings
from distill.throttle import Stop
from reward_plugins.errors import Refused

__all__ = ["Settings", "malformed", "run", "screen", "screen_rows"]

_TICK_S = 1.0  # how often the replies are put on the disk


class Settings(StageSettings):
    """`questions` and `traces` (a journal) -> `out`, a file of verdicts in the order of the journal.

    `reasoning` says what the reasoning must reach; without it only answer and form count. `judge` is asked about
    answers that the rule leaves undecided and for the dimensions of `reasoning` that no rule can measure; without it
    the rules alone decide. Its replies are kept beside `out` (`<out>.judge.jsonl`). `cost_cap` is the most that it may
    be paid, by currency, over all runs with this `out`. `workers` processes do the rules' part, by default one a core.
    """

    questions: Path
    traces: Path
    out: Path
    reasoning: Reasoning | None = None
    judge: ScreenJudge | None = None
    cost_cap: dict[str, float] = Field(default_factory=dict)
    workers: int | None = Field(default=None, ge=1)
    skip_bad: bool = False

    @model_validator(mode="after")
    def _cap_can_be_kept(self) -> Settings:
        check_cap(self.cost_cap, [self.judge] if self.judge else [])
        return self

    def inputs(self) -> list[Path]:
        prompts = [self.judge.system_prompt] if self.judge and self.judge.system_prompt else []
        return [self.questions, self.traces, *prompts]

    def manifest_path(self) -> Path:
        return manifest.beside(self.out)

    def replies_path(self) -> Path:
        """Where the judge's replies are kept."""
        return self.out.with_name(self.out.name + ".judge.jsonl")

    def identity(self) -> dict[str, Any]:
        judge = self.judge.identity() if self.judge else None
        return {**self.model_dump(mode="json", exclude={"judge", "cost_cap", "workers"}), "judge": judge}


def run(settings: Settings, serve: Serve | None = None, engine: Engine | None = None) -> dict[str, Any]:
    """Judge every request's last trace; returns the funnel, and how far the judge can be trusted.

    A journal may hold older traces of a request (its prompt has changed since) and traces of questions that are gone:
    they get no verdict and are counted as `superseded` and `without_question`. The rules' part is done by `engine`,
    by default the cores of this machine. Raises `Refused` for bad input. Where
    the judge did not say something on everything (an outage, a cap), the verdicts are written with what is missing
    marked and not kept, and then `Refused` or `CapReached` is raised: the next run asks for what is missing.
    """
    stage = manifest.Run("screen", settings)
    settings.manifest_path().unlink(missing_ok=True)
    bad: Counter[str] = Counter()
    funnel = Funnel()
    if not settings.traces.is_file():
        raise Refused(f"{settings.traces}: no such file; the stage `distill` writes it")
    with progress_bars() as bars, contextlib.ExitStack() as open_files:
        bench = open_files.enter_context(Bench(settings)) if settings.judge else None
        with QuestionIndex(settings.questions, settings.skip_bad, bad) as questions:
            places, older, gone = located(settings.traces, questions, settings.skip_bad, bad)
        funnel.without_question = gone
        engine = engine or Cores(settings.workers)
        by_rule = screen_all(settings.traces, settings.questions, places, len(places), settings.reasoning, engine)
        screened = _watched(by_rule, len(places), bars)
        judge: dict[str, Any] = {}
        if bench is not None:
            screened, judge = bench.judge(screened, serve, bars)
        write_records(settings.out, _counted(screened, funnel))
    counts = {**funnel.counts(), "superseded": older, "bad_lines": dict(bad), **judge}
    if bench is not None:
        bench.refuse_if_incomplete()
    stage.done([settings.out], counts, engine=engine.name)
    return counts


def located(traces: Path, questions: QuestionIndex, skip_bad: bool, bad: Counter[str]) -> tuple[list[Place], int, int]:
    """Where the last trace of each request and its question stand, in the order of the journal.

    Also returns how many older traces there are, and how many whose question is gone. A request is a question, a
    teacher and a sample. Memory: about 300 bytes a request.
    """
    last: dict[int, tuple[int, int | None]] = {}
    lines = 0
    for entry in entries(traces, skip_bad, bad):
        lines += 1
        last[hash(entry.slot)] = (entry.offset, questions.offset(entry.question_id))
    found = sorted(Place(trace, question) for trace, question in last.values() if question is not None)
    return found, lines - len(last), len(last) - len(found)


def _watched(screened: Iterator[Screened], total: int, bars: Progress) -> Iterator[Screened]:
    bar = bars.add_task("rules", total=total, note="")
    passed = 0
    for done, row in enumerate(screened, 1):
        passed += row.verdict.keep
        if done % 256 == 0 or done == total:
            bars.update(bar, completed=done, note=f"{passed:,} passed")
        yield row


def _counted(screened: Iterator[Screened], funnel: Funnel) -> Iterator[Verdict]:
    for row in screened:
        funnel.add(row.group, row.verdict)
        yield row.verdict


class Bench:
    """The judge of a recipe with what it needs: its replies so far, its ledger, and the rule's verdicts on disk."""

    def __init__(self, settings: Settings) -> None:
        assert settings.judge is not None
        self._settings = settings
        self._judge = settings.judge
        self._stop = Stop()
        self._hearing: Hearing | None = None
        self._trouble = ""

    def __enter__(self) -> Bench:
        with contextlib.ExitStack() as stack:
            path = self._settings.replies_path()
            self._replies = stack.enter_context(Replies(path))
            self._book = stack.enter_context(Ledger(ledger.beside(path), self._settings.cost_cap))
            file = tempfile.TemporaryFile(dir=self._settings.out.parent)  # closed by the stack
            self._file = cast(BinaryIO, stack.enter_context(file))
            if self._judge.serve is None:
                Endpoint(self._judge, self._stop, self._book)  # a missing key is told before any work
            self._closing = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing.close()

    def judge(
        self, by_rule: Iterator[Screened], serve: Serve | None, bars: Progress
    ) -> tuple[Iterator[Screened], dict[str, Any]]:
        """All verdicts, the judge's where the rule leaves something open; and the judge's part of the summary."""
        docket = Docket(self._file, self._settings.reasoning, self._judge.check_rows)
        for row in by_rule:
            docket.add(row)
        with contextlib.ExitStack() as servers:
            line = self._judge
            if line.serve is not None and serve is not None and docket.has_work():
                base_url, model = servers.enter_context(serve(line))
                line = line.model_copy(update={"base_url": base_url, "model": model})
            asyncio.run(self._hear(docket, line, bars))
        assert self._hearing is not None
        account = self._book.account(self._judge.name).as_json()
        return docket.final(), {"judge": {**self._hearing.summary(), "ledger": account}}

    async def _hear(self, docket: Docket, line: ScreenJudge, bars: Progress) -> None:
        settings = self._settings
        bar = bars.add_task("judge", total=len(docket), note="")
        async with contextlib.AsyncExitStack() as lines:
            endpoint = None
            if docket.has_work():
                endpoint = await lines.enter_async_context(Endpoint(line, self._stop, self._book))
            asker = Asker(self._judge, self._replies, endpoint, self._stop)
            self._hearing = Hearing(
                settings.traces,
                settings.questions,
                settings.reasoning,
                docket,
                asker,
                lambda done: bars.update(bar, completed=done, note=f"{asker.tally.asked:,} replies"),
            )
            ticker = asyncio.create_task(self._tick())
            with gentle_interrupt(self._stop, bars) as interrupted:
                try:
                    if endpoint is not None:
                        await self._hearing.run()
                finally:
                    ticker.cancel()
                    if interrupted:
                        raise KeyboardInterrupt
        self._trouble = asker.trouble

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await asyncio.to_thread(self._replies.sync)
            self._book.flush()
            await asyncio.to_thread(self._book.sync)

    def refuse_if_incomplete(self) -> None:
        """Raise where a verdict is missing; one that cannot be read is none of those."""
        if self._hearing is None or not self._hearing.missing:
            return
        left = (
            f"verdicts of the judge are missing: {self._hearing.missing:,}; "
            f"traces not kept for want of one: {self._hearing.unsettled:,}"
        )
        for currency in sorted(self._book.reached):
            spent, cap = self._book.spent(currency), self._settings.cost_cap[currency]
            raise CapReached(
                f"the cost cap is reached ({spent:.4f} of {cap:g} {currency} are spent): {left}; "
                "raise cost_cap and run the same command to go on"
            )
        failed = ", ".join(f"{count:,} x {reason}" for reason, count in self._hearing.failures())
        raise Refused(f"{left}: {self._trouble or failed}; the same command asks for what is missing")
