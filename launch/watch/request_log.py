"""The gateway's request log, read as it grows: who answered, when, how fast, how it ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FIRST_READ = 64 * 1024 * 1024
"""Bytes of an old log that a new watcher still reads, some 400 000 requests; what lies before is not counted."""


@dataclass(frozen=True)
class Answered:
    """One request: `begin` in seconds since 1970, `bucket` the user's place (-1 without), times in seconds.

    `first_byte_s` is None where nothing came. `cut` says by whom the answer was cut short: "server", "client" or "".
    """

    begin: float
    version: str
    route: str
    bucket: int
    status: int
    first_byte_s: float | None
    total_s: float
    cut: str


class RequestLog:
    """Reads what was added since the last time; a log that was emptied or replaced is read from its start."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._place: int | None = None

    def new(self) -> Iterator[Answered]:
        """The requests that ended since the last call; a line that is not whole yet is left for the next one."""
        if not self._file.is_file():
            return
        size = self._file.stat().st_size
        with self._file.open("rb") as log:
            if self._place is None:
                self._place = max(0, size - FIRST_READ)
                if log.seek(self._place):
                    self._place += len(log.readline())  # most likely a piece of a line
            elif size < self._place:
                self._place = 0
            log.seek(self._place)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                # HAProxy's own notices stand between, and in a log of before error-log-format lines that are no JSON.
                if line.startswith(b"{") and not line.startswith(b'{"begin_ms":-'):
                    yield _read(line)


def _read(line: bytes) -> Answered:
    row = json.loads(line)
    # The first letter of HAProxy's termination state: who ended the session early, `-` for nobody; small for a time-out.
    cut = {"S": "server", "C": "client"}.get(row["end"][0].upper(), "")
    return Answered(
        begin=row["begin_ms"] / 1000,
        version=row["version"],
        route=row["route"],
        bucket=row["bucket"],
        status=row["status"],
        first_byte_s=row["first_byte_ms"] / 1000 if row["first_byte_ms"] >= 0 else None,
        total_s=row["total_ms"] / 1000,
        cut=cut if row["status"] < 400 else "",
    )
