"""What kind of answer a gold is, read once for each row of a data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from reward_plugins.amounts import NumericGold, numeric_gold
from reward_plugins.asked import Asked, asked
from reward_plugins.choices import gold_letters, options_of
from reward_plugins.dates import Date, whole_date
from reward_plugins.labels import label_names, labels_in
from reward_plugins.markup import plain
from reward_plugins.polarity import gold_polarity
from reward_plugins.quantity import Quantity, whole
from reward_plugins.sequences import answer_items, gold_items, gold_range
from reward_plugins.spans import normal
from reward_plugins.tolerance import Target

# The keys of `meta` that a decision depends on; all others are ignored.
META_KEYS = ("dataset", "answer_type", "task", "scale", "unit", "labels", "choices", "answer", "exe_ans", "value")

_BOOLEAN = re.compile(r"bool|yes.?no|judg|判断|true.?false", re.IGNORECASE)
_CHOICE = re.compile(r"choice|mcq|letter|选择|单选|多选|单项|多项", re.IGNORECASE)
_CHOICE_QUESTION = re.compile(
    r"下列|以下|哪(?:些|个|项|一)|选项|（ *）|\( *\)|_{2,}|\bwhich\b|[(（]?A[)）.、:：]", re.IGNORECASE
)
_TRUE_FALSE = re.compile(r"\btrue\b.{0,12}\bfalse\b|判断|是否|对错|正误", re.IGNORECASE)
_KANA = re.compile("[\u3041-\u30fa]")
_YEARS = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
# A gold that says its sign in words: 增加500万元, decrease of $5 million.
_MOVED = re.compile(
    r"(?:(?P<up>增加|上升|增长|上涨|提高|an? increase|increased?|rose|up)"
    r"|(?P<down>减少|下降|降低|下跌|亏损|an? decrease|decreased?|fell|down|declined?))(?:了| by| of)? ?(?=[\d$¥€£])",
    re.IGNORECASE,
)
_NAMES_WITH_COMMAS = re.compile(
    r"(?:[^,，、]{1,60}[,，、] ?(?:and )?){1,40}[^,，、]{1,60}|[^ ]{1,30}(?: [^ ]{1,30}){0,2} and [^ ]{1,30}(?: [^ ]{1,30}){0,2}"
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """A gold, read: `kind` says which of the other fields count.

    "choice" (`letters`, `options`, `keys`), "polarity" (`positive`), "label" (`labels`), "list" (`items`), "range"
    (`ends`), "date" (`date`), "number" (`number`; `year` for a calendar year) or "text".
    """

    kind: str
    gold: str
    question: str
    wanted: Asked
    letters: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    positive: bool = False
    digits: bool = False
    labels: Mapping[str, set[str]] = field(default_factory=dict)
    items: tuple[Expectation, ...] = ()
    ends: tuple[Quantity, Quantity] | None = None
    date: Date | None = None
    number: NumericGold | None = None
    year: bool = False
    japanese: bool = False
    years: tuple[str, ...] = ()


def expectation(gold: str, question: str, meta: Mapping[str, Any] | None) -> Expectation:
    """Read a gold with its question and the data set's statements about it; cached by their contents."""
    known = tuple((key, _frozen(meta[key])) for key in META_KEYS if key in meta) if meta else ()
    return _cached(gold, question, known)


def _frozen(value: Any) -> Any:
    """A hashable stand-in for a value of `meta`, which `_thawed` undoes."""
    if isinstance(value, Mapping):
        return ("map", tuple((str(key), str(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", tuple(str(item) for item in value))
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple):
        return dict(value[1]) if value[0] == "map" else list(value[1])
    return value


@lru_cache(maxsize=16384)
def _cached(gold: str, question: str, known: tuple[tuple[str, Any], ...]) -> Expectation:
    return _read(gold, question, {key: _thawed(value) for key, value in known})


def _read(gold: str, question: str, meta: Mapping[str, Any]) -> Expectation:
    text = plain(gold)
    wanted = asked(question)
    japanese = _KANA.search(question) is not None or _KANA.search(gold) is not None or meta.get("dataset") == "jfinqa"
    says = f"{meta.get('answer_type') or ''} {meta.get('task') or ''}"
    options = options_of(meta.get("choices")) or {}
    letters = _letters(text, options, says, question)
    if letters:
        options = options or options_of(None, question)
        keys = frozenset(options) or frozenset("ABCD") | letters
        return Expectation("choice", text, question, wanted, letters=letters, options=options, keys=keys | letters)
    labels = label_names(meta["labels"], question) if meta.get("labels") else {}
    if not labels and gold_polarity(text) is None:
        labels = labels_in(question, text)
    if any(normal(text) in names for names in labels.values()):
        return Expectation("label", text, question, wanted, labels=labels)
    boolean = _BOOLEAN.search(says) is not None
    positive = gold_polarity(text)
    if positive is not None:
        digits = text.strip() in ("1.0", "0.0")
        if not digits and (len(text) > 1 or not text.isascii() or boolean):
            return Expectation("polarity", text, question, wanted, positive=positive, digits=boolean)
        if digits and (boolean or _TRUE_FALSE.search(question)):
            return Expectation("polarity", text, question, wanted, positive=positive, digits=True)
    if boolean and text.strip() in ("1", "0"):
        return Expectation("polarity", text, question, wanted, positive=text.strip() == "1", digits=True)
    items = gold_items(text)
    if items is not None and len(items) == 1:
        text, items = plain(items[0]), None
    if items:
        parts = tuple(_read(item, question, meta) for item in items)
        years = tuple(dict.fromkeys(_YEARS.findall(question)))
        return Expectation("list", text, question, wanted, items=parts, years=years, japanese=japanese)
    if (date := whole_date(text)) is not None:
        return Expectation("date", text, question, wanted, date=date)
    equation = "=" in text and whole(text) is None
    if not equation and (ends := gold_range(text)) is not None:
        return Expectation("range", text, question, wanted, ends=ends)
    stated = text.rpartition("=")[2].strip() if equation else text
    if (moved := _MOVED.match(stated)) and whole(stated[moved.end() :]) is not None:
        negative = moved.lastgroup == "down" and wanted.direction >= 0
        stated = ("-" if negative else "") + stated[moved.end() :]
    alone = whole(stated)
    if alone is not None and alone.year_like and wanted.year and not meta.get("scale"):
        year = NumericGold((Target(alone.value, alone.place, "gold"),), alone.unit, (), False, "a calendar year")
        return Expectation("number", text, question, wanted, number=year, year=True, japanese=japanese)
    if (number := numeric_gold(stated, wanted, meta)) is not None:
        return Expectation("number", text, question, wanted, number=number, japanese=japanese)
    if parts_of := _several_numbers(text):
        parts = tuple(_read(item, question, meta) for item in parts_of)
        years = tuple(dict.fromkeys(_YEARS.findall(question)))
        return Expectation("list", text, question, wanted, items=parts, years=years, japanese=japanese)
    if _NAMES_WITH_COMMAS.fullmatch(text) and not text.endswith((".", "。")):
        names = tuple(Expectation("text", part, question, wanted) for part in answer_items(text, 2))
        return Expectation("text", text, question, wanted, items=names if len(names) > 1 else ())
    return Expectation("text", text, question, wanted)


def _letters(text: str, options: Mapping[str, str], says: str, question: str) -> frozenset[str] | None:
    letters = gold_letters(text)
    if letters is None and text.strip("()[]. ") in options:  # I to Z are letters only where options have them
        return frozenset(text.strip("()[]. "))
    if letters is None:
        matching = [key for key, option in options.items() if normal(option) == normal(text) and normal(text)]
        return frozenset(matching) if len(matching) == 1 else None
    if options and letters <= set(options):
        return letters
    if len(letters) == 1 or _CHOICE.search(says) or _CHOICE_QUESTION.search(question):
        return letters
    return letters if re.search(r"[,，;；、 ]", text) else None


def _several_numbers(text: str) -> list[str]:
    if len(text) > 400 or not any(character.isdecimal() for character in text):
        return []
    parts = answer_items(text, 2)
    return parts if len(parts) > 1 and all(whole(part) is not None for part in parts) else []
