"""What the four stages have in common: settings that tell what a run reads and where it writes its manifest."""

from __future__ import annotations

import functools
import hashlib
from abc import abstractmethod
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class StageSettings(BaseModel):
    """The settings of a stage. An unknown key is an error."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _out_is_no_input(self) -> StageSettings:
        """What a stage reads may have cost money: it is not written over. A folder is no file, either."""
        paths = {key: value for key, value in self if isinstance(value, Path)}
        out = paths.pop("out", None)
        if out is None:
            return self
        for key, path in paths.items():
            if path.resolve() == out.resolve():
                raise ValueError(f"out and {key} are one file, {out}, which would be written over; name another `out`")
        writes_folder = out in self.manifest_path().parents
        if out.exists() and out.is_dir() != writes_folder:
            wanted = "is a file, and this stage writes a folder" if writes_folder else "is a folder; name a file in it"
            raise ValueError(f"out: {out} {wanted}")
        return self

    @abstractmethod
    def inputs(self) -> list[Path]:
        """The files that the result depends on."""

    @abstractmethod
    def manifest_path(self) -> Path:
        """Where the stage writes its manifest when it is done."""

    def identity(self) -> dict[str, Any]:
        """The settings that the result depends on, as JSON values."""
        return self.model_dump(mode="json")

    def code(self) -> str:
        """A hash of the kit's code that the result depends on; another one makes the stage run again."""
        return code_sha256()


@functools.cache
def code_sha256() -> str:
    """The hash of the code that the data depends on: a better check or generator makes the stages run again."""
    digest = hashlib.sha256()
    home = Path(__file__).resolve().parent
    for package in (home, home.parent / "reward_plugins"):
        for path in sorted(package.rglob("*.py")):
            digest.update(path.relative_to(home.parent).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
