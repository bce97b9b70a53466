"""What is still to be asked: the questions read once, and each request told from those that have ended."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from pydantic_core import from_json, to_json

from distill.journal import Journal, trace_id
from distill.prompts import Message, hashed, messages, prompt_sha256, read_prompt
from distill.questions import located
from distill.records import Question, Trace
from distill.reply import Reply
from distill.teachers import Teacher


class Request(NamedTuple):
    """One question to one teacher, one time."""

    id: str
    question: Question
    sample: int
    prompt: list[Message]
    teacher: Teacher

    def trace(self, reply: Reply, latency_s: float = 0.0, error: str | None = None) -> Trace:
        """How this request ended."""
        return Trace(**self._row(reply, latency_s, error))

    def line(self, reply: Reply, latency_s: float) -> bytes:
        """The trace of an answer as the journal's line, in a third of the time that making the trace first takes."""
        return to_json(self._row(reply, latency_s, None)) + b"\n"

    def _row(self, reply: Reply, latency_s: float, error: str | None) -> dict[str, Any]:
        return {
            "id": self.id,
            "question_id": self.question.id,
            "teacher": self.teacher.name,
            "model": self.teacher.model or "",
            "sample": self.sample,
            "reasoning": reply.reasoning,
            "answer": reply.answer,
            "response": reply.response,
            "finish_reason": reply.finish_reason,
            "usage": reply.usage,
            "latency_s": round(latency_s, 3),
            "prompt_sha256": prompt_sha256(self.prompt),
            "error": error,
        }

    @property
    def custom_id(self) -> str:
        """The id of this request in a batch file."""
        return custom_id(self.id)


def custom_id(request_id: str) -> str:
    """A request's id as batch files take it: at most 64 plain characters, whatever a question's id is."""
    return hashlib.sha256(request_id.encode()).hexdigest()[:32]


class Look(NamedTuple):
    """How one question stands with one teacher, in requests."""

    wanted: int = 0
    answered: int = 0
    errors: int = 0
    in_batch: int = 0
    changed: int = 0
    without_solution: int = 0

    @property
    def left(self) -> int:
        """The requests that are to be sent."""
        return self.wanted - self.answered - self.errors - self.in_batch


# What most questions of a resumed run are.
_ANSWERED = Look(wanted=1, answered=1)


@dataclass
class Plan:
    """What one teacher is to be asked, and how far that is done.

    `offsets` are the places of the questions that are not finished, not the questions. `answered` and `errors` count
    the requests that have ended, in this run or an earlier one, `in_batch` those that wait for a batch's results;
    `changed` were answered under the teacher's name by another model or otherwise asked. `requests` and the tokens
    are this run's alone.
    """

    teacher: Teacher
    journal: Journal
    keep_changed: bool = False
    out: Collection[str] = ()
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    wanted: int = 0
    answered: int = 0
    errors: int = 0
    in_batch: int = 0
    changed: int = 0
    without_solution: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        self._system = read_prompt(self.teacher.system_prompt)
        self._instructions = [
            (each, {"zh": read_prompt(each.zh), "en": read_prompt(each.en)}) for each in self.teacher.instructions
        ]
        self._asked_by = hashlib.sha256()
        if self.teacher.kind == "endpoint":
            mark = self.teacher.prefill.mark if self.teacher.prefill else {}
            settings = json.dumps([self.teacher.sampling(), mark], sort_keys=True)
            self._asked_by.update(settings.encode() + b"\0")
        self._asked_by_system = self._asked_by.copy()
        self._asked_by_system.update(f"system\0{self._system}\0".encode())
        self._is_first_run = not len(self.journal) and not self.out
        self._unasked = Look(wanted=self.teacher.samples)

    @property
    def ended(self) -> int:
        """The requests that need not be sent."""
        return self.answered + self.errors + self.in_batch

    @property
    def left(self) -> int:
        """The requests that are to be sent."""
        return self.wanted - self.ended

    def prompt(self, question: Question) -> list[Message]:
        """What the teacher is shown: system prompt, question and instruction, and how its answer begins."""
        prompt = messages(question, self._system)
        for instruction, texts in self._instructions:
            if instruction.applies(question):
                prompt[-1]["content"] += "\n\n" + texts[question.lang]
        if self.teacher.prefill:
            prompt.append({"role": "assistant", "content": self.teacher.prefill.text})
        return prompt

    def request_ids(self, question: Question, prompt: list[Message]) -> list[str]:
        """The ids of a question's requests, one a sample: all that an answer depends on is in them.

        That is the prompt, the model and what goes into the request beside it; not the address, nor the patience.
        """
        # The system prompt is the same for all questions, and this runs a million times on a resume.
        digest = (self._asked_by_system if self._system else self._asked_by).copy()
        rest = prompt[1:] if self._system else prompt
        digest.update(hashed(rest))
        asked, teacher = digest.hexdigest(), self.teacher
        if teacher.samples == 1:
            return [trace_id(question.id, teacher.name, 0, asked)]
        return [trace_id(question.id, teacher.name, sample, asked) for sample in range(teacher.samples)]

    def look(self, question: Question, number: int) -> Look:
        """How question `number` (from 1) stands. Runs once for each question of a resumed run."""
        if self.teacher.limit is not None and number > self.teacher.limit:
            return Look()
        if self.teacher.kind == "reference" and not question.meta.get("solution"):
            return Look(without_solution=1)
        journal = self.journal
        if self._is_first_run:
            return self._unasked
        request_ids = self.request_ids(question, self.prompt(question))
        if len(request_ids) == 1 and journal.is_answered(request_ids[0]):
            return _ANSWERED
        wanted = answered = errors = in_batch = changed = 0
        for request_id in request_ids:
            wanted += 1
            if request_id in journal:
                errors += (failed := journal.is_error(request_id))
                answered += not failed
            elif self.out and custom_id(request_id) in self.out:
                in_batch += 1
            elif journal.answered_otherwise(request_id):
                changed += 1
                answered += self.keep_changed
        return Look(wanted, answered, errors, in_batch, changed)

    def add(self, look: Look, times: int) -> None:
        """Count so many questions that stand alike."""
        self.wanted += times * look.wanted
        self.answered += times * look.answered
        self.errors += times * look.errors
        self.in_batch += times * look.in_batch
        self.changed += times * look.changed
        self.without_solution += times * look.without_solution

    def at(self, question: Question) -> Iterator[Request]:
        """The requests of a question that have not ended."""
        prompt = self.prompt(question)
        for sample, request_id in enumerate(self.request_ids(question, prompt)):
            kept = self.keep_changed and self.journal.answered_otherwise(request_id)
            if request_id not in self.journal and not kept:
                yield Request(request_id, question, sample, prompt, self.teacher)

    def pending(self, questions: Path) -> Iterator[Request]:
        """The requests to send, in the order of the questions; their lines were checked by `Survey`."""
        with questions.open("rb") as file:
            for offset in self.offsets:
                file.seek(offset)
                for request in self.at(unchecked(file.readline())):
                    if not self.out or request.custom_id not in self.out:
                        yield request

    def counts(self) -> dict[str, int]:
        """What was wanted, what there is now, and what this run paid."""
        paid = ("requests", "prompt_tokens", "completion_tokens")
        return {name: getattr(self, name) for name in (*Look._fields, *paid)}


class Survey:
    """All questions of a file, read once and held against the journal.

    A question whose requests have all ended is not checked again, only read: that is what makes a resumed run start
    soon. Any other one is checked in full. Memory: 8 bytes for each that is not finished.
    """

    def __init__(self, questions: Path, plans: list[Plan], skip_bad: bool = False) -> None:
        self.plans = plans
        self.bad: Counter[str] = Counter()
        self.count = 0
        self._finished: tuple[Look, ...] = ()
        alike: Counter[tuple[Look, ...]] = Counter()
        resumed = any(len(plan.journal) for plan in plans)
        for offset, question in located(questions, skip_bad, self.bad, self._glance if resumed else None):
            self.count += 1
            looks: tuple[Look, ...] = self._finished
            self._finished = ()
            if not looks:
                looks = tuple([plan.look(question, self.count) for plan in plans])
                for plan, look in zip(plans, looks, strict=True):
                    if look.left:
                        plan.offsets.append(offset)
            alike[looks] += 1
        for looks, times in alike.items():
            for plan, look in zip(plans, looks, strict=True):
                plan.add(look, times)

    def _glance(self, line: bytes) -> Question | None:
        """The question of a line without any check, if nothing is left to ask about it."""
        self._finished = ()
        try:
            question = unchecked(line)
            looks = tuple([plan.look(question, self.count + 1) for plan in self.plans])
        except (ValueError, KeyError, TypeError, AttributeError):
            return None  # the full check says what is wrong with it
        for look in looks:
            if look is not _ANSWERED and look.left:
                return None
        self._finished = looks
        return question


def unchecked(line: bytes) -> Question:
    """What stands for the question of a line: the same names, nothing checked, in half the time."""
    return cast(Question, _Glanced(from_json(line, cache_strings="keys")))


class _Glanced:
    """A question's attributes, as they stand in its line."""

    context = unit = ""
    choices: dict[str, str] | None = None
    meta: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, row: dict[str, Any]) -> None:
        self.__dict__ = row
