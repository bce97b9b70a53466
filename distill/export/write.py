"""Writes the chosen rows, and counts what it writes for the manifest and the card."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from distill.export import forms
from distill.export.choose import Choice, Pair
from distill.export.pool import Candidate, Facts, Pool, drawn
from distill.export.settings import Settings
from distill.journal import traces_at
from distill.prompts import messages
from distill.records import Question, Trace, write_records
from distill.reply import completion
from distill.tokens import Talk

# SFT rows that are measured in tokens for the card: a fair sample, whose quantiles are within a percent or two.
_MEASURED = 2000
_BATCH = 256


class Writer:
    """The files of a set. What is counted of them:

    `written` rows by file; `facts` rows by "sft", "dpo", "grpo" and "test"; `characters` of prompt and completion of
    each SFT row; `tokens` of a drawn sample of them (none without a tokenizer); `shown` one row of each as the student
    sees it.
    """

    def __init__(self, settings: Settings, pool: Pool, choice: Choice) -> None:
        self._settings = settings
        self._pool = pool
        self._choice = choice
        self._waiting: list[Talk] = []
        self.written: dict[Path, int] = {}
        self.facts: dict[str, Counter[Facts]] = {}
        self.characters: tuple[array[int], array[int]] = (array("I"), array("I"))
        self.tokens: array[int] = array("I")
        self.shown: dict[str, str] = {}

    def paths(self) -> list[Path]:
        """The files that this export writes."""
        names = ["sft/train.jsonl"]
        names += ["dpo/train.jsonl"] * bool(self._settings.dpo_per_question)
        names += ["grpo/train.jsonl"] * (self._settings.rl != "none")
        names += [f"test/{name}.jsonl" for name in sorted(self._pool.tests)]
        return [self._settings.folder / name for name in names]

    def write(self, chosen: Sequence[Candidate], pairs: Sequence[Pair], rl_ids: Sequence[str]) -> None:
        """Write all files, each whole or not at all."""
        rows = {
            "sft": lambda path: self._sft(chosen),
            "dpo": lambda path: self._dpo(pairs),
            "grpo": lambda path: self._grpo(rl_ids),
            "test": lambda path: self._test(self._pool.tests[path.stem]),
        }
        for path in self.paths():
            self.written[path] = write_records(path, rows[path.parent.name](path))

    def licences(self) -> Counter[str]:
        """Rows by licence, over all files."""
        found: Counter[str] = Counter()
        for facts in self.facts.values():
            for each, count in facts.items():
                found[each.licence] += count
        return found

    def _sft(self, chosen: Sequence[Candidate]) -> Iterator[dict[str, Any]]:
        measured = self._measured(chosen)
        for trace in self._traces(chosen):
            question = self._note("sft", trace.question_id)
            talk = self._choice.talk(trace)
            self._show("sft", talk)
            for lengths, text in zip(self.characters, (talk.prompt[-1]["content"], talk.completion), strict=True):
                lengths.append(len(text))
            if trace.question_id in measured:
                self._measure(talk)
            yield forms.sft_row(trace, question, self._choice.system, self._settings.form)
        self._measure(None)

    def _dpo(self, pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
        chosen, rejected = (self._traces([pair[side] for pair in pairs]) for side in (0, 1))
        for good, bad in zip(chosen, rejected, strict=True):
            question = self._note("dpo", good.question_id)
            self._show("dpo", self._choice.talk(good), f"\n\nrejected:\n\n{completion(bad.reasoning, bad.answer)}")
            yield forms.dpo_row(good, bad, question, self._choice.system, self._settings.form)

    def _grpo(self, question_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        for question_id in question_ids:
            question = self._note("grpo", question_id)
            self._show("grpo", Talk(messages(question, self._choice.system)))
            yield forms.grpo_row(question, self._choice.system)

    def _test(self, questions: Iterable[Question]) -> Iterator[dict[str, Any]]:
        for question in questions:
            self.facts.setdefault("test", Counter())[Facts.of(question)] += 1
            self._show("test", Talk(messages(question, self._choice.system)))
            yield forms.test_row(question, self._choice.system)

    def _traces(self, candidates: Sequence[Candidate]) -> Iterator[Trace]:
        return traces_at(self._settings.traces, [candidate.offset for candidate in candidates])

    def _note(self, kind: str, question_id: str) -> Question:
        question = self._pool.question(question_id)
        self.facts.setdefault(kind, Counter())[Facts.of(question)] += 1
        return question

    def _show(self, kind: str, talk: Talk, more: str = "") -> None:
        if kind not in self.shown:
            seen = self._choice.tokens.shown(talk) if self._choice.tokens else _plain(talk)
            self.shown[kind] = seen + more

    def _measured(self, chosen: Sequence[Candidate]) -> frozenset[str]:
        """The questions whose rows are measured."""
        if not self._choice.tokens or not self._settings.card:
            return frozenset()
        ids = {candidate.question_id for candidate in chosen}
        return frozenset(drawn(ids, self._settings.seed)[:_MEASURED])

    def _measure(self, talk: Talk | None) -> None:
        """Measure a row together with its neighbours; None measures those that still wait."""
        if talk is not None:
            self._waiting.append(talk)
        if self._waiting and (talk is None or len(self._waiting) == _BATCH) and self._choice.tokens:
            self.tokens.extend(self._choice.tokens.lengths(self._waiting))
            self._waiting.clear()


def _plain(talk: Talk) -> str:
    """A conversation where no chat template is known: role by role."""
    turns = [f"{message['role']}:\n{message['content']}" for message in talk.prompt]
    return "\n\n".join(turns + [f"assistant:\n{talk.completion}"] * bool(talk.completion))
