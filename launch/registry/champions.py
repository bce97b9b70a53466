"""The history of the champion: one event a tag of the registered model, written before the alias moves.

An event counts once the alias stands where it says. So a command that is killed between the two has changed nothing,
and the next one takes the event back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

_PREFIX = "finr1.champion."


class Event(BaseModel):
    """One change of the champion: from `was` (None for the first) to `version`.

    `over` are the objections that were overruled for `reason`; `compared` is what the paired tests said. "set elsewhere"
    is an alias that another program moved.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Literal["promoted", "rolled back", "set elsewhere"]
    version: int
    was: int | None
    at: str
    reason: str = ""
    over: list[str] = []
    compared: list[str] = []


def key(place: int) -> str:
    """The tag of the event at this place, from 1; the tags' alphabetical order is the events' order."""
    return f"{_PREFIX}{place:06d}"


def read(tags: Mapping[str, str]) -> list[Event]:
    """The events among a registered model's tags, the oldest first."""
    return [Event.model_validate_json(tags[name]) for name in sorted(tags) if name.startswith(_PREFIX)]


def succession(events: Sequence[Event]) -> list[int]:
    """The champions that a rollback goes back through, the present one last.

    A promotion adds to it and a rollback takes its last one away: two rollbacks in a row go back two promotions.
    """
    line: list[int] = []
    for event in events:
        if event.event == "rolled back" and len(line) > 1:
            line.pop()
        elif event.event != "rolled back":
            line.append(event.version)
    return line
