"""The journal: one line for each finished request, so that a killed run goes on where it stopped.

A line is a `Trace`. It is handed to the kernel as soon as the request has ended, together with those that end in the same
turn of the event loop and before the loop looks at the network again, so `kill -9` loses no finished request; `sync`, called about once a second, bounds what a power cut could lose. The first key of a line is
the trace's id and the last is its error, so resuming reads both ends of a line and parses none.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from distill.records import Trace, full_disk_refused, numbered_lines, read_record, written_whole
from reward_plugins.errors import Refused

_HEAD = re.compile(rb'\{"id":"(([^"\\]+\|[^"\\|]+\|\d+)\|[0-9a-f]+)"')
_ANSWERED = b'"error":null}\n'
# Enough of the hash to tell two ways of asking one question apart: 64 bits.
_ASKED_DIGITS = 16


def trace_id(question_id: str, teacher: str, sample: int, asked_sha256: str) -> str:
    """The identity of one request: asked otherwise, it is another request. Teacher names hold no "|".

    `asked_sha256` is the hash of all that the answer depends on: the prompt, the model and how it samples.
    """
    return f"{question_id}|{teacher}|{sample}|{asked_sha256[:_ASKED_DIGITS]}"


def slot_of(request_id: str) -> str:
    """A request without the hash of how it was asked: "question|teacher|sample"."""
    return request_id.rpartition("|")[0]


class Entry(NamedTuple):
    """Where a finished request stands in a journal.

    `slot` is "question|teacher|sample": the id without the hash of how it was asked, whatever id an edited line has.
    """

    offset: int
    id: str
    answered: bool
    slot: str

    @property
    def question_id(self) -> str:
        """The question that was asked."""
        return self.slot.rsplit("|", 2)[0]


def entries(path: Path, skip_bad: bool = False, bad: Counter[str] | None = None) -> Iterator[Entry]:
    """Yield an entry for each line of a journal, in the order in which the requests ended.

    Lines as `Journal` writes them cost about a microsecond each; others (edited by hand) are parsed as a `Trace`, and
    refused or left out as `read_record` does.
    """
    for number, offset, line in numbered_lines(path):
        head = _HEAD.match(line)
        if head and line.endswith(b"}\n"):
            yield Entry(offset, head[1].decode(), line.endswith(_ANSWERED), head[2].decode())
            continue
        trace = read_record(line, Trace, path, number, skip_bad, bad)
        if trace is not None:
            slot = f"{trace.question_id}|{trace.teacher}|{trace.sample}"
            yield Entry(offset, trace.id, trace.error is None, slot)


def traces_at(path: Path, offsets: Iterable[int]) -> Iterator[Trace]:
    """The traces at these offsets, in their order. Raises `Refused` for a line that is no trace."""
    with path.open("rb") as file:
        for offset in offsets:
            file.seek(offset)
            try:
                yield Trace.model_validate_json(file.readline())
            except ValidationError:
                raise Refused(f"{path}: the line at byte {offset} is no trace; take it out and run again") from None


class Journal:
    """An append-only journal, held by one process at a time.

    Opening it heals a torn last line, then notes which requests have ended. An answer is final; an error is final,
    too, unless `retry_errors`, which takes the errors out first. Memory: about 130 bytes for each request.
    Raises `Refused` where another process holds the journal, for a broken line in its midst (see `read_record`), and
    for a full disk.
    """

    def __init__(self, path: Path, retry_errors: bool = False, skip_bad: bool = False) -> None:
        self.path = path
        self.bad: Counter[str] = Counter()
        self._finished: set[int] = set()
        self._errors: set[int] = set()
        self._new_slots = array("q")
        self._answered_slots: set[int] = set()
        self._unwritten: list[bytes] = []
        self._trouble: OSError | Refused | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = _open_locked(path)
        try:
            _heal(self._fd)
            if retry_errors:
                self._drop_errors(skip_bad)
            for _, request_id, answered, slot in entries(path, skip_bad, self.bad):
                self._note(request_id, answered, slot)
        except BaseException:
            os.close(self._fd)
            raise
        self._end = os.lseek(self._fd, 0, os.SEEK_END)

    def __contains__(self, request_id: str) -> bool:
        return hash(request_id) in self._finished

    def __len__(self) -> int:
        return len(self._finished)

    def is_answered(self, request_id: str) -> bool:
        """Whether a request has ended with an answer."""
        key = hash(request_id)
        return key in self._finished and key not in self._errors

    def is_error(self, request_id: str) -> bool:
        """Whether a request has ended without an answer."""
        return hash(request_id) in self._errors

    def answered_otherwise(self, request_id: str) -> bool:
        """Whether the question, teacher and sample of this request have an answer, to this or another way of asking."""
        self._answered_slots.update(self._new_slots)
        del self._new_slots[:]
        return hash(slot_of(request_id)) in self._answered_slots

    def append(self, trace: Trace) -> None:
        """Write one finished request. After a failed write only whole lines are left."""
        self._unwritten.append(trace.model_dump_json().encode() + b"\n")
        self.flush()
        self._note(trace.id, trace.error is None, slot_of(trace.id))

    def append_soon(self, request_id: str, line: bytes, answered: bool) -> None:
        """The same for a trace that is a line, with its end, already; in an event loop.

        All lines of one turn of the loop are one write at its end: at 256 requests at once that is one for fifty.
        Where it fails, this raises when it is called next, and so does `close`.
        """
        if self._trouble is not None:
            raise self._trouble
        if not self._unwritten:
            asyncio.get_running_loop().call_soon(self._flush_turn)
        self._unwritten.append(line)
        self._note(request_id, answered, slot_of(request_id))

    def flush(self) -> None:
        """Hand to the kernel what was appended. Raises `Refused` for a full disk."""
        lines, done = b"".join(self._unwritten), 0
        self._unwritten.clear()
        try:
            while done < len(lines):
                done += os.write(self._fd, lines[done:])
            self._end += done
        except OSError:
            self._end += lines.rfind(b"\n", 0, done) + 1
            os.ftruncate(self._fd, self._end)
            with full_disk_refused(self.path):
                raise

    def _flush_turn(self) -> None:
        try:
            self.flush()
        except (OSError, Refused) as trouble:
            self._trouble = trouble

    def sync(self) -> None:
        """Put on the disk what was appended; blocks, so an event loop calls it in a thread."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Write and sync what is left and let go of the journal."""
        try:
            self.flush()
            with contextlib.suppress(OSError):  # nothing is lost that was not lost before
                self.sync()
        finally:
            os.close(self._fd)
        if self._trouble is not None:
            raise self._trouble

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *where: object) -> None:
        try:
            self.close()
        except (OSError, Refused):
            if error is None:  # what ended the block is told first
                raise

    def _note(self, request_id: str, answered: bool, slot: str) -> None:
        key = hash(request_id)
        self._finished.add(key)
        if answered:
            self._new_slots.append(hash(slot))  # a set is made of them once somebody asks; most runs never do
        else:
            self._errors.add(key)

    def _drop_errors(self, skip_bad: bool) -> None:
        """Leave the answers only, so that a request never has two lines."""
        kept = [entry.offset for entry in entries(self.path, skip_bad) if entry.answered]
        with written_whole(self.path) as part, self.path.open("rb") as old, part.open("wb") as new:
            for offset in kept:
                old.seek(offset)
                new.write(old.readline())
            new.flush()
            os.fsync(new.fileno())
        old_fd, self._fd = self._fd, _open_locked(self.path)
        os.close(old_fd)


def _open_locked(path: Path) -> int:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise Refused(
            f"{path}: another run is writing to it; wait for that one, or give this one its own `out`"
        ) from None
    return fd


def _heal(fd: int) -> None:
    """Mend a last line that a kill cut short: end it where only its newline is missing, else take it out."""
    size = os.lseek(fd, 0, os.SEEK_END)
    start, block = size, 1 << 16
    tail = b""
    while start > 0 and b"\n" not in tail:
        step = min(block, start)
        start -= step
        tail = os.pread(fd, step, start) + tail
    torn = tail[tail.rfind(b"\n") + 1 :]
    if not torn:
        return
    try:
        json.loads(torn)
    except ValueError:
        os.ftruncate(fd, size - len(torn))
    else:
        os.write(fd, b"\n")
