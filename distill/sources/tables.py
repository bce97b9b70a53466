"""Tables as the kit shows them to a model."""

from __future__ import annotations

from collections.abc import Sequence


def markdown(rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; the first row is the header. Short rows are filled up; a cell is one line, its "|" escaped."""
    if not rows:
        return ""
    width = max(len(row) for row in rows)
    lines = []
    for row in rows:
        cells = [" ".join(str(cell).split()).replace("|", "\\|") for cell in row]
        lines.append("| " + " | ".join(cells + [""] * (width - len(cells))) + " |")
    lines.insert(1, "|" + " --- |" * width)
    return "\n".join(lines)
