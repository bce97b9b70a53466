"""Questions and golds of one's own: a JSON object a line, columns by the kit's names or by yours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from eval_adapters.rows import Reader, SetRow
from reward_plugins.errors import Refused

COLUMNS = ("question", "gold", "id", "context", "choices", "unit", "answer_type", "task", "lang", "meta", "doc")
"""What `columns` may name; the first two must be there."""

_LETTERS = "ABCDEFGH"
_TEXTS = ("question", "gold", "id", "context", "unit", "answer_type", "task", "lang")


def reader(columns: Mapping[str, str]) -> Reader:
    """How a line is read; `columns` is {the kit's name: the file's name}, by default they are the same.

    `answer` and `solution` stand for `gold`, the letters A, B, ... for `choices` and the line's number for `id`, where
    these are not there. `lang` is "zh" where the question has a Chinese character. Raises `Refused` for other names.
    """
    strangers = sorted(set(columns) - set(COLUMNS))
    if strangers:
        raise Refused(f"columns names {', '.join(strangers)}, which is none of {', '.join(COLUMNS)}")

    def read(line: bytes, number: int) -> SetRow:
        try:
            given = json.loads(line)
        except ValueError:
            given = None
        if not isinstance(given, dict):
            raise Refused("not a JSON object")
        return _row({name: given.get(columns.get(name, name)) for name in COLUMNS}, given, number)

    return read


def _row(named: dict[str, Any], given: Mapping[str, Any], number: int) -> SetRow:
    if named["gold"] is None:
        named["gold"] = given.get("answer", given.get("solution"))
    for name in ("question", "gold"):
        if named[name] is None or not str(named[name]).strip():
            raise Refused(f"no {name}; say which column it is, such as columns: {{{name}: my_column}}")
    for name in _TEXTS:
        value = named[name]
        if isinstance(value, list | dict) or value != value:  # NaN alone differs from itself
            odd = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "NaN"
            raise Refused(f"{name} is {odd}; it must be one text or number")
    meta = named.pop("meta") or {}
    if not isinstance(meta, dict):
        raise Refused("meta is no JSON object")
    if (doc := named.pop("doc")) is not None:
        meta = {**meta, "doc": str(doc)}
    letters = {letter: str(given[letter]) for letter in _LETTERS if given.get(letter) not in (None, "")}
    choices = named.pop("choices") or (letters if len(letters) > 1 else None)
    if isinstance(choices, list):
        if len(choices) > len(_LETTERS):
            raise Refused(f"{len(choices)} choices; there are letters for {len(_LETTERS)}")
        choices = dict(zip(_LETTERS, choices, strict=False))
    if choices is not None and not isinstance(choices, dict):
        raise Refused("choices are neither a list nor an object of letters and texts")
    question = str(named["question"])
    chinese = any("\u4e00" <= character <= "\u9fff" for character in question)
    texts = {name: str(value) for name, value in named.items() if value is not None}
    defaults = {"id": str(number), "lang": "zh" if chinese else "en", "answer_type": "", "source": "own"}
    choices = {letter: str(text) for letter, text in choices.items()} if choices else None
    return SetRow.model_validate({**defaults, **texts, "choices": choices, "meta": meta, "prompt": _prompt(given)})


def _prompt(given: Mapping[str, Any]) -> Any:
    """A list of chat messages in the row is its prompt; a text of that name is not."""
    return given["prompt"] if isinstance(given.get("prompt"), list) else []
