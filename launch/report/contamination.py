"""Test questions that stand in the training data, as `finr1 overlap` flagged them, and the scores without them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval_adapters.reviews import json_lines
from reward_plugins.errors import Refused

LISTED = 40
"""Flagged questions listed for each set: enough to judge the flags by."""

Flags = Mapping[str, list[dict[str, Any]]]
"""By the test question's id: the flags that name it."""


def read_flags(files: list[Path]) -> dict[str, list[dict[str, Any]]]:
    """The training questions that `finr1 overlap` found to copy a test question, by the test question's id.

    Raises:
        Refused: a file is missing, or is none that `finr1 overlap` wrote.
    """
    flags: dict[str, list[dict[str, Any]]] = {}
    for file in files:
        if not file.is_file():
            raise Refused(f"no overlap file at {file}; finr1 overlap writes it")
        for flag in json_lines(file):
            if not {"id", "why", "of", "kind", "similarity"} <= set(flag):
                raise Refused(f"{file} is no overlap file: its rows lack id, why, of, kind or similarity")
            if flag["why"] == "contaminated":
                flags.setdefault(flag["of"], []).append(flag)
    return flags


def flagged_rows(questions: Mapping[str, str], flags: Flags) -> list[dict[str, Any]]:
    """What is shown of each flagged question of a set (`questions`: text by id): how many copies, and the nearest."""
    listed = []
    for name, question in questions.items():
        if copies := flags.get(name):
            nearest = max(copies, key=lambda flag: flag["similarity"])
            kept = {key: nearest[key] for key in ("kind", "similarity")}
            listed.append({"id": name, "question": question, "copies": len(copies), "of": nearest["id"], **kept})
    return listed
