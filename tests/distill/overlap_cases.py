"""Questions of the real sets, and the ways in which a copy of one is disguised."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import opencc

from distill.records import Question
from distill.sources import Source

DATA = Path(__file__).parents[3] / "shared" / "data"


SETS: dict[str, list[str]] = {
    "finqa_train": ["finqa/quark_train_250_a.jsonl", "finqa/quark_train_250_b.jsonl", "finqa/raw_train_100.json"],
    "finqa": ["finqa/raw_test_100.json"],
    "finqa_dev": ["finqa/raw_dev_200_minus_heldpages.json"],
    "tatqa": ["tatqa"],
    "theoremqa": ["theoremqa"],
    "xfinbench": ["xfinbench"],
    "cflue": ["cflue/knowledge_dev40.json"],
    "cflue_tasks": ["cflue/application"],
    "fin_eva": ["fin_eva_ant"],
    "fineval": ["fineval"],
    "finova": ["finova"],
}
"""The real sets by the files that hold them."""

CHINESE = ("cflue", "cflue_tasks", "fin_eva", "fineval", "finova")
_SOURCES = {"finqa_train": "finqa", "finqa_dev": "finqa", "cflue_tasks": "cflue"}


@functools.cache
def questions(name: str) -> list[Question]:
    """The questions of a real set, each id once."""
    found: dict[str, Question] = {}
    for path in SETS[name]:
        source = Source.model_validate({"name": _SOURCES.get(name, name), "split": "all", "path": DATA / path})
        for row in source.questions():
            if isinstance(row, Question):
                found.setdefault(row.id, row)
    return list(found.values())


def document(question: Question) -> str:
    """The page or file that a question comes from, else the question itself."""
    return str(question.meta.get("doc") or question.id)


Disguise = Callable[[str, str, random.Random], str]
"""(text, language, source of chance) -> the text in another dress."""

_PARTS = re.compile(r"\s+|[^\W\d_㐀-鿿]+|\d+(?:[.,]\d+)*|.", re.DOTALL)


def verbatim(text: str, lang: str, chance: random.Random) -> str:
    return text


def renumbered(text: str, lang: str, chance: random.Random) -> str:
    """Every number another one, of one digit more or less at times, with decimals at times."""

    def other(found: re.Match[str]) -> str:
        digits = max(1, len(found[0]) + chance.choice((-1, 0, 0, 1)))
        number = str(chance.randrange(10 ** (digits - 1), 10**digits))
        return number + chance.choice(("", "", ".5"))

    return re.sub(r"\d+(?:[.,]\d+)*", other, text)


def respaced(text: str, lang: str, chance: random.Random) -> str:
    """White space put in, taken out or exchanged; ASCII as full-width characters at times."""
    spaces = ("", " ", "  ", "\n", "\u3000", "\t")
    if lang == "zh":
        text = "".join(character + (chance.choice(spaces) if chance.random() < 0.3 else "") for character in text)
    else:
        text = re.sub(r"\s+", lambda _: chance.choice(spaces[1:]), text)
        text = re.sub(r"(?<=[,.?()])|(?=[,.?()])", lambda _: chance.choice(("", " ")), text)
    if chance.random() < 0.3:
        text = "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text)
    return text


_TRADITIONAL = [opencc.OpenCC(name) for name in ("s2t", "s2tw", "s2hk")]


def traditional(text: str, lang: str, chance: random.Random) -> str:
    converted: str = chance.choice(_TRADITIONAL).convert(text)
    return converted


def a_fifth_changed(text: str, lang: str, chance: random.Random) -> str:
    """A fifth of the words (in Chinese: characters) replaced, left out or exchanged with another."""
    parts = _PARTS.findall(text)
    places = [place for place, part in enumerate(parts) if part[0].isalnum()]
    for place in chance.sample(places, round(len(places) / 5)):
        way = chance.choice(("replace", "leave out", "exchange"))
        if way == "replace":
            parts[place] = chance.choice(_OTHER_WORDS[lang])
        elif way == "leave out":
            parts[place] = ""
        else:
            other = chance.choice(places)
            parts[place], parts[other] = parts[other], parts[place]
    return "".join(parts)


def a_fifth_replaced(text: str, lang: str, chance: random.Random) -> str:
    """A fifth of the words (in Chinese: characters) replaced."""
    return _replaced(text, lang, chance, 0.2)


def a_tenth_replaced(text: str, lang: str, chance: random.Random) -> str:
    """A tenth of the words (in Chinese: characters) replaced; numbers stay."""
    return _replaced(text, lang, chance, 0.1, numbers=False)


def _replaced(text: str, lang: str, chance: random.Random, share: float, numbers: bool = True) -> str:
    parts = _PARTS.findall(text)
    places = [place for place, part in enumerate(parts) if (part[0].isalnum() if numbers else part[0].isalpha())]
    for place in chance.sample(places, round(len(places) * share)):
        parts[place] = chance.choice(_OTHER_WORDS[lang])
    return "".join(parts)


_OTHER_WORDS = {
    "en": [
        "the",
        "of",
        "net",
        "total",
        "average",
        "annual",
        "company",
        "share",
        "value",
        "cost",
        "rate",
        "growth",
        "during",
        "between",
        "change",
        "reported",
    ],
    "zh": list("的是在有公司资产收入年月股票基金银行应当不下列正确错误计算比率价值增长"),
}

DISGUISES: dict[str, tuple[Disguise, float]] = {
    "verbatim": (verbatim, 0.99),
    "renumbered": (renumbered, 0.95),
    "respaced": (respaced, 0.99),
    "traditional": (traditional, 0.95),
    "a fifth changed": (a_fifth_changed, 0.80),
    "a fifth replaced": (a_fifth_replaced, 0.80),
}
"""Each with the share of planted copies that has to be found."""


def planted(question: Question, disguise: Disguise, chance: random.Random, whole: bool) -> Question:
    """A copy in disguise: of the question's text alone, or of its page and choices, too."""
    lang = question.lang
    changed: dict[str, Any] = {"id": f"copy of {question.id}", "question": disguise(question.question, lang, chance)}
    if whole:
        changed["context"] = question.context and disguise(question.context, lang, chance)
        if question.choices:
            changed["choices"] = {letter: disguise(text, lang, chance) for letter, text in question.choices.items()}
    return question.model_copy(update=changed)
