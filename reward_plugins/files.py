"""A small file written whole: what stands under its name is always one writer's complete text."""

import os
from pathlib import Path


def write_whole(file: Path, text: str) -> None:
    """Put `text` (UTF-8) under the name `file`: beside it first, on the disk before it takes the name.

    For one writer at a time; rows, which are streamed and may fill a disk, are written by `distill.records`.

    Raises:
        OSError: no such folder, no permission, no space; what stood under the name stands there still.
    """
    part = file.with_name(file.name + ".part")
    with part.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    part.replace(file)
