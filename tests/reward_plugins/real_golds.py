"""Rows of the real data sets as `golds.check` takes them; nothing of the data is kept in the project."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[3] / "shared" / "data"


def _json(path: str) -> Any:
    return json.loads((DATA / path).read_text(encoding="utf-8"))


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def _row(name: str, gold: Any, question: str, **meta: Any) -> dict[str, Any]:
    return {"id": name, "gold": str(gold), "question": question, "meta": meta}


def finqa() -> Iterator[dict[str, Any]]:
    for name in ("raw_dev_200_minus_heldpages", "raw_train_100", "raw_test_100"):
        for entry in _json(f"finqa/{name}.json"):
            qa = entry["qa"]
            yield _row(
                entry["id"], qa["answer"], qa["question"], dataset="finqa", answer=qa["answer"], exe_ans=qa["exe_ans"]
            )


def finqa_executed() -> Iterator[dict[str, Any]]:
    with (DATA / "finqa/finqa_dev80.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield _row(
                row["id"] or row["idx"], row["exe_ans"], row["question"], dataset="finqa", exe_ans=row["exe_ans"]
            )


def convfinqa() -> Iterator[dict[str, Any]]:
    for row in _json("convfinqa/pot_convfinqa_dev80.json"):
        yield _row(row["id"], row["answer"], row["questions"][-1], dataset="convfinqa", exe_ans=row["answer"])


def _tat(path: str, name: str) -> Iterator[dict[str, Any]]:
    for page in _json(path):
        for qa in page["questions"]:
            answer = qa["answer"]
            gold = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
            text = json.dumps(gold, ensure_ascii=False) if isinstance(gold, list) else str(gold)
            yield _row(qa["uid"], text, qa["question"], dataset=name, scale=qa["scale"], answer_type=qa["answer_type"])


def tatqa() -> Iterator[dict[str, Any]]:
    return _tat("tatqa/tatqa_dataset_dev.json", "tatqa")


def tathqa() -> Iterator[dict[str, Any]]:
    return _tat("tathqa/tathqa_dataset_dev.json", "tathqa")


def jfinqa() -> Iterator[dict[str, Any]]:
    for row in _json("jfinqa/jfinqa_v1.json"):
        yield _row(row["id"], row["qa"]["answer"], row["qa"]["question"], dataset="jfinqa", scale=row["scale"])


def xfinbench() -> Iterator[dict[str, Any]]:
    for row in _csv(DATA / "xfinbench/validation_set.csv"):
        meta = {"dataset": "xfinbench", "task": row["task"]} | ({"choices": row["choice"]} if row["choice"] else {})
        yield _row(row["id"], row["ground_truth"], row["question"], **meta)


def theoremqa() -> Iterator[dict[str, Any]]:
    for row in _json("theoremqa/theoremqa_finance_81.json"):
        yield _row(row["id"], row["Answer"], row["Question"], dataset="theoremqa", answer_type=row["Answer_type"])


def cflue() -> Iterator[dict[str, Any]]:
    for index, row in enumerate(_json("cflue/knowledge_dev40.json")):
        yield _row(
            str(index), row["answer"], row["question"], dataset="cflue", task=row["task"], choices=row["choices"]
        )


def _letters(folder: str, name: str) -> Iterator[dict[str, Any]]:
    for path in sorted((DATA / folder).rglob("*.csv")):
        for row in _csv(path):
            choices = {key: row[key] for key in "ABCDE" if row.get(key)}
            meta: dict[str, Any] = {"dataset": name} | ({"choices": choices} if choices else {})
            yield _row(f"{path.stem}/{row['id']}", row["answer"], row["question"], **meta)


def fineval() -> Iterator[dict[str, Any]]:
    return _letters("fineval", "fineval")


def fin_eva() -> Iterator[dict[str, Any]]:
    return _letters("fin_eva_ant", "fin_eva_ant")


def disc() -> Iterator[dict[str, Any]]:
    for index, row in enumerate(_json("disc_finllm/eval/computing_eval.json")):
        yield _row(str(index), row["output"], row["instruction"], dataset="disc_finllm")


def finova() -> Iterator[dict[str, Any]]:
    for index, row in enumerate(_json("finova/ComplianceSafety/安全合规.json")):
        yield _row(f"compliance/{index}", row["ground_truth"], row["prompt"], dataset="finova")
    for index, row in enumerate(_json("finova/Agent/金融意图识别.json")):
        gold = row["ground_truth"]
        if gold:
            yield _row(f"intent/{index}", json.dumps(gold, ensure_ascii=False), row["prompt"], dataset="finova")


SETS = {
    reader.__name__: reader
    for reader in (
        finqa, finqa_executed, convfinqa, tatqa, tathqa, jfinqa, xfinbench, theoremqa, cflue, fineval, fin_eva, disc, finova,
    )
}  # fmt: skip
