"""The questions of a test set, in any of the forms in which the kit writes them, ready to be asked.

`finr1 export` writes `test/<source>.jsonl`, each line with its rendered `prompt`; `finr1 prepare` writes
`<split>.jsonl`, questions without one, which are put with a prompt file. `own_rows.py` reads anybody's JSON Lines.
"""

from __future__ import annotations

import hashlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eval_adapters.catalogue import Benchmark
from reward_plugins.errors import Refused
from reward_plugins.question_text import fingerprint, user_message
from reward_plugins.rows import fields_of

FAILURES = "failures.jsonl"
"""Beside the predictions: one line for each row that failed, since EvalScope itself keeps only their number."""


class Message(BaseModel):
    """One chat message of a prompt."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class Asked(BaseModel):
    """The fields of a test question that scoring and the report need; the stage that wrote them has checked the others.

    `meta` goes to `reward_plugins.verify(meta=...)` as it stands: it is the mapping that the screen and the rewards get.
    """

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1)
    source: str = ""
    lang: str
    task: str = ""
    question: str = Field(min_length=1)
    gold: str
    answer_type: str
    meta: dict[str, Any] = Field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """What the report groups rows by; `doc` is the document a question comes from, or the question itself."""
        return {
            "id": self.id,
            "source": self.source,
            "lang": self.lang,
            "task": self.task,
            "type": self._stated("type"),
            "kind": self._stated("kind") or self.task or "other",
            "level": self._stated("level"),
            "doc": self._stated("doc") or self.id,
            "answer_type": self.answer_type,
        }

    def _stated(self, name: str) -> str:
        """What `meta` says under a name, "" for nothing; the number 0 is something, such as the first level."""
        value = self.meta.get(name)
        return "" if value is None else str(value)


class SetRow(Asked):
    """A line of a test set. `prompt` is what the model is sent, message by message; [] where it is still to be made."""

    split: str = ""
    context: str = ""
    unit: str = ""
    choices: dict[str, str] | None = None
    prompt: list[Message] = Field(default_factory=list)

    @property
    def user_message(self) -> str:
        """The question as the kit puts it everywhere."""
        return user_message(self.question, self.context, self.choices, "zh" if self.lang == "zh" else "en")

    @property
    def fingerprint(self) -> int:
        """A key that is equal for questions a reader would call the same."""
        return fingerprint(self.question, self.context, self.choices)


Reader = Callable[[bytes, int], SetRow]
"""A line and its number as a row; raises pydantic's `ValidationError` or `Refused` for a line that is none."""


def subset_file(path: Path, subset: str) -> Path:
    """The file of a subset: `<path>/<subset>.jsonl`, or `path` itself where it is a file of that stem.

    Raises:
        Refused: nothing is there. (EvalScope would take a missing path for the name of a data set on a hub.)
    """
    if path.is_file() and path.suffix == ".jsonl":
        if path.stem != subset:
            raise Refused(f"{path} holds the subset {path.stem!r}, not {subset!r}; name its folder, or that subset")
        return path
    file = path / f"{subset}.jsonl"
    if not file.is_file():
        there = ", ".join(sorted(found.stem for found in path.glob("*.jsonl"))) or "no *.jsonl file"
        raise Refused(f"no test set at {file}: " + (f"the folder holds {there}" if path.is_dir() else "no such folder"))
    return file


def read_rows(
    path: Path, subset: str, benchmark: Benchmark | None = None, system_prompt: str = "", read: Reader | None = None
) -> list[SetRow]:
    """The rows of a subset that a benchmark asks, in file order, each with its prompt.

    `system_prompt` is the text put before questions that have no prompt of their own.

    Raises:
        Refused: a line is no test row (named by its number), two rows share an id, a prompt does not end with a user
            message, questions and prompt file do not go together, or there are no rows.
    """
    file = subset_file(path, subset)
    rows: list[SetRow] = []
    seen: dict[str, int] = {}
    passed_over: set[str] = set()
    for number, row in read_lines(file, read or _kit_row):
        if row.id in seen:
            raise Refused(
                f"{file}, lines {seen[row.id]} and {number}: both have the id {row.id!r}; give each row its own"
            )
        if row.prompt and row.prompt[-1].role != "user":
            raise Refused(f"{file}, line {number}: the prompt does not end with a user message")
        seen[row.id] = number
        if benchmark and not _wanted(row, benchmark):
            passed_over.add(f"{row.source}/{row.task}" if row.source in benchmark.sources else row.source)
            continue
        rows.append(row)
    if not rows and benchmark and passed_over:
        wanted = ", ".join(benchmark.tasks or benchmark.sources)
        raise Refused(f"{file} has no row of {wanted}, which {benchmark.name} asks; it has {', '.join(passed_over)}")
    if not rows:
        raise Refused(f"{file} is empty; there is nothing to ask")
    return _with_prompts(rows, system_prompt, file)


def read_lines(file: Path, read: Reader) -> Iterator[tuple[int, SetRow]]:
    """Yield (number from 1, row) for each line that is not blank; `Refused` names the first bad line.

    A byte order mark in front, as some editors write it, is no part of the first line.
    """
    with file.open("rb") as lines:
        if lines.read(len(BOM_UTF8)) != BOM_UTF8:
            lines.seek(0)
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                line.decode()
                yield number, read(line, number)
            except UnicodeDecodeError:
                raise Refused(f"{file}, line {number}: not UTF-8; save the file as UTF-8 (it may be GBK)") from None
            except ValidationError as error:
                raise Refused(
                    f"{file}, line {number}: {_plain(error)}; mend the line, or export the set again"
                ) from None
            except Refused as error:
                raise Refused(f"{file}, line {number}: {error}") from None


def read_prompt(path: Path | None) -> str:
    """The text of a prompt file without the white space around it, "" for None; `Refused` where there is none."""
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        where = path.absolute()
        raise Refused(f"{where}: no prompt can be read there; the kit's own are in its recipes/prompts/") from None
    if not text:
        raise Refused(f"{path}: the prompt file is empty")
    return text


def content_hash(path: Path, subset: str) -> str:
    """`sha256:...` of a subset's bytes: the data's identity, wherever the file lies."""
    return file_hash(subset_file(path, subset))


def file_hash(file: Path) -> str:
    """`sha256:...` of a file's bytes."""
    with file.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def checked(row: SetRow) -> SetRow:
    """The row with all in `meta` that the check is told, and nothing of the worked solution."""
    meta = fields_of(row.model_dump(include={"id", "gold", "question", "meta", "choices", "unit", "answer_type"}))[3]
    meta.pop("solution", None)
    return row.model_copy(update={"meta": meta})


def _kit_row(line: bytes, _: int) -> SetRow:
    return SetRow.model_validate_json(line)


def _wanted(row: SetRow, benchmark: Benchmark) -> bool:
    here = not benchmark.sources or row.source in benchmark.sources
    return here and (not benchmark.tasks or row.task in benchmark.tasks)


def _with_prompts(rows: list[SetRow], system_prompt: str, file: Path) -> list[SetRow]:
    bare = sum(not row.prompt for row in rows)
    if bare not in (0, len(rows)):
        raise Refused(f"{file}: {bare} of {len(rows)} rows have no prompt; give it to all or to none")
    if not bare and system_prompt:
        raise Refused(f"{file}: its rows have their prompts already, made by the export; leave system_prompt out")
    if bare and not system_prompt:
        raise Refused(
            f"{file}: its rows are questions without a prompt; name a prompt file, "
            "such as system_prompt: recipes/prompts/think_answer.txt"
        )
    system = Message(role="system", content=system_prompt)
    return [
        checked(row)
        if row.prompt
        else checked(row).model_copy(update={"prompt": [system, Message(role="user", content=row.user_message)]})
        for row in rows
    ]


def _plain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "not a JSON object"
    return f"{'.'.join(str(part) for part in first['loc']) or 'the line'}: {first['msg'].lower()}"
