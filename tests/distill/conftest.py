from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from export_chain import Chain
from numbered import numbered_question

from distill import endpoint
from distill.records import write_records


@pytest.fixture
def make_questions(tmp_path: Path) -> Callable[..., Path]:
    """Writes `count` questions that a `FaultServer` can tell apart."""

    def make(count: int, name: str = "questions.jsonl") -> Path:
        path = tmp_path / name
        write_records(path, (numbered_question(number) for number in range(count)))
        return path

    return make


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff in milliseconds, so that a test of retries takes no minute."""
    monkeypatch.setattr(endpoint, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(endpoint, "_LONGEST_WAIT_S", 0.05)


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)
