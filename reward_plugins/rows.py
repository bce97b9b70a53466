"""One row of a data set, in either of the kit's shapes: a question (`gold`) or a GRPO row (`solution`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from reward_plugins.errors import Refused


def meta_of(meta: Any) -> dict[str, Any]:
    """A row's `meta` as a dict; in GRPO sets it is a JSON string, because a column must have one type in all rows.

    Raises `Refused` for a string that is no JSON object.
    """
    if meta is None or meta == "":
        return {}
    if isinstance(meta, str):
        try:
            meta = json.loads(meta)
        except ValueError:
            raise Refused("a row's meta is no JSON; write it with json.dumps, or leave the column out") from None
    if meta is not None and not isinstance(meta, Mapping):
        raise Refused("a row's meta is no JSON object; write one, or leave the column out")
    return dict(meta or {})


def fields_of(row: Mapping[str, Any]) -> tuple[str, str, str, dict[str, Any]]:
    """A row's id, gold, question and meta, ready for `verify`.

    What stands beside `meta` in a question (`choices`, `unit`, `answer_type`, and `source` as the data set's name) is
    added to it, and never takes the place of what `meta` says itself. Raises `Refused` where there is no gold.
    """
    gold = row.get("gold", row.get("solution"))
    if gold is None:
        raise Refused(f"row {row.get('id', '?')!r} has neither `gold` nor `solution`; name the gold's column so")
    meta = meta_of(row.get("meta"))
    for key, source in (
        ("choices", "choices"),
        ("unit", "unit"),
        ("answer_type", "answer_type"),
        ("dataset", "source"),
    ):
        if row.get(source) not in (None, ""):
            meta.setdefault(key, row[source])
    return str(row.get("id", "")), str(gold), str(row.get("question") or ""), meta
