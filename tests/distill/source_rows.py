"""Files of rows in the formats that sources come in, and what a source makes of one."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

from distill.questions import check_meta
from distill.records import Question
from distill.sources import LeftOut, Source
from reward_plugins.golds import refusal


def write(path: Path, rows: Any) -> Path:
    """Rows in the format that the suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8-sig", newline="") as out:
            table = csv.DictWriter(out, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)
    return path


def read(name: str, path: Path, **more: Any) -> tuple[list[Question], list[LeftOut]]:
    """The good and the bad rows of a source; each good gold is accepted as its own answer."""
    rows = list(Source.model_validate({"name": name, "path": path, **more}).questions())
    good = [row for row in rows if isinstance(row, Question)]
    for question in good:
        assert refusal(question.gold, question.question, check_meta(question)) == ""
        assert question.source == name and question.meta["dataset"] == name and question.meta["type"]
    return good, [row for row in rows if isinstance(row, LeftOut)]
