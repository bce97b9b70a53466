"""LLaMA-Factory's registry of data sets, `dataset_info.json`, with the kit's entries generated.

LLaMA-Factory 0.9 opens the file without an encoding, ignores a key that it does not know, and takes each column and
tag left out as null once `columns` or `tags` is there. So the file is ASCII, and every column and tag is written.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Literal

from distill.records import written_whole
from reward_plugins.errors import Refused

Form = Literal["sharegpt", "alpaca"]
"""LLaMA-Factory's two forms of a row: a list of turns, or `instruction`, `input` and `output`."""

COLUMNS = ("messages", "system", "tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag", "prompt", "query", "response", "history")  # fmt: skip
"""What LLaMA-Factory 0.9 reads of an entry's `columns`; it ignores any other key without a word."""

TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
"""What LLaMA-Factory 0.9 reads of an entry's `tags`, with what it takes where an entry has none: ShareGPT's names."""

_USED: dict[Form, dict[str, str]] = {
    "sharegpt": {"messages": "conversations", "system": "system"},
    "alpaca": {"prompt": "instruction", "query": "input", "response": "output", "system": "system"},
}


def entry(file_name: str, form: Form = "sharegpt", ranking: bool = False) -> dict[str, Any]:
    """The entry of a file of `form`; with `ranking`, of pairs in the columns `chosen` and `rejected`.

    `file_name` is relative to the folder of `dataset_info.json`. Rows are those of `distill.forms`.
    """
    used = dict(_USED[form])
    if ranking:
        used.pop("response", None)
        used |= {"chosen": "chosen", "rejected": "rejected"}
    return {
        "file_name": file_name,
        "formatting": form,
        "ranking": ranking,
        "columns": {column: used.get(column) for column in COLUMNS},
        "tags": dict(TAGS),
    }


def look_up(path: Path, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """What stands in a `dataset_info.json`, {} without one. Raises `Refused` for a broken one, and where `name` is taken.

    An entry is the kit's own, and may be written anew, where it names the same file.
    """
    registry: Any = {}
    if path.exists():
        try:
            registry = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark first
        except ValueError as error:
            raise Refused(f"{path}: not JSON ({error}); mend it, or move it away and export again") from None
    if not isinstance(registry, dict):
        raise Refused(f"{path}: not a JSON object of data sets; mend it, or move it away and export again")
    known = registry.get(name)
    if known is not None and (not isinstance(known, dict) or known.get("file_name") != entry["file_name"]):
        raise Refused(f"{path}: the entry {name!r} is of another file; rename it, or call this set something else")
    return registry


def register(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Put an entry into a `dataset_info.json`; the others stay as they are. Raises `Refused` as `look_up` does."""
    path = path.resolve()  # a link stays one
    if look_up(path, name, entry).get(name) == entry:
        return
    with written_whole(path, wait=True) as part, part.open("w", encoding="ascii") as file:
        registry = {**look_up(path, name, entry), name: entry}  # read once more: now nobody else writes
        json.dump(registry, file, ensure_ascii=True, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, part)
