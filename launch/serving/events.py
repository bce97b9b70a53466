"""The history of a server: when it was up, when and why it went down, when it was back; one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Say = Callable[[str], None]


class Events:
    """Appends to the history of the server with this log, and says what it appends."""

    def __init__(self, log: Path, say: Say) -> None:
        self._path = events_path(log)
        self._say = say

    def note(self, state: str, said: str, **facts: Any) -> None:
        """Append a line with the time (UTC), the state and the facts; say the sentence."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "state": state, **facts}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            out.flush()
            os.fsync(out.fileno())
        self._say(said)


def events_path(log: Path) -> Path:
    """Where the history of the server with this log stands."""
    return log.with_suffix(".events.jsonl")


def history(path: Path) -> str:
    """The last state of a server and its last fall, as one line; "" where there is no history."""
    events: list[dict[str, Any]] = []
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                continue  # the last line of a machine that lost its power
    states = [event for event in events if event["state"] != "asked"]
    if not states:
        return ""
    said = f"{states[-1]['state']} since {states[-1]['at']}"
    begun = max(at for at, event in enumerate(states) if event["state"] == "starting" or at == 0)
    downs = [event for event in states[begun:] if event["state"] == "down"]
    if downs:
        said += f"; went down {len(downs)} times since its start, last at {downs[-1]['at']}: {downs[-1]['why']}"
    return said
