"""The manifest beside each stage's output: what went in, what came out, by which settings and code.

It answers two questions: where a file comes from, and whether a stage has to run again.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distill.records import written_whole
from distill.stage import StageSettings

# Raised when the layout of a manifest changes; older ones then count as not current.
FORMAT = 1
_COMPARED = {"settings", "code_sha256", "inputs", "outputs"}
_CHUNK = 1 << 20


def describe(path: Path) -> dict[str, Any]:
    """`sha256`, `bytes` and, for JSON Lines, `rows` of a file."""
    digest, size, rows = hashlib.sha256(), 0, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            rows += chunk.count(b"\n")
    count = {"rows": rows} if path.suffix == ".jsonl" else {}
    return {"sha256": digest.hexdigest(), "bytes": size, **count}


@dataclass
class Run:
    """One run of a stage, from its start to its manifest."""

    stage: str
    settings: StageSettings
    started: float = field(default_factory=time.time)

    def done(self, outputs: Iterable[Path], counts: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Write the manifest, as the last thing that a stage does, and return it."""
        manifest = {
            "format": FORMAT,
            "stage": self.stage,
            "settings": self.settings.identity(),
            "code_sha256": self.settings.code(),
            "inputs": {str(path): describe(path) for path in self.settings.inputs()},
            "outputs": {str(path): describe(path) for path in outputs},
            "counts": counts,
            **more,
            "versions": versions(),
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started)),
            "seconds": round(time.time() - self.started, 1),
        }
        write(self.settings.manifest_path(), manifest)
        return manifest


def write(path: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest, whole or not at all."""
    with written_whole(path) as part, part.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> dict[str, Any] | None:
    """A manifest, or None where there is none that can be read."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or not manifest.keys() >= _COMPARED:
        return None
    return manifest


def is_current(path: Path, settings: StageSettings, inputs: Iterable[Path]) -> bool:
    """Whether the stage that wrote the manifest at `path` would do the same again, and its outputs are still there.

    Compares the settings, the kit's data code, the set of inputs, and each file. A file with its old size and no
    change since the manifest was written is taken as unchanged, as `make` does; any other is hashed. The manifest's
    time is renewed after a hash that agreed, so that a fresh checkout is hashed once.
    """
    manifest = read(path)
    if manifest is None:
        return False
    known = manifest["inputs"]
    if (
        manifest["settings"] != settings.identity()
        or manifest["code_sha256"] != settings.code()
        or {str(file) for file in inputs} != known.keys()
    ):
        return False
    written = path.stat().st_mtime_ns
    hashed = False
    for name, facts in {**known, **manifest["outputs"]}.items():
        try:
            stat = Path(name).stat()
        except OSError:
            return False
        if stat.st_size != facts["bytes"]:
            return False
        if stat.st_mtime_ns >= written:
            if describe(Path(name))["sha256"] != facts["sha256"]:
                return False
            hashed = True
    if hashed:
        os.utime(path)
    return True


def beside(path: Path) -> Path:
    """The manifest of an output that is one file: `<path>.manifest.json`."""
    return path.with_name(path.name + ".manifest.json")


def of(path: Path) -> dict[str, Any] | None:
    """The manifest of the stage that wrote a file: the file's own, or its folder's."""
    for candidate in (beside(path), path.parent / "manifest.json"):
        manifest = read(candidate)
        if manifest is not None and path.resolve() in {Path(name).resolve() for name in manifest["outputs"]}:
            return manifest
    return None


def versions() -> dict[str, str]:
    """The versions of the kit and of what it reads and writes data with."""
    found = {"python": platform.python_version()}
    for name in ("finr1-kit", "pydantic", "aiohttp", "tokenizers"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
