"""Which checkpoint of a run may be gone on from."""

from __future__ import annotations

import json
from pathlib import Path


def latest(out: Path, ranks: int | None = None) -> Path | None:
    """The newest checkpoint in a run's folder that was written whole; None where there is none.

    The trainer writes its state file last on the first rank, and each rank a file of its random numbers; a run that
    was killed while it saved leaves a folder without them. `ranks` is how many processes will go on from it; None where
    the engine decides that, and one rank's file must do.
    """
    found = [path for path in out.glob("checkpoint-*") if _is_whole(path, ranks)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def to_go_on_from(out: Path, named: str | bool | None, ranks: int | None = None) -> str | None:
    """What a trainer gets as `resume_from_checkpoint` for a recipe that says `named`.

    A checkpoint that is named stands; false begins anew; for true or nothing it is the newest whole one, if any.
    """
    if isinstance(named, str):
        return named
    newest = latest(out, ranks) if named is not False else None
    return str(newest) if newest else None


def _is_whole(path: Path, ranks: int | None) -> bool:
    try:
        json.loads((path / "trainer_state.json").read_bytes())
    except (OSError, ValueError):  # a disk that filled up leaves it empty or cut off
        return False
    if ranks is None:
        return any(path.glob("rng_state*.pth"))
    numbers = ["rng_state.pth"] if ranks == 1 else [f"rng_state_{rank}.pth" for rank in range(ranks)]
    return all((path / name).is_file() for name in numbers)
