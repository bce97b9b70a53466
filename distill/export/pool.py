"""What there is to choose from: one pass over the questions, one over the verdicts, one over the journal's ids.

Of a trace only its id and its place are held, of a question its id and what the card counts it by.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from distill.export.settings import Settings
from distill.journal import entries, traces_at
from distill.questions import QuestionIndex, fingerprint, read_questions
from distill.records import Question, Verdict, numbered_lines, read_records
from reward_plugins.errors import Refused

# A file's name has at most 255 bytes, and a character up to four.
_LONGEST_NAME = 60


class Candidate(NamedTuple):
    """A trace that may become a row: what it is ordered by, and where it stands in the journal."""

    question_id: str
    teacher: str
    sample: int
    offset: int


class Facts(NamedTuple):
    """What a card counts a question by. `kind` is its type (`meta["type"]`), or its task where it has none."""

    source: str
    lang: str
    kind: str
    licence: str

    @classmethod
    def of(cls, question: Question) -> Facts:
        """The facts of a question."""
        kind = str(question.meta.get("type") or question.task)
        return cls(question.source, question.lang, kind, question.licence)


class Pool:
    """The kept and the wrong traces by question, the questions that may be trained on, and who passed how often.

    `passed` counts by teacher and source: "asked", "answered", "right" (by the rule) and "kept". `barred` says why a
    question is barred from training, by the hash of its id. Raises `Refused` for bad input.
    """

    def __init__(self, settings: Settings, questions: QuestionIndex, bad: Counter[str]) -> None:
        self.questions = questions
        self.barred = _barred(settings.overlap)
        self.ids: list[str] = []
        self.kept: dict[str, list[Candidate]] = {}
        self.wrong: dict[str, list[Candidate]] = {}
        self.gone = 0
        self.passed: dict[tuple[str, str], Counter[str]] = {}
        self.sources: dict[str, set[str]] = {}
        self.tests = self._tests(settings, bad)
        self._facts: dict[int, Facts] = {}
        self._read_questions(settings)
        self._read_traces(settings, bad)

    def question(self, question_id: str) -> Question:
        """A question that is known to be there."""
        question = self.questions.get(question_id)
        assert question is not None, question_id
        return question

    def _tests(self, settings: Settings, bad: Counter[str]) -> dict[str, list[Question]]:
        """The test questions by the name of their source as a file's."""
        tests: dict[str, list[Question]] = {}
        for question in read_questions(settings.test, settings.skip_bad, bad) if settings.test else ():
            tests.setdefault(_file_name(question.source), []).append(question)
            self.sources.setdefault(question.licence, set()).add(question.source)
        return tests

    def _read_questions(self, settings: Settings) -> None:
        prints = {fingerprint(question): question.id for found in self.tests.values() for question in found}
        shared: dict[Facts, Facts] = {}
        for question in self.questions:
            if (twin := prints.get(fingerprint(question)) if prints else None) is not None:
                raise Refused(
                    f"{settings.test}: {twin!r} is the same question as {question.id!r} in {settings.questions}; "
                    "a test question must not be trained on: prepare both with one `finr1 prepare`"
                )
            self.ids.append(question.id)
            facts = Facts.of(question)
            self._facts[hash(question.id)] = shared.setdefault(facts, facts)
            self.sources.setdefault(question.licence, set()).add(question.source)

    def _read_traces(self, settings: Settings, bad: Counter[str]) -> None:
        states: dict[int, tuple[str, bool]] = {}
        for verdict in read_records(settings.verdicts, Verdict, settings.skip_bad, bad):
            states[hash(verdict.trace_id)] = (verdict.rule.status, verdict.keep)
        for candidate, trace_id in _latest(settings, bad):
            state = states.get(hash(trace_id))
            if state is None:
                continue
            status, keep = state
            facts = self._facts.get(hash(candidate.question_id))
            if facts is None:
                self.gone += keep
                continue
            steps = ["asked"] + ["answered"] * (status != "error") + ["right"] * (status == "correct") + ["kept"] * keep
            self.passed.setdefault((candidate.teacher, facts.source), Counter()).update(steps)
            if keep:
                self.kept.setdefault(candidate.question_id, []).append(candidate)
            elif status == "wrong" and settings.dpo_per_question:
                self.wrong.setdefault(candidate.question_id, []).append(candidate)


def drawn(ids: Iterable[str], seed: int) -> list[str]:
    """The ids in an order drawn by the seed: its head is a fair sample of all sources, kinds and languages."""
    return sorted(ids, key=lambda each: hashlib.blake2b(f"{seed}/{each}".encode(), digest_size=8).digest())


def _latest(settings: Settings, bad: Counter[str]) -> Iterator[tuple[Candidate, str]]:
    """The last trace of each request, with its id. Of a trace with an id of another form, the line is read."""
    last: dict[int, tuple[int, str]] = {}
    for entry in entries(settings.traces, settings.skip_bad, bad):
        last[hash(entry.slot or entry.id)] = (entry.offset, entry.id)
    for offset, trace_id in last.values():
        question_id, *request = trace_id.rsplit("|", 3)
        if len(request) == 3 and request[1].isdecimal():
            yield Candidate(question_id, request[0], int(request[1]), offset), trace_id
        else:
            (trace,) = traces_at(settings.traces, [offset])
            yield Candidate(trace.question_id, trace.teacher, trace.sample, offset), trace_id


def _file_name(source: str) -> str:
    """The source without what a file's name cannot hold ("me/my_set"), and not longer than one can be."""
    return re.sub(r"[^\w.+-]+", "_", source)[:_LONGEST_NAME].strip(".") or "test"


class _Overlap(BaseModel):
    """The part of an overlap line that counts here; the rest shows a person why."""

    id: str
    why: str


def _barred(path: Path | None) -> dict[int, str]:
    """Why a question is barred, by the hash of its id. Raises `Refused` for a line that does not say so."""
    barred: dict[int, str] = {}
    for number, _, line in numbered_lines(path) if path else ():
        try:
            found = _Overlap.model_validate_json(line)
        except ValueError:
            raise Refused(f"{path}, line {number}: no id and why; `finr1 overlap` writes this file") from None
        barred[hash(found.id)] = found.why
    return barred
