"""LLaMA-Factory's registry of data sets, `dataset_info.json`, with the kit's entries generated.

LLaMA-Factory 0.9 opens the file without an encoding, ignores a key that it does not know, and takes each column and
tag left out as null once `columns` or `tags` is there. So the file is ASCII, and every column and tag is written.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from distill.records import written_whole
from reward_plugins.errors import Refused


def sharegpt_entry(file_name: str) -> dict[str, Any]:
    """The entry of a file whose rows are `conversations` (turns of from/value, human and gpt) and `system`.

    `file_name` is relative to the folder of `dataset_info.json`.
    """
    return {
        "file_name": file_name,
        "formatting": "sharegpt",
        "ranking": False,
        "columns": {
            "messages": "conversations",
            "system": "system",
            "tools": None,
            "images": None,
            "videos": None,
            "audios": None,
            "chosen": None,
            "rejected": None,
            "kto_tag": None,
            "prompt": None,
            "query": None,
            "response": None,
            "history": None,
        },
        "tags": {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "human",
            "assistant_tag": "gpt",
            "observation_tag": "observation",
            "function_tag": "function_call",
            "system_tag": "system",
        },
    }


def register(path: Path, name: str, entry: dict[str, Any]) -> None:
    """Put an entry into a `dataset_info.json`; the others stay as they are. Raises `Refused` for a broken file."""
    registry: Any = {}
    if path.exists():
        try:
            registry = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            raise Refused(f"{path}: not JSON; mend it, or move it away and export again") from None
    if not isinstance(registry, dict):
        raise Refused(f"{path}: not a JSON object of data sets; mend it, or move it away and export again")
    if registry.get(name) == entry:
        return
    registry[name] = entry
    with written_whole(path) as part, part.open("w", encoding="ascii") as file:
        json.dump(registry, file, ensure_ascii=True, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
