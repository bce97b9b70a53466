"""Read the corpus files (their format is in corpus/README.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
_CODE_POINT = re.compile(r"\\u([0-9a-f]{4})")


@dataclass(frozen=True)
class Case:
    """One labelled completion; `label` is the line's first character, `where` its file and line."""

    label: str
    response: str
    gold: str
    question: str
    meta: dict[str, Any] | None
    where: str

    @property
    def right(self) -> bool:
        return self.label == "+"


def cases() -> Iterator[Case]:
    """All cases of the corpus, in order."""
    for path in sorted(CORPUS.glob("*.txt")):
        question, gold, meta = "", "", None
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if line.startswith("Q:"):
                question, gold, meta = _decoded(line[2:].strip()), "", None
            elif line.startswith("G:"):
                gold = _decoded(line[2:].strip())
            elif line.startswith("M:"):
                meta = json.loads(line[2:])
            elif line and line[0] in "+-!0?":
                whole = line[1:2] == ">"
                text = _decoded(line[2:].removeprefix(" ") if whole else line[2:])
                response = text if whole else f"<think>Some working.</think>\n<answer>{text}</answer>"
                yield Case(line[0], response, gold, question, meta, f"{path.name}:{number}")
            elif line and not line.startswith("#"):
                raise ValueError(f"{path.name}:{number}: not a line of the format")


def _decoded(text: str) -> str:
    return _CODE_POINT.sub(lambda match: chr(int(match.group(1), 16)), text).replace("⏎", "\n")
