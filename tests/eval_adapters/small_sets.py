"""Tiny exported test sets and the recipes over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mock_server import Reply, completion

from eval_adapters.settings import EvalSettings, Generation, ModelSpec, SetSpec

KINDS = ("roe", "npl ratio", "bond price")


def row(number: int, gold: str, **more: Any) -> dict[str, Any]:
    """A row as the export stage writes it; two rows share a document."""
    question = f"What is item {number}?" if number % 2 else f"第 {number} 项是多少？"
    return {
        "id": f"q{number}",
        "source": "finmath",
        "split": "test",
        "lang": "en" if number % 2 else "zh",
        "task": "calculation",
        "question": question,
        "context": "",
        "gold": gold,
        "answer_type": "number",
        "unit": "",
        "choices": None,
        "licence": "Apache-2.0",
        "meta": {"doc": f"d{number // 2}", "kind": KINDS[number % 3], "level": 1 + number % 2},
        "prompt": [{"role": "system", "content": "Think, then answer."}, {"role": "user", "content": question}],
        **more,
    }


def rows(count: int) -> list[dict[str, Any]]:
    """Rows whose golds are all different."""
    return [row(number, str(7 * number + 3)) for number in range(count)]


def write_set(folder: Path, content: list[dict[str, Any]], subset: str = "finmath") -> Path:
    """The folder, with `<subset>.jsonl` in it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in content)
    (folder / f"{subset}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def recipe(out: Path, path: Path, url: str, names: tuple[str, ...] = ("m",), **more: Any) -> EvalSettings:
    """An evaluation of models at one address."""
    return EvalSettings(
        out=out,
        models=[ModelSpec(name=name, api_url=url) for name in names],
        sets=[SetSpec(benchmark="finr1_finmath", path=path, subset="finmath", limit=more.pop("limit", None))],
        generation=Generation(max_tokens=64),
        **{"timeout_s": 5.0, "attempts": 1, **more},
    )


def well_formed(answer: str) -> str:
    """A completion in the kit's form."""
    return f"<think>The table says {answer}.</think><answer>{answer}</answer>"


class Golds:
    """A reply function that looks the question up and answers with the gold of the row `shift` rows before."""

    def __init__(self, content: list[dict[str, Any]], shift: int = 0) -> None:
        golds = [each["gold"] for each in content]
        self.answers = {each["prompt"][-1]["content"]: golds[place - shift] for place, each in enumerate(content)}

    def __call__(self, request: dict[str, Any]) -> Reply:
        return completion(well_formed(self.answers[request["messages"][-1]["content"]]))
