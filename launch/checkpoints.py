"""Which checkpoint of a run may be gone on from."""

from __future__ import annotations

from pathlib import Path


def latest(out: Path, ranks: int = 1) -> Path | None:
    """The newest checkpoint in a run's folder that was written whole; None where there is none.

    The trainer writes its state file last on the first rank, and each further rank a file of its random numbers; a run
    that was killed while it saved leaves a folder without them.
    """
    found = [path for path in out.glob("checkpoint-*") if _is_whole(path, ranks)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_whole(path: Path, ranks: int) -> bool:
    numbers = ["rng_state.pth"] if ranks == 1 else [f"rng_state_{rank}.pth" for rank in range(ranks)]
    return all((path / name).is_file() for name in ["trainer_state.json", *numbers])
