"""A folder in which prepare, screen and export run one after the other, on traces that are made here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill import export, prepare, screen
from distill.journal import trace_id
from distill.prompts import messages, prompt_sha256
from distill.questions import read_questions
from distill.records import Question, Trace
from distill.reply import in_one_form

KIT = Path(__file__).resolve().parents[2]
PROMPT = KIT / "recipes" / "prompts" / "think_answer.txt"
SYSTEM = PROMPT.read_text(encoding="utf-8").strip()


def made_trace(question: Question, teacher: str, sample: int, text: str, **more: Any) -> Trace:
    digest = prompt_sha256(messages(question, SYSTEM))
    reasoning, answer, response = in_one_form(text)
    fields = {"reasoning": reasoning, "answer": answer, "response": response, "finish_reason": "stop", **more}
    name = trace_id(question.id, teacher, sample, digest)
    return Trace(
        id=name,
        question_id=question.id,
        teacher=teacher,
        sample=sample,
        prompt_sha256=digest,
        **fields,
    )


class Chain:
    """A folder in which the stages run one after the other, on 40 made problems with four kinds of teachers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.questions = root / "questions" / "train.jsonl"
        self.test = root / "questions" / "test.jsonl"
        self.traces = root / "traces.jsonl"
        self.verdicts = root / "verdicts.jsonl"
        sources = [
            {"name": "finmath", "split": "train", "count": 40, "seed": 1, "levels": [1]},
            {"name": "finmath", "split": "test", "count": 12, "seed": 2, "levels": [1]},
        ]
        prepare.run(prepare.Settings.model_validate({"out": root / "questions", "sources": sources}))

    def journal(self) -> list[Trace]:
        found: list[Trace] = []
        for number, question in enumerate(read_questions(self.questions)):
            good = f"<think>{question.meta['solution']}</think><answer>{question.gold}</answer>"
            found.append(made_trace(question, "good", 0, good))
            found.append(made_trace(question, "good", 1, good.replace("<think>", "<think>Again. ")))
            found.append(made_trace(question, "lost", 0, "<think>I guess.</think><answer>-987654.25</answer>"))
            found.append(made_trace(question, "mute", 0, "<think>I cannot tell", finish_reason="length"))
            found.append(made_trace(question, "chatty", 0, good + " Good luck!"))
            found.append(made_trace(question, "dead", 0, "", error="http 500"))
            if number % 2:  # an older trace of the same request, for a prompt that has changed since
                older = found[-6].model_copy(update={"id": f"{question.id}|good|0|00ff", "response": "older"})
                found.insert(0, older)
        return found

    def screen(self, journal: list[Trace] | None = None) -> dict[str, Any]:
        write_journal(self.traces, journal or self.journal())
        return screen.run(screen.Settings(questions=self.questions, traces=self.traces, out=self.verdicts))

    def settings(self, **more: Any) -> export.Settings:
        given = {"set": "made", "root": self.root, "system_prompt": PROMPT, "test": self.test, **more}
        return export.Settings(questions=self.questions, traces=self.traces, verdicts=self.verdicts, **given)

    def rows(self, name: str) -> list[dict[str, Any]]:
        path = self.root / "datasets" / "made" / name
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_journal(path: Path, found: list[Trace]) -> None:
    path.write_text("".join(trace.model_dump_json() + "\n" for trace in found), encoding="utf-8")


def good_traces(chain: Chain, journal: list[Trace]) -> Iterator[tuple[Question, Trace]]:
    """The first right trace of each question, with the question."""
    questions = {question.id: question for question in read_questions(chain.questions)}
    for trace in journal:
        if trace.teacher == "good" and trace.sample == 0 and trace.response != "older":
            yield questions[trace.question_id], trace
