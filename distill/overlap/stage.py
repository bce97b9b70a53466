"""The stage `overlap`: which training questions stand in a test set, or repeat an earlier one.

It writes two files. `out` names each such question once, for `finr1 export`, which trains on none of them:
`{"id", "why": "contaminated" | "duplicate", "of", "set", "similarity", "kind"}`. `<out>.pairs.jsonl` shows the same
pairs to a person, with both questions and the runs of words or characters that they share.
"""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, TextIO

from pydantic import Field, model_validator
from rapidfuzz.distance import Levenshtein
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from distill import manifest
from distill.overlap.contamination import Match, TestIndex, fold_question
from distill.overlap.duplicates import Frequencies, Seen, repeats
from distill.overlap.folding import fold, tokens
from distill.progress import progress_bars
from distill.questions import located, questions_at, read_questions
from distill.records import Question, written_whole
from distill.sources import Source
from distill.spread import Cores, Engine
from distill.stage import StageSettings
from reward_plugins.errors import Refused

_SHOWN = 10  # rows of the table: enough to judge by, few enough to be read
_RUNS = 6  # of what two questions share, the longest runs


class Settings(StageSettings):
    """`questions` -> `out`, by comparison with every test question and with each other.

    Test questions come from `tests`, files that `finr1 prepare` wrote, and from `test_sources`, entries of the catalogue
    as in a recipe of `prepare`. `renumbered: false` lets a question pass that differs from a test question in its
    numbers only, as those of a generator do. `duplicates` is how alike the wordings of two training questions must be
    (0 to 1) for the later to be left out; null keeps them all.
    """

    questions: Path
    out: Path
    tests: list[Path] = Field(default_factory=list)
    test_sources: list[Source] = Field(default_factory=list)
    renumbered: bool = True
    duplicates: float | None = Field(default=0.8, gt=0.5, le=1)
    skip_bad: bool = False

    @model_validator(mode="after")
    def _has_something_to_do(self) -> Settings:
        if not self.tests and not self.test_sources and self.duplicates is None:
            raise ValueError("nothing to compare with: name tests or test_sources, or set duplicates")
        return self

    def inputs(self) -> list[Path]:
        return sorted({self.questions, *self.tests, *(file for source in self.test_sources for file in source.files())})

    def manifest_path(self) -> Path:
        return manifest.beside(self.out)


class Flag(NamedTuple):
    """Why one training question is left out: its row in `out`, less the id."""

    why: Literal["contaminated", "duplicate"]
    of: str
    set: str
    similarity: float
    kind: str


class _Test(NamedTuple):
    id: str
    set: str
    question: str


def run(settings: Settings, engine: Engine | None = None) -> dict[str, Any]:
    """Flag questions; returns counts by reason, kind and set. Raises `Refused` for bad input.

    The comparison with test questions is done by `engine`, by default the cores of this machine.

    Memory: the test questions, and about 1 KB for each training question where `duplicates` is set.
    """
    if not settings.questions.is_file():
        raise Refused(f"{settings.questions}: no such file; `finr1 prepare` writes it")
    stage = manifest.Run("overlap", settings)
    engine = engine or Cores()
    bad: Counter[str] = Counter()
    counts: dict[str, Counter[str]] = {"why": Counter(), "kind": Counter(), "set": Counter()}
    examples: list[tuple[str, Flag]] = []
    questions = 0
    with progress_bars() as bars, ExitStack() as files:
        bar = bars.add_task("tests", total=None, note="")
        index, tests = _tests(settings, bad)
        bars.update(bar, completed=len(tests), total=len(tests))
        out, pairs = _open(files, settings.out), _open(files, pairs_path(settings.out))
        bar = bars.add_task("overlap", total=None, note="")
        for questions, (question, flag, original) in enumerate(_flags(settings, index, tests, bad, engine), 1):
            if flag is not None:
                for name, counter in counts.items():
                    counter[getattr(flag, name)] += 1
                row = {"id": question.id, **flag._asdict(), "similarity": round(flag.similarity, 3)}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                row |= {"question": question.question, "original": original}
                row["shared"] = shared_runs(question.question, original)
                pairs.write(json.dumps(row, ensure_ascii=False) + "\n")
                if len(examples) < _SHOWN:
                    examples.append((question.id, flag))
            if questions % 256 == 0:
                bars.update(bar, completed=questions, note=f"{counts['why'].total():,} flagged")
        bars.update(bar, completed=questions, total=questions, note=f"{counts['why'].total():,} flagged")
        for file in (out, pairs):
            file.flush()
            os.fsync(file.fileno())
    _show(examples, counts["why"].total(), pairs_path(settings.out))
    result = {
        "questions": questions,
        "tests": len(tests),
        "flagged": counts["why"].total(),
        **{name: dict(sorted(counter.items())) for name, counter in counts.items()},
        "bad_lines": dict(bad),
    }
    stage.done([settings.out, pairs_path(settings.out)], result, engine=engine.name)
    return result


def pairs_path(out: Path) -> Path:
    """The file of pairs beside the file of flags."""
    return out.with_name(f"{out.stem}.pairs.jsonl")


def shared_runs(one: str, other: str) -> list[str]:
    """The longest runs of at least two tokens that two texts have in common, as they stand in the first, folded."""
    first, second = tokens(one), tokens(other)
    runs = [first[step.src_start : step.src_end] for step in Levenshtein.opcodes(first, second) if step.tag == "equal"]
    runs = sorted((run for run in runs if len(run) > 1), key=len, reverse=True)[:_RUNS]
    return ["".join(run) if not "".join(run).isascii() else " ".join(run) for run in runs]


def _tests(settings: Settings, bad: Counter[str]) -> tuple[TestIndex, list[_Test]]:
    """The index of all test questions, and what is shown of each."""
    index, tests = TestIndex(settings.renumbered), []

    def take(question: Question) -> None:
        index.add(question)
        tests.append(_Test(question.id, question.source, question.question))

    for path in settings.tests:
        for question in read_questions(path, settings.skip_bad, bad):
            take(question)
    for source in settings.test_sources:
        before = len(tests)
        for row in source.questions():
            if isinstance(row, Question) and (source.limit is None or len(tests) - before < source.limit):
                take(row)
        if len(tests) == before:
            raise Refused(f"the source {source.name!r} gave no question to compare with; look at its path and split")
    return index, tests


class _Compared(NamedTuple):
    """What every batch of training questions is compared with."""

    questions: Path
    with_tests: TestIndex


def _matches(compared: _Compared, offsets: list[int]) -> list[Match | None]:
    return [compared.with_tests.match(fold_question(each)) for each in questions_at(compared.questions, offsets)]


def _question_at(lines: BinaryIO, offset: int) -> Question:
    lines.seek(offset)
    return Question.model_validate_json(lines.readline())


def _flags(
    settings: Settings, index: TestIndex, tests: list[_Test], bad: Counter[str], engine: Engine
) -> Iterator[tuple[Question, Flag | None, str]]:
    """Each training question with its flag, if any, and the text of the question that it copies.

    Copies of test questions are found question by question, which is the engine's part; repeats in the order of the
    file, which is this process's.
    """
    frequencies = Frequencies()
    offsets = array("Q")
    for offset, question in located(settings.questions, settings.skip_bad, bad):
        offsets.append(offset)
        if settings.duplicates is not None:
            frequencies.add(fold(question.question))
    seen = Seen(frequencies)
    compared = _Compared(settings.questions.absolute(), index)  # other machines start in other folders
    nothing: Iterator[Match | None] = repeat(None, len(offsets))
    matches = engine.map(_matches, compared, offsets, len(offsets)) if len(index) else nothing
    with settings.questions.open("rb") as lines:
        for offset, match in zip(offsets, matches, strict=True):
            question = _question_at(lines, offset)
            if match is not None:
                test = tests[match.row]
                yield question, Flag("contaminated", test.id, test.set, match.similarity, match.kind), test.question
                continue
            earlier = None
            if settings.duplicates is not None:
                folded = fold_question(question)
                signature = seen.signature(folded)
                for candidate in seen.candidates(signature):
                    other = _question_at(lines, candidate)
                    how = repeats(question, folded, other, fold_question(other), frequencies, settings.duplicates)
                    if how is not None:
                        earlier = Flag("duplicate", other.id, other.source, how[1], how[0]), other.question
                        break
                else:
                    seen.add(offset, signature)
            yield question, *(earlier or (None, ""))


def _open(files: ExitStack, path: Path) -> TextIO:
    return files.enter_context(files.enter_context(written_whole(path)).open("w", encoding="utf-8"))


def _show(examples: list[tuple[str, Flag]], flagged: int, pairs: Path) -> None:
    """The first pairs by their ids; the texts, which may be private, stay in their file."""
    if not examples:
        return
    table = Table("why", "kind", "alike", "set", title=f"{len(examples)} of {flagged:,} pairs")
    for column in ("question", "copies"):
        table.add_column(column, overflow="fold")
    for name, flag in examples:
        row = (flag.why, flag.kind, f"{flag.similarity:.2f}", flag.set, name, flag.of)
        table.add_row(*(escape(text) for text in row))
    console = Console(stderr=True)
    console.print(table)
    console.print(f"with their texts: {pairs}", markup=False, highlight=False, soft_wrap=True)
