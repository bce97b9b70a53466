"""The kit's exported test sets: a folder with one `<subset>.jsonl`, each line a question with its rendered prompt."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reward_plugins.errors import Refused

FAILURES = "failures.jsonl"
"""Beside the predictions: one line for each row that failed, since EvalScope itself keeps only their number."""


class Message(BaseModel):
    """One chat message of a prompt."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class Asked(BaseModel):
    """The fields of a test question that scoring and the report need; the export stage has checked the others.

    `meta` goes to `reward_plugins.verify(meta=...)` as it stands: the export stage puts the same mapping into it that
    the screen and the rewards get.
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
            "kind": str(self.meta.get("kind") or self.task or "other"),
            "level": str(self.meta.get("level") or ""),
            "doc": str(self.meta.get("doc") or self.id),
            "answer_type": self.answer_type,
        }


class ExportedRow(Asked):
    """A line of an exported test set. `prompt` is what the model is sent, message by message, nothing added."""

    prompt: list[Message] = Field(min_length=1)


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


def read_rows(path: Path, subset: str) -> list[ExportedRow]:
    """All rows of a subset, in file order.

    Raises:
        Refused: a line is no test row (named by its number), two rows share an id, a prompt does not end with a user
            message, or there are no rows.
    """
    file = subset_file(path, subset)
    rows: list[ExportedRow] = []
    seen: dict[str, int] = {}
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = ExportedRow.model_validate_json(line)
            except ValidationError as error:
                raise Refused(f"{file}, line {number}: {_plain(error)}; export the test set again") from None
            if row.id in seen:
                raise Refused(
                    f"{file}, lines {seen[row.id]} and {number}: both have the id {row.id!r}; export it again"
                )
            if row.prompt[-1].role != "user":
                raise Refused(f"{file}, line {number}: the prompt does not end with a user message; export it again")
            seen[row.id] = number
            rows.append(row)
    if not rows:
        raise Refused(f"{file} is empty; export the test set again")
    return rows


def content_hash(path: Path, subset: str) -> str:
    """`sha256:...` of a subset's bytes: the data's identity, wherever the file lies."""
    with subset_file(path, subset).open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _plain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return "not a JSON object"
    return f"{'.'.join(str(part) for part in first['loc']) or 'the line'}: {first['msg'].lower()}"
