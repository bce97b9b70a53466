"""The same verdict in other trainers: one small file each, named in the trainer's own configuration (docs/bridges.md).

The files are not named like the trainers: some put this folder on their path, where `verl` must stay the package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def row_of(label: Any) -> dict[str, Any]:
    """The row behind a label, for trainers that pass the gold's column and no other.

    The column may hold the whole row (`{"gold": ..., "question": ..., "meta": ...}`, as a dict or as JSON), so that the
    question and the meta count; anything else is the gold itself.
    """
    row = label
    if isinstance(label, str) and label.startswith("{"):
        try:
            row = json.loads(label)
        except ValueError:
            row = label  # a gold may begin with a brace
    return dict(row) if isinstance(row, Mapping) and ("gold" in row or "solution" in row) else {"gold": str(label)}
