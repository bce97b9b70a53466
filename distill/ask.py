"""The stage `distill`: asks teachers about questions and journals what they answer.

It can be stopped at any byte. Started again, it asks what is missing and nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator
from rich.box import SIMPLE
from rich.progress import Progress
from rich.table import Table

from distill import ledger, manifest
from distill.batch_files import BatchLimits, Outstanding
from distill.cost_cap import check_cap
from distill.endpoint import Endpoint, Failure
from distill.interrupt import gentle_interrupt, say_waiting
from distill.journal import Journal
from distill.ledger import Account, CapReached, Ledger
from distill.plan import Plan, Request, Survey
from distill.progress import progress_bars
from distill.records import Trace, Usage, read_records
from distill.reply import NO_REPLY, Reply, completion
from distill.stage import StageSettings
from distill.teachers import Teacher
from distill.throttle import Stop
from reward_plugins.errors import Refused

# An endpoint that has never answered and fails this often is set up wrongly: stop before it costs more.
_FAILURES_BEFORE_ANY_ANSWER = 8
# The same for one that did answer: so many failures in a row, and at least two for each request in flight, are an
# outage and not bad luck. What is left waits for the next run.
_FAILURES_IN_A_ROW = 32
# How often the journal is put on the disk and the bars are drawn.
_TICK_S = 1.0

Serve = Callable[[Teacher], AbstractContextManager[tuple[str, str]]]
"""Starts the server of a teacher with `serve`; gives its base_url and the model's name there."""


class Settings(StageSettings):
    """`questions` -> `out`, a journal of traces, by `teachers`.

    Errors are final, as answers are, until a run with `retry_errors` asks for them again. What a teacher answered to
    another prompt, as another model or with other sampling is no answer to this recipe: it is asked again, unless
    `keep_changed`. `cost_cap` is the most that may be spent, by currency, over all runs with this `out`; it is a
    ceiling, since a request counts at its most from before it is sent until its bill is known.
    """

    questions: Path
    out: Path
    teachers: list[Teacher] = Field(min_length=1)
    cost_cap: dict[str, float] = Field(default_factory=dict)
    batch: BatchLimits = BatchLimits()
    retry_errors: bool = False
    keep_changed: bool = False
    skip_bad: bool = False

    @model_validator(mode="after")
    def _one_name_each(self) -> Settings:
        twice = [name for name, count in Counter(teacher.name for teacher in self.teachers).items() if count > 1]
        if twice:
            raise ValueError(f"two teachers are called {twice[0]!r}; a trace tells its teacher by name")
        return self

    @model_validator(mode="after")
    def _cap_can_be_kept(self) -> Settings:
        check_cap(self.cost_cap, self.teachers)
        return self

    def inputs(self) -> list[Path]:
        prompts = {teacher.system_prompt for teacher in self.teachers if teacher.system_prompt}
        for teacher in self.teachers:
            prompts |= {path for instruction in teacher.instructions for path in (instruction.zh, instruction.en)}
        return [self.questions, *sorted(prompts)]

    def manifest_path(self) -> Path:
        return manifest.beside(self.out)

    def identity(self) -> dict[str, Any]:
        teachers = [teacher.identity() for teacher in self.teachers]
        away = {"teachers", "retry_errors", "cost_cap", "batch"}
        return {**self.model_dump(mode="json", exclude=away), "teachers": teachers}


def run(settings: Settings, serve: Serve | None = None) -> dict[str, Any]:
    """Ask what is missing; returns counts by teacher, the ledger and the bad lines by reason.

    Nothing is asked before all questions were read; `serve` is called for teachers that are asked. Raises `Refused`
    for bad input and for an endpoint that does not work, and `CapReached` where `cost_cap` leaves something unasked;
    what was answered until then is in the journal.
    """
    stage = manifest.Run("distill", settings)
    settings.manifest_path().unlink(missing_ok=True)
    with opened(settings) as (journal, book), progress_bars() as bars:
        survey = surveyed(settings, journal, Outstanding(settings.out).ids)
        gc.freeze()
        for plan in survey.plans:
            _say_changed(plan, settings, bars)
        for plan in survey.plans:
            if plan.teacher.kind == "reference":
                _copy_solutions(settings, plan, journal, bars)
        try:
            with contextlib.ExitStack() as servers:
                asked = [plan for plan in survey.plans if plan.teacher.kind == "endpoint" and plan.left]
                lines = {plan.teacher.name: _line(plan.teacher, serve, servers) for plan in asked}
                asyncio.run(_ask_all(settings, asked, lines, journal, book, bars))
        finally:
            _show(survey.plans, book, bars)
        if book.reached:
            raise CapReached(_cap_told(settings, survey.plans, book))
        summary = _summary(survey, journal, book)
    stage.done([settings.out], summary)
    return summary


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[tuple[Journal, Ledger]]:
    """The journal of a recipe and its ledger, which is made from the journal where there is none."""
    with _rare_collections(), Journal(settings.out, settings.retry_errors, settings.skip_bad) as journal:
        path = ledger.beside(settings.out)
        is_new = not path.is_file()
        with Ledger(path, settings.cost_cap) as book:
            if is_new:
                book.seed(read_records(settings.out, Trace, settings.skip_bad), settings.teachers)
            Outstanding(settings.out).reconcile(book)
            yield journal, book


def surveyed(settings: Settings, journal: Journal, out: Collection[str]) -> Survey:
    """All questions held against the journal; `out` are the requests that wait in batch files."""
    plans = [Plan(teacher, journal, settings.keep_changed, out) for teacher in settings.teachers]
    return Survey(settings.questions, plans, settings.skip_bad)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python's cycle collector come seventy times less often: it took a fifth of the processor's time.

    Requests and records are freed by reference counts; what else they leave behind is little. What the block freezes
    (the plan, which stays to the end) is not walked at all.
    """
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _line(teacher: Teacher, serve: Serve | None, servers: contextlib.ExitStack) -> Teacher:
    """The teacher as it is reached: one with `serve` is where its server is."""
    if teacher.serve is None or serve is None:
        return teacher
    base_url, model = servers.enter_context(serve(teacher))
    return teacher.model_copy(update={"base_url": base_url, "model": model})


def _summary(survey: Survey, journal: Journal, book: Ledger) -> dict[str, Any]:
    return {
        "questions": survey.count,
        "bad_lines": dict(survey.bad),
        "bad_traces": dict(journal.bad),
        "teachers": {plan.teacher.name: plan.counts() for plan in survey.plans},
        "ledger": {name: account.as_json() for name, account in sorted(book.accounts.items())},
    }


def _say_changed(plan: Plan, settings: Settings, bars: Progress) -> None:
    if plan.changed:
        what = "they are kept (keep_changed)" if settings.keep_changed else "asked again; keep_changed: true keeps them"
        bars.console.print(
            f"teacher {plan.teacher.name!r}: {plan.changed:,} requests were answered under this name by another model, "
            f"to another prompt or with other settings: {what}",
            markup=False,
        )


def _show(plans: list[Plan], book: Ledger, bars: Progress) -> None:
    """Below the last state of the bars, the table of what was asked and what it cost, where anything was sent."""
    if not any(plan.requests for plan in plans if plan.teacher.kind == "endpoint"):
        return
    bars.stop()
    table = Table("teacher", title="all runs so far, as billed", title_justify="left", box=SIMPLE)
    for name in ("answered", "errors", "requests (retries)", "tokens in (cached)", "tokens out", "cost"):
        table.add_column(name, justify="right")
    for plan in plans:
        account = book.accounts.get(plan.teacher.name, Account())
        cost = ", ".join(f"{cost:,.4f} {currency}" for currency, cost in sorted(account.cost.items())) or "-"
        table.add_row(
            plan.teacher.name,
            f"{plan.answered:,} of {plan.wanted:,}",
            f"{plan.errors:,}",
            f"{account.requests:,} ({account.retries:,})",
            f"{account.prompt_tokens:,} ({account.cached_tokens:,})",
            f"{account.completion_tokens:,}",
            cost + (f" ({account.uncounted:,} requests at their most)" if account.uncounted and account.cost else ""),
        )
    bars.console.print(table)


def _cap_told(settings: Settings, plans: list[Plan], book: Ledger) -> str:
    told = []
    for currency in sorted(book.reached):
        held = sum(hold.cost for hold in book.held.values() if hold.currency == currency)
        waits = f", {held:.4f} more is held for batch files" if held else ""
        told.append(
            f"{book.spent(currency):.4f} of {settings.cost_cap[currency]:g} {currency} are spent{waits}, and the next "
            "request could cost more than what is left"
        )
    left = ", ".join(f"{plan.left:,} of {plan.teacher.name!r}" for plan in plans if plan.left)
    return f"the cost cap is reached: {'; '.join(told)}; not asked: {left}; raise cost_cap and run the same command to go on"


def _copy_solutions(settings: Settings, plan: Plan, journal: Journal, bars: Progress) -> None:
    """The teacher "reference": the worked solution and the gold, without any request."""
    bar = bars.add_task(plan.teacher.name, total=plan.wanted, completed=plan.ended, note="")
    for request in plan.pending(settings.questions):
        solution, gold = str(request.question.meta["solution"]), request.question.gold
        journal.append(request.trace(Reply(solution, gold, completion(solution, gold), "stop", Usage())))
        plan.requests += 1
        plan.answered += 1
    bars.update(bar, completed=plan.ended)


async def _ask_all(
    settings: Settings, plans: list[Plan], lines: dict[str, Teacher], journal: Journal, book: Ledger, bars: Progress
) -> None:
    """Run the endpoints side by side; after the first error nothing new starts, and what is on its way may arrive."""
    stop = Stop()
    async with contextlib.AsyncExitStack() as endpoints:
        asking = [
            Asking(
                plan,
                await endpoints.enter_async_context(Endpoint(lines[plan.teacher.name], stop, book)),
                settings.questions,
                journal,
            )
            for plan in plans
        ]
        workers = [asyncio.create_task(each.work()) for each in asking for _ in range(each.workers)]
        ticker = asyncio.create_task(_tick(asking, journal, book, bars))
        with gentle_interrupt(stop, bars) as interrupted:
            try:
                if workers:
                    _, running = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
                    stop.set()
                    if running:
                        say_waiting(bars)
                        await asyncio.wait(running)
            finally:
                for task in (ticker, *workers):
                    task.cancel()
                await asyncio.gather(ticker, *workers, return_exceptions=True)
                if interrupted:
                    raise KeyboardInterrupt
        for worker in workers:
            worker.result()
        for each in asking:
            each.finish()


async def _tick(asking: list[Asking], journal: Journal, book: Ledger, bars: Progress) -> None:
    """Once a second, and once more at the end: sync journal and ledger, and move the bars."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    lines = [(each.plan, bars.add_task(each.plan.teacher.name, total=each.plan.wanted, note="")) for each in asking]
    ended = False
    while not ended:
        for plan, bar in lines:
            rate = plan.completion_tokens / max(loop.time() - started, _TICK_S)
            bars.update(bar, completed=plan.ended, note=f"{rate:,.0f} tokens/s")
        try:
            await asyncio.sleep(_TICK_S)
            await asyncio.to_thread(journal.sync)
            book.flush()
            await asyncio.to_thread(book.sync)
        except asyncio.CancelledError:
            ended = True
    for plan, bar in lines:
        bars.update(bar, completed=plan.ended)


class Asking:
    """One teacher at work: takes requests, journals outcomes, and stops when the endpoint does not work."""

    def __init__(self, plan: Plan, endpoint: Endpoint, questions: Path, journal: Journal) -> None:
        self.plan = plan
        self.workers = min(plan.teacher.concurrency, plan.left)
        self._endpoint = endpoint
        self._journal = journal
        self._pending = plan.pending(questions)
        self._held_back: list[tuple[Trace, Failure]] = []
        self._in_a_row = 0

    async def work(self) -> None:
        """One of `concurrency` workers: they share one iterator, so nothing is queued and memory stays flat."""
        for request in self._pending:
            outcome = await self._endpoint.ask(request.prompt)
            if outcome is None:
                return
            self._ended(request, *outcome)

    def finish(self) -> None:
        """After the last request: an endpoint that answered none is refused."""
        if self._held_back:
            self._refuse_endpoint()

    def _ended(self, request: Request, outcome: Reply | Failure, latency_s: float) -> None:
        self.plan.requests += 1
        if isinstance(outcome, Failure):
            self._failed(request.trace(NO_REPLY, latency_s, outcome.reason), outcome)
            return
        self.plan.prompt_tokens += outcome.usage.prompt_tokens or 0
        self.plan.completion_tokens += outcome.usage.completion_tokens or 0
        self._in_a_row = 0
        for held, _ in self._held_back:
            self._journal_error(held)
        self._held_back.clear()
        self._journal.append_soon(request.id, request.line(outcome, latency_s), answered=True)
        self.plan.answered += 1

    def _failed(self, trace: Trace, failure: Failure) -> None:
        if not self.plan.answered:
            # It may be the endpoint and not the questions: their errors are not final before it has answered once.
            self._held_back.append((trace, failure))
            if len(self._held_back) >= _FAILURES_BEFORE_ANY_ANSWER:
                self._refuse_endpoint()
            return
        self._journal_error(trace)
        if failure.blame == "request":
            return
        self._in_a_row += 1
        if self._in_a_row >= max(_FAILURES_IN_A_ROW, 2 * self.plan.teacher.concurrency):
            said = f" ({failure.detail})" if failure.detail else ""
            raise Refused(
                f"teacher {self.plan.teacher.name!r}: {self._in_a_row} requests in a row failed, the last with "
                f"{failure.reason!r}{said}; run the same command again when {self._endpoint.url} works, with "
                "retry_errors: true for the questions that failed"
            )

    def _journal_error(self, trace: Trace) -> None:
        self._journal.append(trace)
        self.plan.errors += 1

    def _refuse_endpoint(self) -> None:
        reason, times = Counter(failure.reason for _, failure in self._held_back).most_common(1)[0]
        detail = next((f.detail for _, f in self._held_back if f.reason == reason and f.detail), "")
        said = f" ({detail})" if detail else ""
        raise Refused(
            f"teacher {self.plan.teacher.name!r}: {self._endpoint.url} has answered none of "
            f"{len(self._held_back)} requests; {times} of them ended with {reason!r}{said}; "
            "check base_url, model and the teacher's settings"
        )
