"""What does `finr1 overlap` find, what does it flag by mistake, and how long does it take?

python benchmarks/overlap.py [--copies N] [--rows N]

Planted: copies of questions of the real sets, in six disguises, three ways: the question changed, the question with
its page and choices, and questions that never had either. False alarms: sets against each other; of FinQA's train
pages, those that share no page with the test. Every pair is printed with `--show`, for a person to say which of them
are copies. Repetitions: copies planted among the training questions themselves. Time and memory: N made-up questions with pages against 10,000 test questions, in a process of its own.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "distill"))

from overlap_cases import (
    CHINESE,
    DISGUISES,
    a_tenth_replaced,
    document,
    planted,
    questions,
    respaced,
    traditional,
)

from distill.overlap import Settings, run
from distill.overlap.contamination import TestIndex, fold_question
from distill.records import Question, write_records

_SEEDS = (1, 2, 3)


def index_of(rows: list[Question]) -> TestIndex:
    """The index of these test questions."""
    index = TestIndex()
    for row in rows:
        index.add(row)
    return index


def recall(name: str, copies: int) -> None:
    """Print the share of planted copies found, by disguise."""
    for part in ("question", "whole", "bare"):
        rows = questions(name)
        if part == "bare":
            rows = [row.model_copy(update={"context": "", "choices": None}) for row in rows]
        index = index_of(rows)
        shares = []
        for disguise, (change, wanted) in DISGUISES.items():
            found = 0
            count = min(copies, len(rows))
            for seed in _SEEDS:
                chance = random.Random(f"{seed} {name} {disguise}")
                for row in chance.sample(rows, count):
                    found += index.match(fold_question(planted(row, change, chance, whole=part == "whole"))) is not None
            share = found / (count * len(_SEEDS))
            shares.append(
                f"{disguise} {share:.1%}{'' if share >= wanted else ' (below ' + format(wanted, '.0%') + ')'}"
            )
        print(f"{name}, {part}: {', '.join(shares)}", flush=True)


def alarms(name: str, test: str, show: bool) -> None:
    """Print how many questions of one set are flagged as copies of another's."""
    rows, tests = questions(name), questions(test)
    pages = {document(row) for row in tests}
    rows = [row for row in rows if document(row) not in pages]
    index = index_of(tests)
    matches = [(row, match) for row in rows if (match := index.match(fold_question(row)))]
    print(f"{name} against {test}: {len(matches)} of {len(rows)} = {len(matches) / len(rows):.2%}", flush=True)
    for row, match in matches if show else ():
        print(f"  {match.kind} {match.similarity:.2f}\n    {row.question!r}\n    {tests[match.row].question!r}")


def repetitions(name: str, copies: int, folder: Path) -> None:
    """Print the share of repeated training questions found, and how many of the set's own are flagged."""
    for change in (respaced, traditional, a_tenth_replaced):
        chance = random.Random(f"{name} {change.__name__}")
        rows = questions(name)
        again = [planted(row, change, chance, whole=False) for row in chance.sample(rows, min(copies, len(rows)))]
        write_records(folder / "train.jsonl", rows + again)
        run(Settings(questions=folder / "train.jsonl", out=folder / "overlap.jsonl"))
        flagged = {json.loads(line)["id"] for line in (folder / "overlap.jsonl").read_text("utf-8").splitlines()}
        found = len(flagged & {row.id for row in again})
        own = len(flagged & {row.id for row in rows})
        print(
            f"{name}, {change.__name__}: {found / len(again):.1%} of the copies; {own} of {len(rows)} own", flush=True
        )


def made_up(count: int, seed: int, share_of_pages: int = 3) -> Iterator[Question]:
    """Questions with pages of about 700 words, three to a page, from the words of FinQA's pages."""
    chance = random.Random(seed)
    words = sorted({word for row in questions("finqa_train") for word in row.context.split()})
    templates = [row.question for row in questions("finqa_train")]
    page = ""
    for number in range(count):
        if number % share_of_pages == 0:
            page = " ".join(chance.choices(words, k=700))
        asked = chance.choice(templates).split()
        for place in chance.sample(range(len(asked)), len(asked) // 3):
            asked[place] = chance.choice(words)
        yield questions("finqa")[0].model_copy(
            update={"id": f"{seed}-{number}", "question": " ".join(asked), "context": page, "meta": {}}
        )


def speed(rows: int, folder: Path) -> None:
    """Time the stage in a process of its own, so that its memory is its own."""
    write_records(folder / "train.jsonl", made_up(rows, 1))
    write_records(folder / "test.jsonl", made_up(10_000, 2))
    subprocess.run([sys.executable, __file__, "--measure", str(folder)], check=True)


def measure(folder: Path) -> None:
    """Run the stage and print its time and its peak memory."""
    start, busy = time.perf_counter(), time.process_time()
    settings = Settings(questions=folder / "train.jsonl", out=folder / "overlap.jsonl", tests=[folder / "test.jsonl"])
    result = run(settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter() - start, time.process_time() - busy
    print(
        f"{result['questions']:,} against {result['tests']:,}: {wall:.1f} s ({cpu:.1f} s of one core), {peak:.0f} MiB"
    )


def main() -> None:
    """Run all parts."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--copies", type=int, default=150, help="of each set, disguise and seed")
    options.add_argument("--rows", type=int, default=60_000, help="training questions of the timed run; 0 for none")
    options.add_argument("--show", action="store_true", help="print what is flagged between sets")
    options.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure:
        measure(given.measure)
        return
    for name in ("finqa", "tatqa", "theoremqa", "xfinbench", *CHINESE) if given.copies else ():
        recall(name, given.copies)
    alarms("finqa_train", "finqa", given.show)
    alarms("finqa_train", "finqa_dev", given.show)
    for name, test in itertools.permutations(CHINESE, 2):
        alarms(name, test, given.show)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("finqa_train", "tatqa", "cflue", "fineval") if given.copies else ():
            repetitions(name, given.copies, Path(folder))
    if given.rows:
        with tempfile.TemporaryDirectory() as folder:
            speed(given.rows, Path(folder))


if __name__ == "__main__":
    main()
