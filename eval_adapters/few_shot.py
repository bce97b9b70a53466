"""Worked examples in front of a question, from a train split and from nowhere else."""

from __future__ import annotations

import hashlib
from pathlib import Path

from eval_adapters.catalogue import Benchmark
from eval_adapters.rows import Message, SetRow, read_lines
from reward_plugins.errors import Refused


def examples(path: Path, count: int, seed: int, rows: list[SetRow], benchmark: Benchmark) -> dict[str, list[Message]]:
    """`count` examples as chat turns for each language of the test `rows`, the same for all rows of it.

    Drawn from the questions of `path` that the benchmark asks, by the hash of seed and id, so that neither the order
    of the file nor the number of test rows changes them.

    Raises:
        Refused: a row of the file is of no train split, an example is a test row, or there are too few of them.
    """
    if not path.is_file():
        raise Refused(f"few_shot: {path} is no file; name the train.jsonl that finr1 prepare wrote")
    found = []
    for number, row in read_lines(path, lambda line, _: SetRow.model_validate_json(line)):
        if row.split != "train":
            raise Refused(
                f"few_shot: {path}, line {number} is of the split {row.split!r}; examples come from train only"
            )
        if not benchmark.sources or row.source in benchmark.sources:
            found.append(row)
    asked = {row.fingerprint: row.id for row in rows}
    found.sort(key=lambda row: hashlib.blake2b(f"{seed}/{row.id}".encode(), digest_size=8).digest())
    chosen: dict[str, list[Message]] = {}
    for lang in sorted({row.lang for row in rows}):
        drawn = [row for row in found if row.lang == lang][:count]
        if len(drawn) < count:
            raise Refused(
                f"few_shot: {path} has {len(drawn)} rows for {benchmark.name} in {lang!r}, fewer than {count}"
            )
        for row in drawn:
            if twin := asked.get(row.fingerprint):
                raise Refused(
                    f"few_shot: {row.id!r} of {path} is the test question {twin!r}; take it out of the train split"
                )
        chosen[lang] = [message for row in drawn for message in _turns(row)]
    return chosen


def with_examples(row: SetRow, shots: dict[str, list[Message]]) -> SetRow:
    """The row with the examples of its language between its system messages and the rest of its prompt."""
    system = [message for message in row.prompt if message.role == "system"]
    rest = row.prompt[len(system) :]
    return row.model_copy(update={"prompt": [*system, *shots.get(row.lang, []), *rest]})


def _turns(row: SetRow) -> tuple[Message, Message]:
    """The question, and the answer in the kit's form; where the source has no worked solution, the answer alone."""
    solution = str(row.meta.get("solution") or "").strip()
    thought = f"<think>{solution}</think>" if solution else ""
    return (
        Message(role="user", content=row.user_message),
        Message(role="assistant", content=f"{thought}<answer>{row.gold}</answer>"),
    )
