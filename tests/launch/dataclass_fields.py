"""The fields of a package's dataclasses, read from its source: no version has to be importable, or even installable."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

Fields = dict[str, Any]
"""Field name -> its default; `UNREAD` for one that is no literal (a factory, a computed value)."""

UNREAD = object()


def fields_of(site: Path, files: dict[str, str]) -> Fields:
    """Name and default of all fields of the given classes, the later ones winning, as a subclass does.

    `files` maps a class name to its file under `site`, base classes first.
    """
    found: Fields = {}
    for name, file in files.items():
        tree = ast.parse((site / file).read_text(encoding="utf-8"))
        body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
        for line in body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                found[line.target.id] = _default(line.value)
    return found


def _default(value: ast.expr | None) -> Any:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "field":
        given = {word.arg: word.value for word in value.keywords}
        value = given.get("default")
    if value is None:
        return UNREAD
    try:
        return ast.literal_eval(value)
    except ValueError:
        return UNREAD
