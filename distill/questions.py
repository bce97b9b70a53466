"""Reading questions: each id once, a question by its id without holding them all, and what a check is told of one."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from distill.records import Question, numbered_lines, read_record
from reward_plugins import question_text
from reward_plugins.errors import Refused


def read_questions(path: Path, skip_bad: bool = False, bad: Counter[str] | None = None) -> Iterator[Question]:
    """Yield the questions of a JSON Lines file; see `located` for what is refused."""
    for _, question in located(path, skip_bad, bad):
        yield question


def located(
    path: Path,
    skip_bad: bool = False,
    bad: Counter[str] | None = None,
    glance: Callable[[bytes], Question | None] | None = None,
) -> Iterator[tuple[int, Question]]:
    """Yield (byte offset, question) for each line.

    What `glance` makes of a line is taken as it is, and spares the full check where it is not None.

    Raises `Refused` for a bad line and for an id that stands twice, each by its number; with `skip_bad` they are left
    out and counted by reason in `bad`. Memory: 8 bytes of hash for each id (two of a million ids meet by chance with
    a probability below 1e-7).
    """
    seen: set[int] = set()
    for number, offset, line in numbered_lines(path):
        question = glance(line) if glance else None
        question = question or read_record(line, Question, path, number, skip_bad, bad)
        if question is None:
            continue
        key = hash(question.id)
        if key in seen:
            if not skip_bad:
                raise Refused(
                    f"{path}, line {number}: the id {question.id!r} stands twice; give each question an id of its own"
                )
            if bad is not None:
                bad["duplicate id"] += 1
            continue
        seen.add(key)
        yield offset, question


def questions_at(path: Path, offsets: Iterable[int]) -> Iterator[Question]:
    """The questions whose lines start at these offsets, in their order."""
    with path.open("rb") as file:
        for offset in offsets:
            file.seek(offset)
            yield Question.model_validate_json(file.readline())


class QuestionIndex:
    """The questions of a file by id; holds where each line starts, not the lines.

    Memory: about 150 bytes a question. Raises `Refused` as `located` does.
    """

    def __init__(self, path: Path, skip_bad: bool = False, bad: Counter[str] | None = None) -> None:
        self._offsets = array("Q")
        self._row: dict[int, int] = {}
        for offset, question in located(path, skip_bad, bad):
            self._row[hash(question.id)] = len(self._offsets)
            self._offsets.append(offset)
        self._file = path.open("rb")

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[Question]:
        """The questions in the order of the file."""
        for offset in self._offsets:
            yield self._at(offset)

    def get(self, question_id: str) -> Question | None:
        """The question of that id, or None."""
        row = self._row.get(hash(question_id))
        if row is None:
            return None
        question = self._at(self._offsets[row])
        return question if question.id == question_id else None

    def offset(self, question_id: str) -> int | None:
        """Where the line of that question starts, or None; reads nothing."""
        row = self._row.get(hash(question_id))
        return None if row is None else self._offsets[row]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> QuestionIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _at(self, offset: int) -> Question:
        self._file.seek(offset)
        return Question.model_validate_json(self._file.readline())


def check_meta(question: Question) -> dict[str, Any]:
    """What `reward_plugins.verify(meta=...)` is told of a question.

    The filter, the rewards (through the GRPO column `meta`) and the benchmarks (through the test rows) all get this
    one mapping, so that they decide alike. The worked solution is left out: it is the teacher's, not the checker's.
    """
    meta = {key: value for key, value in question.meta.items() if key != "solution"}
    meta.setdefault("answer_type", question.answer_type)
    meta.setdefault("unit", question.unit)
    if question.choices is not None:
        meta.setdefault("choices", question.choices)
    return meta


def document(question: Question) -> str:
    """The document that a question comes from, as one string for all sources; a split never cuts through one.

    Some sets stand on the pages of another one, which `meta["doc_of"]` then names.
    """
    return f"{question.meta.get('doc_of') or question.source}:{question.meta.get('doc') or question.id}"


def fingerprint(question: Question) -> int:
    """A 64-bit key that is equal for questions a reader would call the same.

    Case, width of characters (NFKC) and white space do not count; context, question and choices do.
    """
    return question_text.fingerprint(question.question, question.context, question.choices)
