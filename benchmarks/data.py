"""How long the data stages take on a set of Fin-R1's size: 60,000 traces of 3,000 tokens.

    python benchmarks/data.py [--rows 60000] [--keep FOLDER] [--only screen,overlap,export] [--tokenizer FOLDER]

Makes up questions and traces (half English, half Chinese; answers from the program that makes the problems, reasoning
strung together from worked solutions of others), runs each stage as its own `finr1` process, and writes seconds and peak
memory of each to benchmarks/results/data.json. With `--tokenizer`, export also counts tokens against a cut-off that is
near the rows' length, so that every row has to be counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))  # before this folder, whose launch.py is not the package

from distill.finmath import generate
from distill.journal import trace_id
from distill.prompts import messages, prompt_sha256
from distill.records import Question, Trace, Usage, write_records
from launch.paths import KIT
from launch.record import machine

# Characters of 3,000 tokens: 4 an English token and 1.5 a Chinese one, as Qwen's tokenizer splits such texts.
_CHARACTERS = {"en": 12_000, "zh": 4_500}
# Between the shortest and the longest row, in the tokens of a small English model.
_CUTOFF = 8192
# Worked solutions that the reasoning is strung together from; enough that no trace repeats itself.
_SOLUTIONS = 6_000
# Different problems; those after them are the same ones on other pages. The generator has about 20,000 for one split.
_PROBLEMS = 15_000
# Of a hundred traces so many are wrong, have no answer, or are errors.
_WRONG, _MUTE, _ERRORS = 25, 4, 1


def questions(rows: int, seed: int) -> Iterator[Question]:
    """Problems with a made-up page before each, and a made-up scene in each, so that no two are near copies."""
    dice = random.Random(seed)
    problems = list(generate(min(rows, _PROBLEMS), seed=seed))
    for number in range(rows):
        question = problems[number % len(problems)]
        told = f"{scene(dice, question.lang, 40)} {question.question}"
        page = scene(dice, question.lang, 200)
        yield question.model_copy(update={"id": f"{question.id}-{number}", "question": told, "context": page})


def scene(dice: random.Random, lang: str, words: int) -> str:
    """Text without meaning, as diverse as a real one: made-up words, or Chinese characters two by two."""
    if lang == "zh":
        return "，".join("".join(chr(dice.randrange(0x4E00, 0x5E00)) for _ in range(8)) for _ in range(words // 4))
    return " ".join("".join(dice.choices("aeioustrnlmdcp", k=dice.randrange(3, 9))) for _ in range(words))


def traces(asked: list[Question]) -> Iterator[Trace]:
    """One trace a question, three quarters of them right."""
    dice = random.Random(2)
    solutions: dict[str, list[str]] = {"en": [], "zh": []}
    for question in generate(_SOLUTIONS, seed=12):
        solutions[question.lang].append(str(question.meta["solution"]))
    for number, question in enumerate(asked):
        steps: list[str] = []
        while sum(map(len, steps)) < _CHARACTERS[question.lang]:
            steps.append(dice.choice(solutions[question.lang]))
        reasoning, fate = "\n".join([*steps, str(question.meta["solution"])]), number % 100
        answer = "-98765.25" if fate < _WRONG else "" if fate < _WRONG + _MUTE else question.gold
        failed = fate >= 100 - _ERRORS
        digest = prompt_sha256(messages(question, ""))
        yield Trace(
            id=trace_id(question.id, "made-up", 0, digest),
            question_id=question.id,
            teacher="made-up",
            sample=0,
            reasoning="" if failed else reasoning,
            answer="" if failed else answer,
            response="" if failed else f"<think>{reasoning}</think><answer>{answer}</answer>",
            finish_reason="" if failed else "stop",
            usage=Usage(prompt_tokens=400, completion_tokens=3000),
            prompt_sha256=digest,
            error="http 500" if failed else None,
        )


def make(home: Path, rows: int) -> None:
    """Write the inputs of the stages: training questions, their traces, and test questions of another seed."""
    asked = list(questions(rows, seed=11))
    write_records(home / "questions" / "train.jsonl", asked)
    write_records(home / "questions" / "test.jsonl", questions(2_000, seed=13))
    part = home / "traces.jsonl"
    with part.open("wb") as journal:
        for trace in traces(asked):
            journal.write(trace.model_dump_json().encode() + b"\n")


def recipes(tokenizer: Path | None) -> dict[str, dict[str, Any]]:
    """The settings of each stage; rule-only screening, Fin-R1's policy."""
    given = {"questions": "questions/train.jsonl", "traces": "traces.jsonl"}
    export = {**given, "set": "made", "verdicts": "verdicts.jsonl", "overlap": "overlap.jsonl", "rl": "unkept"}
    measured = {"tokenizer": str(tokenizer), "cutoff_len": _CUTOFF} if tokenizer else {}
    return {
        "screen": {**given, "out": "verdicts.jsonl"},
        "overlap": {"questions": "questions/train.jsonl", "out": "overlap.jsonl", "tests": ["questions/test.jsonl"]},
        "export": {**export, "test": "questions/test.jsonl"},
        **({"export-tokens": {**export, **measured, "set": "measured"}} if tokenizer else {}),
    }


def timed(home: Path, stage: str, settings: dict[str, Any]) -> dict[str, float]:
    """Run one stage as a process of its own: seconds, seconds of processor time, and the most memory of one process (MiB)."""
    recipe = home / f"{stage}.yaml"
    recipe.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "launch.cli", stage.partition("-")[0], str(recipe)]
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=home, env={**os.environ, "FINR1_HOME": str(home)}, stdout=subprocess.PIPE)
    assert process.stdout is not None
    summary = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{stage} failed with {status}: {summary[-2000:]}")
    worked = round(usage.ru_utime + usage.ru_stime, 1)  # what is left of a busy machine's figures
    took = {"seconds": round(time.monotonic() - begin, 1), "cpu_s": worked, "peak_mib": round(usage.ru_maxrss / 1024)}
    print(stage, took, flush=True)
    return took


def main() -> None:
    """Make up, run, measure, write the JSON, print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--keep", type=Path, help="make the inputs in this folder, or use those that are there")
    parser.add_argument("--only", default="screen,overlap,export,export-tokens", help="stages, by commas")
    parser.add_argument("--tokenizer", type=Path, help="a folder with tokenizer.json: also time an export that counts")
    parser.add_argument("--out", type=Path, default=KIT / "benchmarks" / "results" / "data.json")
    options = parser.parse_args()
    load = os.getloadavg()[1]
    with tempfile.TemporaryDirectory() as scratch:
        home = (options.keep or Path(scratch)).resolve()
        if not (home / "traces.jsonl").exists():
            make(home, options.rows)
        tokenizer = options.tokenizer.resolve() if options.tokenizer else None
        stages = {
            stage: timed(home, stage, settings)
            for stage, settings in recipes(tokenizer).items()
            if stage in options.only.split(",")
        }
        size = (home / "traces.jsonl").stat().st_size
    chain = [took for stage, took in stages.items() if stage != "export-tokens"]
    result = {
        "command": f"python benchmarks/data.py --rows {options.rows}",
        "rows": options.rows,
        "traces_mib": round(size / 2**20),
        "seconds": round(sum(took["seconds"] for took in chain), 1),
        "cpu_s": round(sum(took["cpu_s"] for took in chain), 1),
        "peak_mib": max(took["peak_mib"] for took in chain),
        "load_before": round(load, 1),
        "machine": {**machine(), "python": platform.python_version()},
        "stages": stages,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
