"""A small test set for each benchmark, in the form that `finr1 prepare` writes: real rows where there are some here."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from mock_server import Reply, completion
from small_sets import row, well_formed, write_set

from distill.records import Question
from distill.sources import Source
from eval_adapters.catalogue import of
from eval_adapters.loading import load
from eval_adapters.rows import SetRow
from eval_adapters.settings import SetSpec

SHARED = Path(__file__).parents[3] / "shared" / "data"
SYSTEM = Path(__file__).parents[2] / "recipes" / "prompts" / "think_answer.txt"
MOST = 40  # rows of a set: enough to tell the golds from chance, few enough for seconds

REAL = {
    "finr1_finqa": {"name": "finqa", "path": "finqa/raw_test_100.json"},
    "finr1_convfinqa": {"name": "convfinqa", "path": "convfinqa", "part": "dev"},
    "finr1_convfinqa_own": {"name": "convfinqa", "path": "convfinqa", "part": "dev"},
    "finr1_tatqa": {"name": "tatqa", "path": "tatqa", "split": "validation"},
    "finr1_fin_eva": {"name": "fin_eva", "path": "fin_eva_ant"},
    "finr1_fineval": {"name": "fineval", "path": "fineval", "split": "validation"},
    "finr1_cflue": {"name": "cflue", "path": "cflue/knowledge_dev40.json"},
}
"""Benchmarks whose rows lie beside the checkout."""

IN_OWN_FORM: dict[str, tuple[str, str, list[Any]]] = {
    "finr1_financeiq": (
        "financeiq",
        "dev/注册会计师.csv",
        [
            {"": 0, "Question": f"第{n}题：下列各项中属于资产的是（ ）。", **_options, "Answer": "ABCD"[n % 4]}
            for n in range(12)
            for _options in [{"A": f"应付账款{n}", "B": f"存货{n}", "C": f"股本{n}", "D": f"营业收入{n}"}]
        ],
    ),
    "finr1_tfns": (
        "tfns",
        "sent_valid.csv",
        [{"text": f"$T{n} moves on news {n}", "label": n % 3 if n % 5 else 2} for n in range(24)],
    ),
    "finr1_fincuge_sentiment": (
        "fincuge",
        "finfe/eval_list.json",
        [[f"第{n}条：这只股票今天的走势", n % 3 if n % 4 else 1] for n in range(24)],
    ),
    "finr1_finance_instruct": (
        "finance_instruct",
        "train.jsonl",
        [
            {
                "system": "s",
                "user": f"Explain {word} in one sentence.",
                "assistant": f"It is how {word} works for firms.",
            }
            for word in ("duration", "convexity", "liquidity", "gearing", "hedging", "netting")
        ],
    ),
}
"""The others, as rows of ours in each set's own form: (source, file, rows)."""


def prepared(name: str, folder: Path) -> SetSpec:
    """A test set of the benchmark, read by its source and written as `finr1 prepare` does."""
    if name in ("finr1_jsonl", "finr1_exported", "finr1_finmath", "finr1_text"):
        return _of_ours(name, folder)
    if name in REAL:
        if not SHARED.is_dir():
            pytest.skip("needs the shared data: real rows of the set")
        place: dict[str, Any] = {**REAL[name], "path": SHARED / REAL[name]["path"]}
    else:
        source, file, content = IN_OWN_FORM[name]
        _write(folder / "raw" / file, content)
        place = {"name": source, "path": folder / "raw", "part": file}
    found = [each for each in Source.model_validate(place).questions() if isinstance(each, Question)]
    write_set(folder, [each.model_dump() for each in found[:MOST]], "test")
    return SetSpec(benchmark=name, path=folder, subset="test", system_prompt=SYSTEM)


def _of_ours(name: str, folder: Path) -> SetSpec:
    if name == "finr1_jsonl":
        content: list[dict[str, Any]] = [{"问": f"{n} 加 {n} 等于多少？", "答": str(2 * n)} for n in range(5, 17)]
        return SetSpec(
            benchmark=name,
            path=write_set(folder, content, "mine"),
            subset="mine",
            system_prompt=SYSTEM,
            columns={"question": "问", "gold": "答"},
        )
    content = [row(n, str(7 * n + 3)) for n in range(12)]
    if name == "finr1_text":
        words = ("rates rose", "costs fell", "the yen was weak", "a plant was shut", "demand grew", "taxes were cut")
        content = [row(n, word, answer_type="text", source="desk") for n, word in enumerate(words)]
    return SetSpec(benchmark=name, path=write_set(folder, content, "test"), subset="test")


def _write(file: Path, content: list[Any]) -> None:
    file.parent.mkdir(parents=True)
    if file.suffix == ".csv":
        with file.open("w", encoding="utf-8", newline="") as out:
            table = csv.DictWriter(out, list(content[0]))
            table.writeheader()
            table.writerows(content)
    elif file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(each) + "\n" for each in content), encoding="utf-8")
    else:
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


class GoldsOf:
    """A reply function that answers each prompt with the gold of the row `shift` rows before its own."""

    def __init__(self, spec: SetSpec, shift: int = 0) -> None:
        self.rows = load(spec, of(spec.benchmark))
        golds = [each.gold for each in self.rows]
        self.answers = {_asked(each): golds[place - shift] for place, each in enumerate(self.rows)}
        self.seen: list[dict[str, Any]] = []

    def __call__(self, request: dict[str, Any]) -> Reply:
        self.seen.append(request)
        key = tuple(each["content"] for each in request["messages"] if each["role"] != "assistant")
        return completion(well_formed(self.answers[key]))


def _asked(each: SetRow) -> tuple[str, ...]:
    """What a row asks, whatever the assistant is told that it said before."""
    return tuple(message.content for message in each.prompt if message.role != "assistant")
