"""Asking a judge: each question once, each reply kept, and whatever is no verdict told apart from one.

Answers and reasoning are judged in requests of their own. The judge of answers sees the question, the gold and the
answer, as in training and evaluation, and no reasoning that could talk it round; it is asked only where the rule is
undecided. The judge of reasoning is asked only about traces whose answer is right, since its request is long.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from pydantic import Field, model_validator

from distill.endpoint import Endpoint, Failure
from distill.journal import Journal, entries, trace_id, traces_at
from distill.prompts import Message, prompt_sha256, read_prompt
from distill.reasoning import Reasoning, read_dimensions, reasoning_shown
from distill.records import Dimension, JudgeVerdict, Question, Trace, Usage, Verdict
from distill.reply import NO_REPLY, Reply
from distill.teachers import Teacher
from distill.throttle import Stop
from reward_plugins.errors import Refused
from reward_plugins.judge import ANSWER_PROMPT, answer_shown, read_answer

# An endpoint that fails this often before its first reply of a run is set up wrongly or down.
_FAILURES_BEFORE_ANY_REPLY = 8
# The same for one that did reply: so many failures in a row, and at least two for each request in flight, are an outage.
_FAILURES_IN_A_ROW = 32
_REMINDER: Message = {
    "role": "user",
    "content": "Your reply could not be read. Reply with the one JSON object that was asked for, and with nothing else.",
}

_V = TypeVar("_V")


class ScreenJudge(Teacher):
    """The judge of a screen: an endpoint as a teacher is, asked at temperature 0.

    `system_prompt` is what it is told to grade reasoning; the prompt for answers is the kit's own, since rewards and
    evaluation share it. `readings`: how often one verdict is asked for until it can be read. `check_rows` traces that
    the rule has decided are judged as well, half of them right and half wrong, and `repeat_rows` verdicts are asked for
    twice: how far the judge can be trusted is measured on them.
    """

    name: str = Field(default="judge", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    system_prompt: Path | None = Path("recipes/prompts/judge_reasoning.txt")
    temperature: float | None = Field(default=0.0, ge=0)
    max_tokens: int | None = Field(default=1024, ge=1)
    timeout_s: float = Field(default=120.0, gt=0)
    readings: int = Field(default=3, ge=1)
    check_rows: int = Field(default=200, ge=0)
    repeat_rows: int = Field(default=50, ge=0)

    @model_validator(mode="after")
    def _is_a_judge(self) -> ScreenJudge:
        idle = {"kind", "samples", "limit", "instructions", "prefill"} & self.model_fields_set
        if idle:
            raise ValueError(f"a judge has no {min(idle)!r}: take it out")
        return self

    def prompts(self) -> dict[str, str]:
        """The two system prompts, by what they judge."""
        return {"answer": ANSWER_PROMPT, "reasoning": read_prompt(self.system_prompt)}

    def prompt_hashes(self) -> dict[str, str]:
        """The sha256 of the two system prompts."""
        return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in self.prompts().items()}

    def identity(self) -> dict[str, Any]:
        """What the verdicts depend on; see `Teacher.identity`."""
        return {**super().identity(), "prompts": self.prompt_hashes()}


@dataclass(frozen=True, slots=True)
class Opinion(Generic[_V]):
    """What came of asking: a value, or `why` there is none.

    `id` is the request's. `missing`: nobody has said anything yet (an outage, a stop), so a later run asks again; an
    unreadable reply and a request that the endpoint turns down are final. `usage` is what all its replies cost.
    """

    id: str
    value: _V | None
    usage: Usage = field(default_factory=Usage)
    why: str = ""
    missing: bool = False


class Replies:
    """The journal of a judge's replies, by request.

    A reply is a `Trace` whose teacher is the judge, so the journal of the distil stage serves here as well: a reply is
    on its way to the disk before it is used, and a killed run asks for none of them again. Memory: about 100 bytes a
    reply.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._journal = Journal(path)
        self._offsets = {hash(entry.id): entry.offset for entry in entries(path)}
        self._end = path.stat().st_size

    def get(self, request_id: str) -> Trace | None:
        """The reply to a request, or None."""
        offset = self._offsets.get(hash(request_id))
        if offset is None:
            return None
        (trace,) = traces_at(self.path, [offset])
        return trace

    def add(self, trace: Trace) -> None:
        """Keep a reply."""
        self._journal.append(trace)
        self._offsets[hash(trace.id)], self._end = self._end, self.path.stat().st_size

    def sync(self) -> None:
        """Put the replies on the disk; blocks, so an event loop calls it in a thread."""
        self._journal.sync()

    def __enter__(self) -> Replies:
        return self

    def __exit__(self, *exc: object) -> None:
        self._journal.close()


@dataclass
class Tally:
    """What asking came to in this run.

    `asked` replies came in this run, `recalled` ones were on the disk; `unreadable` of both hold no verdict. `failed`:
    requests without a reply, by reason.
    """

    asked: int = 0
    recalled: int = 0
    unreadable: int = 0
    failed: Counter[str] = field(default_factory=Counter)


class Asker:
    """Puts questions to one judge. After an outage it asks no more; `trouble` then says what happened."""

    def __init__(self, judge: ScreenJudge, replies: Replies, endpoint: Endpoint | None, stop: Stop) -> None:
        self.judge = judge
        self.tally = Tally()
        self.trouble = ""
        self._prompts = judge.prompts()
        self._replies = replies
        self._endpoint = endpoint
        self._stop = stop
        self._in_a_row = 0
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def about_answer(self, question: Question, extracted: str, again: bool = False) -> Opinion[tuple[bool, str]]:
        """Is this answer right, and the reason? `again` asks a second time, whatever is known."""
        shown = answer_shown(question.question, question.gold, extracted)
        return await self._opinion(question, "answer", shown, read_answer, again)

    async def about_reasoning(
        self, question: Question, trace: Trace, again: bool = False
    ) -> Opinion[dict[str, Dimension]]:
        """The four dimensions that a judge scores."""
        return await self._opinion(question, "reasoning", reasoning_shown(trace, question), read_dimensions, again)

    async def _opinion(
        self, question: Question, about: str, shown: str, read: Callable[[str], _V | None], again: bool
    ) -> Opinion[_V]:
        prompt: list[Message] = [
            {"role": "system", "content": self._prompts[about]},
            {"role": "user", "content": shown},
        ]
        # Another model or other sampling is another request; the endpoint's address is not.
        sampling = json.dumps(self.judge.sampling(), sort_keys=True)
        digest = prompt_sha256([*prompt, {"role": "sampling", "content": sampling}])
        name = f"{self.judge.name}.again" if again else self.judge.name
        first_id = trace_id(question.id, name, 0, digest)
        lock = self._asking.setdefault(first_id, asyncio.Lock())
        spent = Usage()
        async with lock:  # the same answer given twice is asked about once
            for reading in range(self.judge.readings):
                request_id = trace_id(question.id, name, reading, digest)
                reply = self._replies.get(request_id)
                if reply is None:
                    blank = Trace(
                        id=request_id,
                        question_id=question.id,
                        teacher=name,
                        model=self.judge.model or "",
                        sample=reading,
                        prompt_sha256=digest,
                    )
                    fresh = await self._fresh(blank, prompt if reading == 0 else [*prompt, _REMINDER])
                    if isinstance(fresh, str):
                        return Opinion(first_id, None, spent, fresh, missing=True)
                    reply = fresh
                else:
                    self.tally.recalled += 1
                if reply.error is not None:
                    return Opinion(first_id, None, spent, reply.error)
                spent = together(spent, reply.usage)
                value = read(_message(reply.response))
                if value is not None:
                    return Opinion(first_id, value, spent)
                self.tally.unreadable += 1
        return Opinion(first_id, None, spent, "unreadable")

    async def _fresh(self, blank: Trace, prompt: list[Message]) -> Trace | str:
        """A reply that is now on the disk, or why there is none yet."""
        if self._stop or self._endpoint is None:
            return "not asked"
        try:
            outcome = await self._endpoint.ask(prompt)
        except Refused as trouble:
            self._give_up(str(trouble))
            return "not asked"
        if outcome is None:
            return "not asked"
        latency_s = round(outcome.latency_s, 3)
        if isinstance(outcome.result, Failure):
            return self._failed(blank.model_copy(update={"latency_s": latency_s}), outcome.result)
        self._in_a_row = 0
        self.tally.asked += 1
        reply = _filled(blank, outcome.result, latency_s)
        self._replies.add(reply)
        return reply

    def _failed(self, blank: Trace, failure: Failure) -> Trace | str:
        self.tally.failed[failure.reason] += 1
        replied = self.tally.asked > 0
        if failure.blame == "request" and replied:
            # It is about this text (too long, or filtered), and would end the same way again.
            error = _filled(blank, NO_REPLY, blank.latency_s).model_copy(update={"error": failure.reason})
            self._replies.add(error)
            return error
        self._in_a_row += 1
        most = max(_FAILURES_IN_A_ROW, 2 * self.judge.concurrency) if replied else _FAILURES_BEFORE_ANY_REPLY
        if self._in_a_row >= most:
            said = f" ({failure.detail})" if failure.detail else ""
            self._give_up(f"{self._in_a_row} requests in a row failed, the last with {failure.reason!r}{said}")
        return failure.reason

    def _give_up(self, trouble: str) -> None:
        self.trouble = self.trouble or trouble
        self._stop.set()


async def decide(
    asker: Asker, reasoning: Reasoning | None, trace: Trace, question: Question, rule: Verdict
) -> tuple[Verdict, bool]:
    """The final verdict on a trace that passed the rule, or on whose answer the rule is undecided; and is it missing?

    Without a verdict of the judge it is not kept; `why` is then "judge: " and the reason, "unreadable" among them.
    """
    judged = JudgeVerdict(model=asker.judge.model or "")
    if rule.rule.status == "undecided":
        answer = await asker.about_answer(question, rule.rule.extracted)
        judged.usage = answer.usage
        if answer.value is None:
            return _final(rule, judged, f"judge: {answer.why}"), answer.missing
        correct, judged.reason = answer.value
        judged.answer = "correct" if correct else "wrong"
        if not correct:
            return _final(rule, judged, "judge: wrong"), False
    if reasoning is None or not reasoning.judged:
        return _final(rule, judged, ""), False
    scores = await asker.about_reasoning(question, trace)
    judged.usage = together(judged.usage, scores.usage)
    if scores.value is None:
        return _final(rule, judged, f"judge: {scores.why}"), scores.missing
    judged.dimensions = scores.value
    failed = reasoning.fails(scores.value)
    return _final(rule, judged, f"reasoning: {failed}" if failed else ""), False


def _final(rule: Verdict, judged: JudgeVerdict, why: str) -> Verdict:
    return rule.model_copy(update={"judge": judged, "keep": not why, "why": why or "kept"})


def together(first: Usage, second: Usage) -> Usage:
    """The sum of two usages; a count that neither tells stays None."""
    one, two = asdict(first), asdict(second)
    summed = {key: (one[key] or 0) + (two[key] or 0) for key in one if one[key] is not None or two[key] is not None}
    return Usage(**summed)


def _filled(blank: Trace, reply: Reply, latency_s: float) -> Trace:
    return blank.model_copy(
        update={
            "reasoning": reply.reasoning,
            "answer": reply.answer,
            "response": reply.response,
            "finish_reason": reply.finish_reason,
            "usage": reply.usage,
            "latency_s": latency_s,
        }
    )


def _message(response: str) -> str:
    """What a judge said after its own thinking, without the tags that a completion is brought into."""
    said = response.rpartition("</think>")[2].strip()
    return said.removeprefix("<answer>").removesuffix("</answer>")
