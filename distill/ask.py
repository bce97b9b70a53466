"""The stage `distill`: asks teachers about questions and journals what they answer.

It can be stopped at any byte. Started again, it asks what is missing and nothing twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field, model_validator
from rich.progress import Progress

from distill import manifest
from distill.journal import Journal, trace_id
from distill.progress import progress_bars
from distill.prompts import Message, messages, prompt_sha256, read_prompt
from distill.questions import located
from distill.records import Question, Trace, Usage
from distill.reply import NO_REPLY, Reply, completion
from distill.stage import StageSettings
from distill.teachers import Endpoint, Failure, Teacher
from distill.throttle import Stop
from reward_plugins.errors import Refused

# An endpoint that has never answered and fails this often is set up wrongly: stop before it costs more.
_FAILURES_BEFORE_ANY_ANSWER = 8
# The same for one that did answer: so many failures in a row, and at least two for each request in flight, are an
# outage and not bad luck. What is left waits for the next run.
_FAILURES_IN_A_ROW = 32
# How often the journal is put on the disk and the bars are drawn.
_TICK_S = 1.0


class Settings(StageSettings):
    """`questions` -> `out`, a journal of traces, by `teachers`.

    Errors are final, as answers are, until a run with `retry_errors` asks for them again. A teacher is known by its
    name: give another model, or other sampling, a name of its own, since what was answered under a name is not asked
    again.
    """

    questions: Path
    out: Path
    teachers: list[Teacher] = Field(min_length=1)
    retry_errors: bool = False
    skip_bad: bool = False

    @model_validator(mode="after")
    def _one_name_each(self) -> Settings:
        twice = [name for name, count in Counter(teacher.name for teacher in self.teachers).items() if count > 1]
        if twice:
            raise ValueError(f"two teachers are called {twice[0]!r}; a trace tells its teacher by name")
        return self

    def inputs(self) -> list[Path]:
        prompts = {teacher.system_prompt for teacher in self.teachers if teacher.system_prompt}
        return [self.questions, *sorted(prompts)]

    def manifest_path(self) -> Path:
        return manifest.beside(self.out)

    def identity(self) -> dict[str, Any]:
        teachers = [teacher.identity() for teacher in self.teachers]
        return {**self.model_dump(mode="json", exclude={"teachers", "retry_errors"}), "teachers": teachers}


def run(settings: Settings) -> dict[str, Any]:
    """Ask what is missing; returns counts by teacher and the bad lines by reason.

    Nothing is asked before all questions were read. Raises `Refused` for bad input and for an endpoint that does not
    work; what was answered until then is in the journal.
    """
    stage = manifest.Run("distill", settings)
    settings.manifest_path().unlink(missing_ok=True)
    with Journal(settings.out, settings.retry_errors, settings.skip_bad) as journal:
        plans, asked, bad = _plan(settings, journal)
        counts = {"questions": asked, "bad_lines": dict(bad), "bad_traces": dict(journal.bad)}
        with progress_bars() as bars:
            for plan in plans:
                if plan.teacher.kind == "reference":
                    _copy_solutions(settings, plan, journal, bars)
            asyncio.run(_ask_all(settings, [plan for plan in plans if plan.teacher.kind == "endpoint"], journal, bars))
        spent = {plan.teacher.name: plan.counts() for plan in plans}
    summary = {**counts, "teachers": spent}
    stage.done([settings.out], summary)
    return summary


@dataclass
class Plan:
    """What one teacher is to be asked, and how far that is done.

    `offsets` are the places of the questions that are not finished, not the questions. `answered` and `errors` count
    the requests that have ended, in this run or an earlier one; `requests` and the tokens are this run's alone.
    """

    teacher: Teacher
    system: str
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    wanted: int = 0
    answered: int = 0
    errors: int = 0
    without_solution: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def ended(self) -> int:
        """The requests that need not be sent."""
        return self.answered + self.errors

    def request_ids(self, question: Question) -> tuple[list[Message], str, list[str]]:
        """The prompt of a question, its sha256, and the ids of its requests, one a sample."""
        prompt = messages(question, self.system)
        digest = prompt_sha256(prompt)
        name = self.teacher.name
        return prompt, digest, [trace_id(question.id, name, sample, digest) for sample in range(self.teacher.samples)]

    def add(self, offset: int, question: Question, journal: Journal) -> None:
        """Take a question into the plan. Runs once for each question of a resumed run, so it builds no requests."""
        *_, ids = self.request_ids(question)
        ended = [request_id for request_id in ids if request_id in journal]
        errors = sum(map(journal.is_error, ended))
        self.wanted += len(ids)
        self.errors += errors
        self.answered += len(ended) - errors
        if len(ended) < len(ids):
            self.offsets.append(offset)

    def pending(self, questions: Path, journal: Journal) -> Iterator[Request]:
        """The requests to send, in the order of the questions."""
        with questions.open("rb") as file:
            for offset in self.offsets:
                file.seek(offset)
                question = Question.model_validate_json(file.readline())
                prompt, digest, ids = self.request_ids(question)
                for sample, request_id in enumerate(ids):
                    if request_id not in journal:
                        yield Request(request_id, question, sample, prompt, digest, self.teacher.name)

    def counts(self) -> dict[str, int]:
        """What was wanted, what there is now, and what this run paid."""
        names = ("wanted", "answered", "errors", "without_solution", "requests", "prompt_tokens", "completion_tokens")
        return {name: getattr(self, name) for name in names}


class Request(NamedTuple):
    """One question to one teacher, one time."""

    id: str
    question: Question
    sample: int
    prompt: list[Message]
    prompt_sha256: str
    teacher: str

    def trace(self, reply: Reply, latency_s: float = 0.0, error: str | None = None) -> Trace:
        """The line of the journal that ends this request."""
        return Trace(
            id=self.id,
            question_id=self.question.id,
            teacher=self.teacher,
            sample=self.sample,
            reasoning=reply.reasoning,
            answer=reply.answer,
            response=reply.response,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
            latency_s=round(latency_s, 3),
            prompt_sha256=self.prompt_sha256,
            error=error,
        )


def _plan(settings: Settings, journal: Journal) -> tuple[list[Plan], int, Counter[str]]:
    """Read and check all questions once and note which are not finished. Memory: 8 bytes for each of those."""
    plans = [Plan(teacher, read_prompt(teacher.system_prompt)) for teacher in settings.teachers]
    bad: Counter[str] = Counter()
    count = 0
    for offset, question in located(settings.questions, settings.skip_bad, bad):
        count += 1
        for plan in plans:
            if plan.teacher.limit is not None and count > plan.teacher.limit:
                continue
            if plan.teacher.kind == "reference" and not question.meta.get("solution"):
                plan.without_solution += 1
                continue
            plan.add(offset, question, journal)
    return plans, count, bad


def _copy_solutions(settings: Settings, plan: Plan, journal: Journal, bars: Progress) -> None:
    """The teacher "reference": the worked solution and the gold, without any request."""
    bar = bars.add_task(plan.teacher.name, total=plan.wanted, completed=plan.ended, note="")
    for request in plan.pending(settings.questions, journal):
        solution, gold = str(request.question.meta["solution"]), request.question.gold
        journal.append(request.trace(Reply(solution, gold, completion(solution, gold), "stop", Usage())))
        plan.requests += 1
        plan.answered += 1
    bars.update(bar, completed=plan.ended)


async def _ask_all(settings: Settings, plans: list[Plan], journal: Journal, bars: Progress) -> None:
    """Run the endpoints side by side; after the first error nothing new starts, and what is on its way may arrive."""
    stop = Stop()
    async with contextlib.AsyncExitStack() as lines:
        asking = [
            Asking(plan, await lines.enter_async_context(Endpoint(plan.teacher, stop)), settings.questions, journal)
            for plan in plans
            if plan.offsets
        ]
        workers = [asyncio.create_task(each.work()) for each in asking for _ in range(each.workers)]
        ticker = asyncio.create_task(_tick(asking, journal, bars))
        with _gentle_interrupt(stop, bars) as interrupted:
            try:
                if workers:
                    _, running = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
                    stop.set()
                    if running:
                        _say_waiting(bars)
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


def _say_waiting(bars: Progress) -> None:
    bars.console.print("Stopping: waiting for the answers that are on their way. Ctrl-C drops them.")


@contextlib.contextmanager
def _gentle_interrupt(stop: Stop, bars: Progress) -> Iterator[list[bool]]:
    """The first Ctrl-C starts nothing more and waits for the answers that are paid; the second drops them."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    presses: list[bool] = []

    def pressed() -> None:
        presses.append(True)
        if stop and task is not None:
            task.cancel()
        else:
            stop.set()
            _say_waiting(bars)

    if threading.current_thread() is not threading.main_thread():
        yield presses
        return
    loop.add_signal_handler(signal.SIGINT, pressed)
    try:
        yield presses
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _tick(asking: list[Asking], journal: Journal, bars: Progress) -> None:
    """Once a second, and once more at the end: sync the journal and move the bars."""
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
        except asyncio.CancelledError:
            ended = True
    for plan, bar in lines:
        bars.update(bar, completed=plan.ended)


class Asking:
    """One teacher at work: takes requests, journals outcomes, and stops when the endpoint does not work."""

    def __init__(self, plan: Plan, endpoint: Endpoint, questions: Path, journal: Journal) -> None:
        self.plan = plan
        self.workers = min(plan.teacher.concurrency, plan.wanted - plan.ended)
        self._endpoint = endpoint
        self._journal = journal
        self._pending = plan.pending(questions, journal)
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
        self._journal.append(request.trace(outcome, latency_s))
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
            raise Refused(
                f"teacher {self.plan.teacher.name!r}: {self._in_a_row} requests in a row failed, the last with "
                f"{failure.reason!r}; run the same command again when {self._endpoint.url} works, with "
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
