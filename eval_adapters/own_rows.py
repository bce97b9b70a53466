"""Questions and golds of one's own: a JSON object a line, columns by the kit's names or by yours."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from eval_adapters.rows import Reader, SetRow
from reward_plugins import verify
from reward_plugins.errors import Refused

COLUMNS = ("question", "gold", "id", "context", "choices", "unit", "answer_type", "task", "lang", "meta", "doc")
"""What `columns` may name; the first two must be there."""

_LETTERS = "ABCDEFGH"
_BETWEEN = re.compile(r"""[\s,，、;；/()（）\[\]"']""")
"""What stands between and around the letters of a gold."""
_LETTERED = re.compile(r"[(（]?([A-Za-z])[)）.．、:：]\s*(.+)", re.DOTALL)
"""A choice with its letter in front."""
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
        except (ValueError, RecursionError):  # the latter for what is nested a thousand times
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
        if isinstance(value, list | dict) or (isinstance(value, float) and not math.isfinite(value)):
            odd = "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else "NaN or infinite"
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
    if choices:
        texts["gold"] = _chosen(texts["gold"].strip(), choices)
    return SetRow.model_validate({**defaults, **texts, "choices": choices, "meta": meta, "prompt": _prompt(given)})


def _chosen(gold: str, choices: Mapping[str, str]) -> str:
    """The gold of a question with choices: letters as the kit writes them (for "b", "A, C", "B. loan"), or a choice's text.

    One that no choice would meet is `Refused`: of sets that number the choices, some count from 0 and some from 1, and
    under either every answer by letter would be wrong.
    """
    if gold in choices.values():
        return gold
    letters = _BETWEEN.sub("", gold).upper()
    if letters and set(letters) <= set(choices):
        return letters
    begins = _LETTERED.fullmatch(gold)
    if begins and choices.get(letter := begins[1].upper(), "").strip() == begins[2].strip():
        return letter
    if any(verify(f"<answer>{letter}</answer>", gold, meta={"choices": dict(choices)}).correct for letter in choices):
        return gold
    raise Refused(f"the gold {gold!r} is none of the choices {', '.join(choices)}; write the letter of the right one")


def _prompt(given: Mapping[str, Any]) -> Any:
    """A list of chat messages in the row is its prompt; a text of that name is not."""
    return given["prompt"] if isinstance(given.get("prompt"), list) else []
