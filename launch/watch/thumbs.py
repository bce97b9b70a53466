"""Thumbs from Open WebUI's database, read-only, and the version that gave the answer each of them is for.

Open WebUI knows no versions. It knows who asked and when the answer began; the request log knows when a user's place
was answered by which version. Where the two do not meet, the version is "unknown", never guessed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from pathlib import Path

import xxhash

from launch.gateway.render import PLACES
from launch.watch.request_log import Answered

UNKNOWN = "unknown"

_BEFORE_S, _AFTER_S = 5.0, 30.0
"""A browser's clock dates the message, in whole seconds and some seconds before the request arrives."""
_KEPT = 200_000
"""Requests that are remembered, some 20 MB; thumbs for older ones are "unknown" after the watcher's next start."""

# Only these columns are read; the talk beside them stays in the database.
_RATINGS = """
SELECT id, user_id, json_extract(data, '$.rating'),
       json_extract(snapshot, '$.chat.chat.history.messages."' || json_extract(meta, '$.message_id') || '".timestamp')
FROM feedback WHERE type = 'rating'
"""


class Answers:
    """Which version answered a user's place, and when."""

    def __init__(self) -> None:
        self._by_place: dict[int, list[tuple[float, str]]] = defaultdict(list)
        self._count = 0

    def add(self, request: Answered) -> None:
        """Remember a request that was answered."""
        if request.status != 200 or request.bucket < 0:
            return
        if self._count >= _KEPT:
            self._by_place.clear()
            self._count = 0
        insort(self._by_place[request.bucket], (request.begin, request.version))
        self._count += 1

    def version(self, split: str, user: str, when: float | None) -> str:
        """Who answered the user's message of `when`: the nearest request of that place, "unknown" where none is near."""
        said = self._by_place.get(place(split, user), [])
        if when is None or not said:
            return UNKNOWN
        near = said[max(0, bisect_left(said, (when, "")) - 1) :][:3]
        begun, version = min(near, key=lambda one: abs(one[0] - when))
        return version if -_BEFORE_S <= begun - when <= _AFTER_S else UNKNOWN


def place(split: str, user: str) -> int:
    """The user's place as the gateway's configuration deals it."""
    return xxhash.xxh32(f"{split} {user}".encode()).intdigest() % PLACES


class Thumbs:
    """Counts ratings by version; one that was attributed keeps its version."""

    def __init__(self, database: Path, split: str) -> None:
        self._database, self._split = database, split
        self._versions: dict[str, str] = {}

    def count(self, answers: Answers) -> Counter[tuple[str, str]]:
        """How many thumbs each (version, "up" or "down") has now; nothing where there is no database yet.

        Raises:
            sqlite3.Error: the database is there and cannot be read, or is none of Open WebUI's.
        """
        counts: Counter[tuple[str, str]] = Counter()
        if not self._database.is_file():
            return counts
        address = f"{self._database.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
            for rating_id, user, rating, when in connection.execute(_RATINGS):
                if rating not in (1, -1):  # a thumb was taken back, or it is a ranking among several models
                    continue
                if self._versions.get(rating_id, UNKNOWN) == UNKNOWN:
                    self._versions[rating_id] = answers.version(self._split, user, when)
                counts[self._versions[rating_id], "up" if rating > 0 else "down"] += 1
        return counts
