"""The files of batch APIs: requests in OpenAI's JSON Lines form, results as they come back, and what is still out.

A request is `{"custom_id", "method", "url", "body"}`; a result `{"custom_id", "response": {"status_code", "body"},
"error"}`, as OpenAI defined them and DashScope and others took them over. What stands in `<journal>.batches/` is out:
it is not asked by the other way. A request leaves its file when its result is read; a file that is taken away by hand
gives its requests back.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from distill.endpoint import NEVER_AGAIN, Failure
from distill.ledger import Ledger
from distill.plan import Request
from distill.records import Usage, numbered_lines, written_whole
from distill.reply import Reply, Unusable, reply_of
from distill.teachers import Teacher

_ID = re.compile(rb'\{"custom_id":"([0-9a-f]{32})"')
# An error's code is the endpoint's word; only what looks like a code is repeated, since it may quote the request.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{1,40}")


class BatchLimits(BaseModel):
    """How large a batch file may be, and the address that its requests name.

    The defaults are OpenAI's limits.
    """

    model_config = ConfigDict(extra="forbid")

    url: str = "/v1/chat/completions"
    max_rows: int = Field(default=50_000, ge=1)
    max_bytes: int = Field(default=200_000_000, ge=1)


class Result(NamedTuple):
    """One line of a result file."""

    custom_id: str
    outcome: Reply | Failure


class Place(NamedTuple):
    """Where a result stands."""

    path: Path
    offset: int
    is_answer: bool


def request_line(request: Request, url: str) -> bytes:
    """A request as a line of a batch file."""
    body = {**request.teacher.sampling(), "messages": request.teacher.wire(request.prompt)}
    return to_json({"custom_id": request.custom_id, "method": "POST", "url": url, "body": body}) + b"\n"


def read_result(line: bytes, prefill: str = "") -> Result | None:
    """A result; None for a line that is none. What expired or failed on the endpoint's side may be asked again."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("custom_id"), str):
        return None
    response = row.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    if not isinstance(response, dict) or not isinstance(status, int):
        error = row.get("error")
        code = str(error.get("code")) if isinstance(error, dict) else ""
        return Result(row["custom_id"], Failure(code if _CODE.fullmatch(code) else "no response"))
    if status != 200:
        return Result(row["custom_id"], Failure(f"http {status}", again=status not in NEVER_AGAIN))
    try:
        return Result(row["custom_id"], reply_of(response.get("body"), prefill))
    except Unusable as reason:
        return Result(row["custom_id"], Failure(str(reason), billed=True, usage=reason.usage))


def result_places(paths: Iterable[Path], counts: Counter[str]) -> dict[str, Place]:
    """Where the result of each request stands, in whatever order they came. Memory: about 250 bytes a result.

    Of several results for one request an answer goes before an error, and then the first counts. `counts` gets
    `results`, `twice`, `truncated` (a last line that breaks off: fetch the file again) and `unreadable`.
    Raises `Refused` for a file that is not there.
    """
    places: dict[str, Place] = {}
    for path in paths:
        for _, offset, line in numbered_lines(path):
            result = read_result(line)
            if result is None:
                counts["unreadable" if line.endswith(b"\n") else "truncated"] += 1
                continue
            counts["results"] += 1
            place = Place(path, offset, isinstance(result.outcome, Reply))
            known = places.get(result.custom_id)
            counts["twice"] += known is not None
            if known is None or (place.is_answer and not known.is_answer):
                places[result.custom_id] = place
    return places


class Outstanding:
    """The requests of a journal that are out in batch files, one file a teacher and number: `<teacher>-0001.jsonl`."""

    def __init__(self, journal: Path) -> None:
        self.folder = journal.with_name(journal.name + ".batches")

    @property
    def ids(self) -> set[str]:
        """The custom ids of all that is out. Memory: about 150 bytes each."""
        return {custom_id for path in self.files() for line in _lines(path) if (custom_id := _id(line))}

    def files(self) -> list[Path]:
        """The files, in order."""
        return sorted(self.folder.glob("*.jsonl"))

    def next_path(self, teacher: Teacher) -> Path:
        """A path for the teacher's next file."""
        numbers = [path.stem.rpartition("-")[2] for path in self.folder.glob(f"{teacher.name}-*.jsonl")]
        last = max((int(number) for number in numbers if number.isdigit()), default=0)
        return self.folder / f"{teacher.name}-{last + 1:04}.jsonl"

    def reconcile(self, book: Ledger) -> None:
        """Void the ledger's promises for files that are gone."""
        there = {path.name for path in self.files()}
        for key in [key for key in book.held if key.endswith(".jsonl") and key not in there]:
            book.release(key)

    def take_back(self, ids: Collection[str], teachers: Mapping[str, Teacher], book: Ledger) -> int:
        """Take out the requests whose results were read; returns how many are still out.

        A file that is empty then is deleted, and what the ledger holds for the others becomes less.
        """
        left = 0
        for path in self.files():
            if not any(_id(line) in ids for line in _lines(path)):
                left += sum(1 for _ in _lines(path))
                continue
            teacher = teachers.get(path.stem.rpartition("-")[0])
            rows, cost = _without(path, ids, teacher)
            if not rows:
                path.unlink()
                book.release(path.name)
            elif teacher:
                book.hold(path.name, teacher, cost)
            left += rows
        return left


def _without(path: Path, ids: Collection[str], teacher: Teacher | None) -> tuple[int, float]:
    """Leave these requests out of a file; returns how many are left and the most that they can cost."""
    rows, cost = 0, 0.0
    with written_whole(path) as part, part.open("wb") as out:
        for line in _lines(path):
            if _id(line) not in ids:
                out.write(line)
                rows += 1
                cost += most(line, teacher) if teacher else 0.0
        out.flush()
        os.fsync(out.fileno())
    return rows, cost


def _id(line: bytes) -> str:
    """The custom id of a request's line; "" for a line that is not ours."""
    found = _ID.match(line)
    return found[1].decode() if found else ""


def most(line: bytes, teacher: Teacher) -> float:
    """The most that a request of a batch file can cost."""
    return teacher.bill(Usage(), teacher.worst(json.loads(line)["body"]["messages"]), batch=True)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from lines


def as_row(path: Path, rows: int, cost: float, teacher: Teacher) -> dict[str, Any]:
    """A written file, for the summary."""
    bill = {"most": round(cost, 4), "currency": teacher.prices.currency} if teacher.prices else {}
    return {"file": str(path), "requests": rows, "bytes": path.stat().st_size, **bill}
