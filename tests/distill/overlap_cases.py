"""Questions of the real sets as the overlap check takes them, and the ways in which a copy is disguised."""

from __future__ import annotations

import ast
import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import opencc

from distill.records import Question

DATA = Path(__file__).parents[3] / "shared" / "data"


def _question(source: str, name: str, lang: str, question: str, context: str = "", **more: Any) -> Question:
    return Question(
        id=f"{source}/{name}",
        source=source,
        split="train",
        lang="zh" if lang == "zh" else "en",
        task="calculation",
        question=question,
        context=context,
        gold="1",
        answer_type="number",
        licence="MIT",
        **more,
    )


def _json(path: str) -> Any:
    return json.loads((DATA / path).read_text(encoding="utf-8"))


def _page(row: dict[str, Any]) -> str:
    table = "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in row["table"])
    return "\n".join([*row["pre_text"], table, *row["post_text"]])


def finqa(part: str) -> Iterator[Question]:
    """`raw_train_100`, `raw_test_100` or `raw_dev_200_minus_heldpages`; `meta["doc"]` is the page."""
    for row in _json(f"finqa/{part}.json"):
        yield _question(
            f"finqa_{part}", row["id"], "en", row["qa"]["question"], _page(row), meta={"doc": row["filename"]}
        )


def finqa_train() -> Iterator[Question]:
    """The train rows in the flat form (483 different) and in the official form."""
    seen = set()
    for part in "ab":
        with (DATA / f"finqa/quark_train_250_{part}.jsonl").open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row["id"] not in seen:
                    seen.add(row["id"])
                    page = row["id"].rpartition("-")[0]
                    yield _question("finqa_flat", row["id"], "en", row["question"], row["context"], meta={"doc": page})
    yield from (each for each in finqa("raw_train_100") if each.id.partition("/")[2] not in seen)


def tatqa() -> Iterator[Question]:
    for page in _json("tatqa/tatqa_dataset_dev.json"):
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in page["table"]["table"])
        context = "\n".join([table, *(paragraph["text"] for paragraph in page["paragraphs"])])
        for row in page["questions"]:
            yield _question("tatqa", row["uid"], "en", row["question"], context, meta={"doc": page["table"]["uid"]})


def theoremqa() -> Iterator[Question]:
    for number, row in enumerate(_json("theoremqa/theoremqa_finance_81.json")):
        yield _question("theoremqa", str(number), "en", row["Question"])


def xfinbench() -> Iterator[Question]:
    with (DATA / "xfinbench/validation_set.csv").open(encoding="utf-8-sig", newline="") as lines:
        for row in csv.DictReader(lines):
            yield _question("xfinbench", row["id"], "en", row["question"])


def cflue() -> Iterator[Question]:
    for number, row in enumerate(_json("cflue/knowledge_dev40.json")):
        yield _question("cflue", str(number), "zh", row["question"], choices=ast.literal_eval(row["choices"]))


def cflue_application() -> Iterator[Question]:
    """Instruction and text in one: most of it is the same in all rows of a task."""
    for number, row in enumerate(_json("cflue/application/application.json")):
        yield _question("cflue_application", str(number), "zh", f"{row['instruction']}\n{row['input']}")


def _choice_files(source: str, folder: str) -> Iterator[Question]:
    for path in sorted((DATA / folder).rglob("*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines)):
                choices = {letter: row[letter] for letter in "ABCDE" if row.get(letter)}
                name = f"{path.stem}-{number}"
                if row["question"].strip():
                    yield _question(
                        source, name, "zh", row["question"], row.get("context") or "", choices=choices or None
                    )


def fin_eva() -> Iterator[Question]:
    yield from _choice_files("fin_eva", "fin_eva_ant")


def fineval() -> Iterator[Question]:
    yield from _choice_files("fineval", "fineval")


def finova() -> Iterator[Question]:
    for path in sorted((DATA / "finova").rglob("*.json")):
        for number, row in enumerate(json.loads(path.read_text(encoding="utf-8"))):
            yield _question("finova", f"{path.stem}-{number}", "zh", row["prompt"])


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
    words = [parts[place] for place in places]
    for place in chance.sample(places, round(len(places) / 5)):
        way = chance.choice(("replace", "leave out", "exchange"))
        if way == "replace":
            parts[place] = chance.choice(_OTHER_WORDS[lang])
        elif way == "leave out":
            parts[place] = ""
        else:
            other = chance.choice(places)
            parts[place], parts[other] = parts[other], parts[place]
    assert words
    return "".join(parts)


def a_fifth_replaced(text: str, lang: str, chance: random.Random) -> str:
    """A fifth of the words (in Chinese: characters) replaced."""
    parts = _PARTS.findall(text)
    places = [place for place, part in enumerate(parts) if part[0].isalnum()]
    for place in chance.sample(places, round(len(places) / 5)):
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
