"""The three records that flow through the kit, and how a file of them is read.

Every stage talks to the next through JSON Lines, one object a line, UTF-8. Unknown keys are refused, so that a
misspelt column is found where it is written and not three stages later.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reward_plugins.errors import Refused


class Record(BaseModel):
    """A row of a stage's output. Extra keys are an error; `meta` is where a source keeps what is its own."""

    model_config = ConfigDict(extra="forbid")


class Question(Record):
    """One finance question with its gold answer.

    `context` is the report page, table or passage that the question is about ("" if none), tables as Markdown.
    `gold` is a string as the source states it; `unit` the unit that a bare number is in ("%", "元", "million", "").
    `meta` goes to `reward_plugins.verify(meta=...)` as it stands, so `exe_ans`, `scale`, `dataset`, ... live there;
    the kit itself reads `meta["doc"]` (the document that a row comes from: a split never cuts through one),
    `meta["type"]` (what it asks for: "calculation", "concept", "analysis" or "reasoning"), `meta["kind"]`,
    `meta["level"]`, `meta["solution"]` (a worked solution, taken as teacher "reference") and `meta["doubt"]`
    (why the gold may be wrong: such a question is no ground for a reward).
    """

    id: str = Field(min_length=1)
    source: str
    split: str
    lang: Literal["zh", "en"]
    task: str
    question: str = Field(min_length=1)
    context: str = ""
    gold: str
    answer_type: str
    unit: str = ""
    choices: dict[str, str] | None = None
    licence: str
    meta: dict[str, Any] = Field(default_factory=dict)


@dataclass(slots=True)
class Usage:
    """Tokens as the endpoint counted them; None where it did not say. `cached_tokens` are part of the prompt's.

    A dataclass, since a model of pydantic's takes several times as long to make, and each request makes three.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None


class Trace(Record):
    """One finished request to a teacher: an answer, or the reason why there is none.

    `response` is the whole completion in the kit's form, `<think>...</think><answer>...</answer>`, whatever way the
    endpoint returned its reasoning. `error` is None for an answer; otherwise a short reason ("http 400", "empty
    choices", ...), and `response` is "". `usage` is what was paid. `model` is the one that was asked for, "" for a
    teacher that is no model.
    """

    id: str
    question_id: str
    teacher: str
    model: str = ""
    sample: int = Field(ge=0)
    reasoning: str = ""
    answer: str = ""
    response: str = ""
    finish_reason: str = ""
    usage: Usage = Usage()
    latency_s: float = 0.0
    prompt_sha256: str
    error: str | None = None


class Dimension(Record):
    """One of the ways in which reasoning is looked at: the score in the dimension's own unit, and what it is made of."""

    score: float
    reason: str = ""


class RuleVerdict(Record):
    """What `reward_plugins.verify` said of a trace, or "error" where the teacher gave nothing to judge.

    `dimensions`: what rules measured of the reasoning (see `distill.reasoning`); {} where that was not asked.
    """

    status: Literal["correct", "wrong", "no_answer", "undecided", "error"]
    extracted: str = ""
    reason: str = ""
    dimensions: dict[str, Dimension] = Field(default_factory=dict)


class JudgeVerdict(Record):
    """What a judge said of a trace. `usage` is what its replies cost, unreadable ones included.

    `answer` is None where the rule had decided, or where no readable verdict came; so is an empty `dimensions`.
    """

    answer: Literal["correct", "wrong"] | None = None
    reason: str = ""
    dimensions: dict[str, Dimension] = Field(default_factory=dict)
    model: str
    usage: Usage = Usage()


class Verdict(Record):
    """Whether a trace is kept for training, and why. `judge` is None where no judge was needed, or none is there."""

    trace_id: str
    rule: RuleVerdict
    judge: JudgeVerdict | None = None
    keep: bool
    why: str


R = TypeVar("R", bound=Record)

# Of a file that is read from end to end: a hundred long traces for each call to the kernel, and less than a cache holds.
_READ_AHEAD = 1 << 18


def read_records(path: Path, kind: type[R], skip_bad: bool = False, bad: Counter[str] | None = None) -> Iterator[R]:
    """Yield the records of a JSON Lines file.

    A line that is no JSON object, or that breaks the record's contract, is refused by its number; with `skip_bad`
    it is left out and counted by reason in `bad`. Raises `Refused` for a missing file, too.
    """
    for number, _, line in numbered_lines(path):
        record = read_record(line, kind, path, number, skip_bad, bad)
        if record is not None:
            yield record


def numbered_lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield (number from 1, byte offset, line with its end) for each line that is not blank; `Refused` if no file."""
    if not path.is_file():
        raise Refused(f"{path}: no such file")
    offset = 0
    with path.open("rb", buffering=_READ_AHEAD) as lines:
        for number, line in enumerate(lines, 1):
            if not line.isspace():
                yield number, offset, line
            offset += len(line)


def read_record(
    line: bytes, kind: type[R], path: Path, number: int, skip_bad: bool = False, bad: Counter[str] | None = None
) -> R | None:
    """Line `number` of `path` as a record; None for a bad line that `skip_bad` leaves out; else `Refused`."""
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        reason = _plain(error)
    if not skip_bad:
        raise Refused(f"{path}, line {number}: {reason}; mend the line, or keep the good ones with --skip-bad")
    if bad is not None:
        bad[reason.split(":")[0]] += 1
    return None


def _plain(error: ValidationError) -> str:
    """The first complaint of pydantic as one short phrase, without the offending text (it may be private)."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "json_invalid":
        return "not a JSON object"
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}"
    if first["type"] == "missing":
        return f"missing key {where!r}"
    return f"bad value for {where or 'the line'}: {first['msg']}"


def write_records(path: Path, records: Iterable[Record | dict[str, Any]]) -> int:
    """Write JSON Lines so that the file is there whole or not at all; returns the number of lines."""
    count = 0
    with written_whole(path) as part, part.open("w", encoding="utf-8") as out:
        for record in records:
            row = record.model_dump() if isinstance(record, Record) else record
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
        out.flush()
        os.fsync(out.fileno())
    return count


@contextmanager
def written_whole(path: Path, wait: bool = False) -> Iterator[Path]:
    """Give a path beside `path` to write to; it takes the place of `path` once the block has ended well.

    The block flushes and syncs what it writes. After an error nothing is left behind; a full disk is `Refused`, and so
    is a path that another run is writing to, unless one is to `wait` for that.
    """
    part = path.with_name(path.name + ".part")
    with full_disk_refused(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with one_writer(part, path, wait):
            yield part
            part.replace(path)


@contextmanager
def one_writer(part: Path, path: Path, wait: bool = False) -> Iterator[None]:
    """Hold the file `part`, made for this, while `path` is written; `Refused`, or a wait, where another run holds it.

    It is gone after the block; that of a run that was killed is taken over.
    """
    fd = _taken(part, path, wait)
    try:
        yield
    finally:
        if _is_at(part, fd):
            part.unlink()
        os.close(fd)


def _taken(part: Path, path: Path, wait: bool) -> int:
    while True:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(fd)
            raise Refused(f"{path}: another run is writing to it; wait for that one, and run this again") from None
        if _is_at(part, fd):
            return fd
        os.close(fd)  # another run has just put it into its place


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def full_disk_refused(path: Path) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" inside the block into `Refused`."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Refused(f"{path}: the disk is full; free some space and run the same command again") from None
