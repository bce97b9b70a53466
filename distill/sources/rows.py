"""A source's raw row, and what most sources do with one: take its text, see what its gold is, make a `Question` of it."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from distill.records import Question
from distill.sources.files import Broken
from reward_plugins.choices import gold_letters, options_of
from reward_plugins.completion import parse
from reward_plugins.errors import did_you_mean
from reward_plugins.extraction import final_answers


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that makes no question: which one, and why, as a phrase that is the same for all rows of its kind."""

    row: str
    reason: str


class BadRow(Exception):
    """Raised by a source for a row that makes no question; its text becomes the reason of the `LeftOut`."""


# What a column may be called, so that a message can repeat it: a table without a header has its first row for names.
_NAME = re.compile(r"[^\W\d][\w .:/()-]{0,29}")


class NoColumn(BadRow):
    """Raised for a column that is not there; names the others, unless they look like a row's texts."""

    def __init__(self, key: str, names: list[str]) -> None:
        are_names = all(_NAME.fullmatch(name.strip()) for name in names)
        there = did_you_mean(key, names) if are_names else ", and what stands in the place of names looks like a row"
        super().__init__(f"no column {key!r}{there}")


@dataclass(frozen=True, slots=True)
class Row:
    """One raw row: `value` as the file has it, and `name` where it stands, as "dev/tax_law[3]" (from 0).

    `lang` is the language of the source, where it has only one. `in_folder`: its file is one of a folder's.
    """

    source: str
    split: str
    licence: str
    lang: Literal["zh", "en"] | None
    name: str
    value: Any
    in_folder: bool = False

    @property
    def file(self) -> str:
        """The path of the row's file below the source's folder, without its suffix."""
        return self.name.rpartition("[")[0]

    def inner(self, name: str, value: Any) -> Row:
        """A row that stands inside this one, such as a question of a page."""
        return replace(self, name=f"{self.name}/{name}", value=value)

    def renamed(self, columns: Mapping[Any, str]) -> Row:
        """The row with other names for its columns, given as {new: old}; raises `BadRow` for an old name not there."""
        return (
            replace(self, value=self.value | {new: self.get(old) for new, old in columns.items()}) if columns else self
        )

    def get(self, key: str) -> Any:
        """The value of a column; None where it is empty (also NaN). Raises `BadRow` where there is no such column."""
        if not isinstance(self.value, Mapping):
            raise BadRow(self.value.reason if isinstance(self.value, Broken) else "not an object with named columns")
        if None in self.value:  # where the csv module keeps what is left over
            raise BadRow("more cells than the header has columns")
        if key not in self.value:
            raise NoColumn(key, [str(name) for name in self.value])
        value = self.value[key]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    def has(self, key: str) -> bool:
        """Whether the column is there and not empty."""
        return isinstance(self.value, Mapping) and key in self.value and self.text(key) != ""

    def text(self, key: str) -> str:
        """A column as text without the white space around it, "" where it is empty; lists and objects as JSON."""
        return written(self.get(key))

    def own_id(self) -> str:
        """The column `id`, "" where there is none; in a folder with the file before it, since each may count from 1."""
        given = self.text("id") if self.has("id") else ""
        return f"{self.file}/{given}" if given and self.in_folder else given

    def options(self, letters: str = "ABCD") -> dict[str, str]:
        """The choices that stand in a column for each letter; empty ones are none."""
        return {letter: self.text(letter) for letter in letters if self.has(letter)}

    def question(
        self,
        question: str,
        gold: Any,
        *,
        task: str,
        id: str = "",
        context: str = "",
        choices: Any = None,
        labels: list[str] | dict[str, str] | None = None,
        lang: Literal["zh", "en"] | None = None,
        answer_type: str = "",
        unit: str = "",
        doc: str = "",
        **meta: Any,
    ) -> Question:
        """The row as a `Question`; what is not given is read off the texts. Empty entries of `meta` are dropped.

        `choices` may have any form that `reward_plugins.choices.options_of` knows, or be its text in Python or JSON.
        `doc` is by default the passage, or, where there is none, the question's stem without its numbers: questions on
        one passage, and those that differ in their figures only, are one document and stay on one side of a split.
        Raises `BadRow` without a question or a gold, and for letters that are not among the choices.
        """
        text, answer, passage = question.strip(), written(gold), context.strip()
        if not text:
            raise BadRow("no question")
        if not answer or answer.lower() == "nan":
            raise BadRow("no gold")
        options = choices_of(choices)
        if options:
            answer = _chosen("".join(map(written, gold)) if isinstance(gold, list) else answer, options)
        kind = answer_type or answer_type_of(answer, options, labels)
        said = {"labels": labels, "doc": doc or document_of(passage, text), **meta}
        return Question(
            id=f"{self.source}/{id or self.name}",
            source=self.source,
            split=self.split,
            lang=lang or self.lang or language_of(text[:1000] + passage[:1000]),
            task=task,
            question=text,
            context=passage,
            gold=answer,
            answer_type=kind,
            unit=unit or ("%" if kind == "percent" else ""),
            choices=options or None,
            licence=self.licence,
            meta={"dataset": self.source} | {key: value for key, value in said.items() if value not in (None, "")},
        )


def each(rows: Iterable[Row], read: Callable[[Row], Iterable[Question | LeftOut]]) -> Iterator[Question | LeftOut]:
    """What a source makes of its rows; a row that raises `BadRow` is left out, and the next one is read."""
    for row in rows:
        try:
            yield from read(row)
        except BadRow as bad:
            yield LeftOut(row.name, str(bad))


def written(value: Any) -> str:
    """A value as a person writes it: no idle ".0", lists and objects as JSON, nothing for None and NaN."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)  # Parquet has dates and bytes inside them
    return str(value).strip()


def choices_of(choices: Any) -> dict[str, str]:
    """Choices by letter, in the order of the letters; {} where there are none.

    Raises `BadRow` for a lone choice, which is no choice.
    """
    if isinstance(choices, str) and choices.strip()[:1] in ("{", "["):
        for read in (json.loads, ast.literal_eval):
            try:
                choices = read(choices.strip())
                break
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
    if isinstance(choices, Mapping):  # Parquet has every key in every row, some without a text
        choices = {key: text for key, text in choices.items() if text is not None}
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        if not all(isinstance(each, Mapping) and {"label", "text"} <= each.keys() for each in choices):
            raise BadRow("choices that are objects without label and text")
        choices = {str(each["label"]): str(each["text"]) for each in choices}
    options = {key: text.strip() for key, text in sorted(options_of(choices).items()) if text.strip()}
    if len(options) == 1:
        raise BadRow("a single choice")
    return options


def _chosen(gold: str, options: dict[str, str]) -> str:
    """The gold as letters in their order, "ACD"; also where it is given as the text of a choice."""
    letters = gold_letters(unicodedata.normalize("NFKC", gold).strip().upper())
    if letters is None:
        letters = frozenset(key for key, text in options.items() if text == gold)
    if not letters or not letters <= set(options):
        raise BadRow("the gold is none of the choices")
    return "".join(sorted(letters))


_YES_NO = frozenset({"yes", "no", "true", "false", "是", "否", "对", "错", "正确", "错误"})
_NUMBER = re.compile(
    r"[-+(]?\s*(?P<money>[$¥€£￥])?\s*[-+]?[\d,]*\.?\d+(?:[eE][-+]?\d+)?\s*\)?\s*(?P<unit>%|[^\d\s]{0,4})"
)
_MONEY_UNITS = re.compile(r"[万亿千百]*元|美元|港元|dollars?|usd|cny|rmb", re.IGNORECASE)


def answer_type_of(gold: str, choices: dict[str, str], labels: object) -> str:
    """What kind of answer a gold is, from its form: choice, label, boolean, percent, money, number, list or text."""
    if choices:
        return "choice"
    if labels:
        return "label"
    if gold.lower() in _YES_NO:
        return "boolean"
    if gold.startswith("["):
        return "list"
    if number := _NUMBER.fullmatch(gold):
        if number["unit"] == "%":
            return "percent"
        return "money" if number["money"] or _MONEY_UNITS.fullmatch(number["unit"]) else "number"
    return "text"


_HAN = re.compile("[\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z]")


def language_of(text: str) -> Literal["zh", "en"]:
    """Chinese where its characters outweigh the Latin letters, three of which weigh as one character."""
    return "zh" if 3 * len(_HAN.findall(text)) > len(_LATIN.findall(text)) else "en"


_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")
_NO_WORD = re.compile(r"[\W_]+")


def document_of(context: str, question: str) -> str:
    """A name for the document that a question without one comes from: its passage, else its stem without numbers."""
    if context:
        return f"passage:{_digest(context)}"
    return f"stem:{_digest(_DIGITS.sub('0', unicodedata.normalize('NFKC', question)))}"


def _digest(text: str) -> str:
    plain = _NO_WORD.sub("", unicodedata.normalize("NFKC", text).casefold())
    return hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()


_MARKED = re.compile(r"</?think>|<answer>|\\boxed")


def answered(output: str) -> tuple[str, str]:
    """(gold, solution) of a worked answer: what is in the answer block or the box, and the reasoning before it.

    An output without a think block is a gold as it stands, and has no solution. Raises `BadRow` where a think block
    holds everything, or where several answers are marked.
    """
    if not _MARKED.search(output):
        return output.strip(), ""
    completion = parse(output)
    if completion.cut_off:
        raise BadRow("the output ends inside its reasoning")
    found = final_answers(completion)
    if len(found.answers) > 1:
        raise BadRow("the output marks several answers")
    outside = completion.outside if completion.reasoning == "" else completion.reasoning
    return (found.answers[0] if found.answers else completion.final).strip(), outside.strip()
