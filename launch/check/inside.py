"""Questions to the engines in their own stacks, with the answers kept until the stack or the question changes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from launch import stacks
from launch.engine import environment
from launch.models import TOKENIZER_FILES
from launch.paths import CACHE, KIT
from reward_plugins.errors import Refused
from reward_plugins.files import write_whole

_PROGRAM = KIT / "launch" / "inside" / "answer.py"
_CHANGES = ("config.json", *TOKENIZER_FILES)
"""The files of a model folder that an answer hangs on; weights are never read."""


@dataclass(frozen=True)
class Answer:
    """What a stack said to a question: a value, or the engine's own complaint in `error`."""

    value: Any = None
    error: str = ""


KNOWN = KIT / "stacks" / "answers.jsonl"
"""Answers that hang on nothing but a stack's pins, a line each: {stack, pins, question, value}. For those no engine is
started, nor its stack made. Lines of other pins are passed over; `write_known` makes them anew."""

PINNED: Mapping[str, tuple[str, ...]] = {
    "sft": ("keys", "templates", "deepspeed_keys"),
    "rl": ("keys", "accelerate_keys"),
}
"""The questions that `KNOWN` answers."""

_COMPLAINTS: dict[Path, Answer] = {}
"""Kept for this process only: a complaint may pass, when a package is installed or a file is mended."""


def answers(stack: str, questions: Sequence[Mapping[str, Any]]) -> list[Answer]:
    """Ask a stack's engine; see `launch/inside/answer.py` for the questions.

    All that is not known yet goes into one start of the stack's interpreter. A question that names a `model` folder
    is asked anew when its configuration or tokenizer changes.

    Raises:
        Refused: the stack could not be made, or its interpreter failed as a whole.
    """
    files = [_store(stack, question) for question in questions]
    found = {number: _COMPLAINTS[file] for number, file in enumerate(files) if file in _COMPLAINTS}
    for number, question in enumerate(questions):
        if question["ask"] in PINNED.get(stack, ()) and question["ask"] in _known(stack):
            found[number] = Answer(_known(stack)[question["ask"]])
    missing = [number for number, file in enumerate(files) if number not in found and not file.is_file()]
    new = _ask(stack, [questions[number] for number in missing]) if missing else []
    for number, reply in zip(missing, new, strict=True):
        found[number] = Answer(reply.get("value"), reply.get("error", ""))
        if found[number].error:
            _COMPLAINTS[files[number]] = found[number]
        else:
            _keep(files[number], reply)
    for number, file in enumerate(files):
        if number not in found:
            found[number] = Answer(json.loads(file.read_text(encoding="utf-8"))["value"])
    return [found[number] for number in range(len(questions))]


def ask_ahead(questions: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Ask several stacks at once, {stack: questions}, so that all that follows is known already."""
    with ThreadPoolExecutor() as pool:
        for asked in [pool.submit(answers, stack, each) for stack, each in questions.items()]:
            asked.result()


def value(stack: str, **question: Any) -> Any:
    """One answer. Raises `Refused` with the engine's own complaint where there is none."""
    answer = answers(stack, [question])[0]
    if answer.error:
        raise Refused(f"stack {stack} could not answer {question['ask']!r}: {answer.error}")
    return answer.value


def write_known() -> None:
    """Ask the stacks all that hangs on their pins alone, and write `KNOWN`. Raises `Refused` as `answers` does."""
    lines = []
    for stack, names in PINNED.items():
        for name, reply in zip(names, _ask(stack, [{"ask": name} for name in names]), strict=True):
            if "value" not in reply:
                raise Refused(f"stack {stack} could not answer {name!r}: {reply['error']}")
            line = {"stack": stack, "pins": stacks.identity(stack), "question": name, "value": reply["value"]}
            lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    write_whole(KNOWN, "".join(lines))


@cache
def _known(stack: str) -> dict[str, Any]:
    """The answers of `KNOWN` for a stack as it is pinned now: {question: value}."""
    if not KNOWN.is_file():
        return {}
    lines = map(json.loads, KNOWN.read_text(encoding="utf-8").splitlines())
    pins = stacks.identity(stack)
    return {line["question"]: line["value"] for line in lines if line["stack"] == stack and line["pins"] == pins}


def _ask(stack: str, questions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    words = [str(stacks.python(stack)), str(_PROGRAM), stack.partition("-")[0]]
    env = environment({"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""})  # a look costs no GPU memory
    done = subprocess.run(words, input=json.dumps(questions), capture_output=True, text=True, env=env)
    if done.returncode:
        raise Refused(f"stack {stack} could not answer: {' '.join(done.stderr.split()[-40:])}")
    replies: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    return replies


def _store(stack: str, question: Mapping[str, Any]) -> Path:
    """Where the answer is kept: by the stack's pins, the program, the question, and the model's small files.

    A model's place is no part of it: the same tokenizer and configuration elsewhere have the same answers.
    """
    placeless = {key: value for key, value in question.items() if key != "model"}
    digest = hashlib.sha256(f"{stack} {stacks.identity(stack)}".encode())
    digest.update(_PROGRAM.read_bytes())
    digest.update(json.dumps(placeless, sort_keys=True).encode())
    if model := question.get("model"):
        for name in _CHANGES:
            file = Path(model) / name
            digest.update(hashlib.sha256(file.read_bytes()).digest() if file.is_file() else b"-")
    return CACHE / "answers" / f"{question['ask']}-{digest.hexdigest()[:24]}.json"


def _keep(file: Path, reply: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # Two checks may write at once, in two processes or two threads of one.
    part = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
    part.write_text(json.dumps(reply), encoding="utf-8")
    part.replace(file)
