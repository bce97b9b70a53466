"""What the aliases stand for on this machine: a link for each, for servers, and one file, for who must know the version.

    <registry>/serving/champion        -> the model folder of the champion; a server's `model` stays the same
    <registry>/serving/serving.json    the version, folder and weights' hash of each alias

Both are derived from the registry's aliases, which alone are true, and each is replaced as a whole.
"""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from reward_plugins.files import write_whole

_FILE = "serving.json"


class Served(BaseModel):
    """A version as a server needs it: its number, its folder on this machine, and the hash of what lies there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    model: Path
    sha256: str


_SERVED = TypeAdapter(dict[str, Served])


def link(registry: Path, alias: str) -> Path:
    """The path that a server's recipe names as its `model`; it leads to the alias's folder, now and after a promotion."""
    return registry / "serving" / alias


def served(registry: Path) -> dict[str, Served]:
    """What each alias stood for when a `finr1 models` command last ended; {} before the first one.

    {} also of a file that is broken: the next `finr1 models` command writes it anew.
    """
    file = registry / "serving" / _FILE
    try:
        told: dict[str, Served] = _SERVED.validate_json(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return told


def follow(registry: Path, aliases: dict[str, Served]) -> None:
    """Make links and file say this and nothing else; what says it already is left alone."""
    place = registry / "serving"
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        if old.is_symlink() and old.name not in aliases:
            old.unlink()
    for alias, version in aliases.items():
        path = link(registry, alias)
        if not path.is_symlink() or path.readlink() != version.model:
            part = path.with_name(f"{alias}.part")
            part.unlink(missing_ok=True)
            part.symlink_to(version.model)
            part.replace(path)
    if served(registry) != aliases:
        content = {alias: version.model_dump(mode="json") for alias, version in aliases.items()}
        write_whole(place / _FILE, json.dumps(content, indent=1) + "\n")
