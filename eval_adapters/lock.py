"""One process at a time for the results of a model on a set."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reward_plugins.errors import Refused


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder's results; the lock ends with the process, however that ends.

    Raises:
        Refused: another one is at work there. (Two would ask every row twice.)
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(
                f"{folder}: another run is at work there; wait for that one, or give this one its own `out`"
            ) from None
        yield
