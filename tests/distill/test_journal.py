"""The journal: what has ended is on file before the event loop waits again, in whole lines only."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from distill.journal import Journal
from distill.plan import Plan
from distill.records import Question, Trace, Usage
from distill.reply import Reply
from distill.teachers import Teacher
from reward_plugins.errors import Refused


def write_in_one_turn(journal: Journal, lines: list[tuple[str, bytes]]) -> None:
    async def turn() -> None:
        for request_id, line in lines:
            journal.append_soon(request_id, line, answered=True)
        await asyncio.sleep(0)

    asyncio.run(turn())


def made(number: int) -> tuple[str, bytes]:
    trace = Trace(
        id=f"q-{number}|t|0|{number:016x}", question_id=f"q-{number}", teacher="t", sample=0, prompt_sha256="0"
    )
    return trace.id, trace.model_dump_json().encode() + b"\n"


def test_the_lines_of_one_turn_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real_write = tmp_path / "t.jsonl", os.write
    lines = [made(number) for number in range(50)]
    writes: list[int] = []

    def counted(fd: int, data: bytes) -> int:
        writes.append(len(data))
        return real_write(fd, data)

    with Journal(path) as journal:
        monkeypatch.setattr(os, "write", counted)
        write_in_one_turn(journal, lines)
        # Before anything is synced or closed: a process that is killed now leaves all of them.
        assert path.read_bytes() == b"".join(line for _, line in lines)
        write_in_one_turn(journal, [made(50)])
        assert len(writes) == 2
    with Journal(path) as journal:
        assert all(journal.is_answered(request_id) for request_id, _ in lines) and len(journal) == 51


def test_a_write_that_breaks_off_leaves_whole_lines_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real_write = tmp_path / "t.jsonl", os.write
    lines = [made(number) for number in range(3)]
    fits = len(lines[0][1]) + 7

    def nearly_full(fd: int, data: bytes) -> int:
        if len(data) <= fits:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(fd, data[:fits])

    journal = Journal(path)
    monkeypatch.setattr(os, "write", nearly_full)
    write_in_one_turn(journal, lines[:2])
    assert path.read_bytes() == lines[0][1]
    with pytest.raises(Refused, match="disk is full"):
        write_in_one_turn(journal, lines[2:])
    with pytest.raises(Refused, match="disk is full"):
        journal.close()
    assert path.read_bytes() == lines[0][1]


def test_the_line_of_an_answer_is_its_trace(tmp_path: Path) -> None:
    question = Question(
        id="甲|1", source="s", split="train", lang="zh", task="t", question="几？", gold="4", answer_type="number", licence="MIT"
    )  # fmt: skip
    teacher = Teacher(name="t", base_url="http://127.0.0.1:9/v1", model="m")
    reply = Reply('想\n"', "四", '<think>想\n"</think><answer>四</answer>', "stop", Usage(prompt_tokens=3))
    with Journal(tmp_path / "t.jsonl") as journal:
        (request,) = Plan(teacher, journal).at(question)
        assert request.line(reply, 0.12345) == request.trace(reply, 0.12345).model_dump_json().encode() + b"\n"
        write_in_one_turn(journal, [(request.id, request.line(reply, 0.12345))])
        assert journal.is_answered(request.id)
    assert Trace.model_validate_json((tmp_path / "t.jsonl").read_bytes()).answer == "四"
