"""LLaMA-Factory's own parser reads what the export writes, and trains on as many tokens as the export counted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from export_chain import SYSTEM, Chain
from places import HERE

from distill import export
from distill.prompts import messages, user_message
from distill.questions import read_questions
from distill.tokens import Talk, TokenCounter
from launch import stacks
from launch.engine import environment


def in_sft_stack(program: str, *arguments: object, given: str = "") -> Any:
    """The last line that a program of this folder prints in the sft stack, as JSON."""
    words = [str(word) for word in (stacks.python("sft"), HERE / program, *arguments)]
    # The encoding of a bare system: the registry is opened without one.
    env = environment({"HF_HUB_OFFLINE": "1", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"})
    done = subprocess.run(words, input=given, capture_output=True, text=True, env=env)
    assert not done.returncode, done.stderr[-2000:]
    assert "abnormal" not in done.stderr and "Invalid" not in done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def aligned(root: Path, stage: str, *names: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of these sets as LLaMA-Factory hands them to its trainer of that stage."""
    found: dict[str, list[dict[str, Any]]] = in_sft_stack("read_registry.py", root, stage, *names)
    return found


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Four sets in one registry: sharegpt and Alpaca, answers and pairs."""
    chain = Chain(tmp_path_factory.mktemp("registry"))
    chain.screen()
    for form in ("sharegpt", "alpaca"):
        export.run(chain.settings(set=form, form=form, dpo_per_question=1))
    export.run(chain.settings(set="bare", form="sharegpt", system_prompt=None))
    return chain


def answer(chain: Chain, row: dict[str, Any]) -> str:
    """The right answer to an aligned row's question, as the teacher gave it."""
    questions = {user_message(question): question for question in read_questions(chain.questions)}
    question = questions[row["_prompt"][0]["content"]]
    return f"<think>{question.meta['solution']}</think><answer>{question.gold}</answer>"


def test_answers_of_both_forms_are_read_alike(sets: Chain) -> None:
    found = aligned(sets.root, "sft", "sharegpt_sft", "alpaca_sft", "bare_sft")
    assert found["sharegpt_sft"] == found["alpaca_sft"]
    for name, system in (("sharegpt_sft", SYSTEM), ("bare_sft", "")):
        assert len(found[name]) == 40
        for row in found[name]:
            assert row["_system"] == system and len(row["_prompt"]) == 1
            assert row["_prompt"][0]["role"] == "user"
            assert row["_response"] == [{"role": "assistant", "content": answer(sets, row)}]
            assert not row["_tools"] and row["_images"] is row["_videos"] is row["_audios"] is None


def test_pairs_of_both_forms_are_read_alike(sets: Chain) -> None:
    found = aligned(sets.root, "rm", "sharegpt_dpo", "alpaca_dpo")
    assert found["sharegpt_dpo"] == found["alpaca_dpo"]
    assert len(found["sharegpt_dpo"]) == 40
    for row in found["sharegpt_dpo"]:
        chosen, rejected = row["_response"]
        assert chosen == {"role": "assistant", "content": answer(sets, row)}
        assert rejected["content"] == "<think>I guess.</think><answer>-987654.25</answer>"
        assert row["_system"] == SYSTEM and len(row["_prompt"]) == 1


def test_the_export_counts_the_tokens_that_are_trained_on(sets: Chain, real_model: Path) -> None:
    """As LLaMA-Factory's template renders it, but for the line break after the end of the turn."""
    counter = TokenCounter(real_model)
    rows = [json.loads(line) for line in (sets.root / "datasets/bare/sft/train.jsonl").open(encoding="utf-8")]
    talks = [
        Talk([{"role": "system", "content": SYSTEM}, {"role": "user", "content": human["value"]}], gpt["value"])
        for human, gpt in (row["conversations"] for row in rows)
    ]
    given = [[*talk.prompt, {"role": "assistant", "content": talk.completion}] for talk in talks]
    trained = in_sft_stack("trained_tokens.py", real_model, "chatml", given=json.dumps(given))
    for talk, count, length in zip(talks, counter.lengths(talks), trained, strict=True):
        assert length <= count <= length + 1, talk
    question = next(read_questions(sets.questions))
    assert counter.shown(Talk(messages(question, SYSTEM))).startswith(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n")
