"""What is known of the engines without starting one is what they say themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch import stacks
from launch.check import inside

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "CACHE", tmp_path)


@pytest.mark.parametrize("stack", inside.PINNED)
def test_the_known_answers_are_those_of_the_pinned_stacks(stack: str) -> None:
    """After new pins: python -c "from launch.check import inside; inside.write_known()"."""
    names = inside.PINNED[stack]
    known = {line["question"]: line for line in map(json.loads, inside.KNOWN.read_text("utf-8").splitlines())
             if line["stack"] == stack}  # fmt: skip
    assert {line["pins"] for line in known.values()} == {stacks.identity(stack)}
    said = inside._ask(stack, [{"ask": name} for name in names])
    assert {name: known[name]["value"] for name in names} == {
        name: reply["value"] for name, reply in zip(names, said, strict=True)
    }


def test_known_answers_start_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_ask", lambda *_: pytest.fail("an engine was started"))
    assert "cutoff_len" in inside.value("sft", ask="keys")
    assert "num_generations" in inside.value("rl", ask="keys")


def test_answers_for_other_pins_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inside, "_known", inside._known.__wrapped__)  # without what this process has read already
    monkeypatch.setattr(stacks, "identity", lambda stack: "other pins")
    monkeypatch.setattr(inside, "_ask", lambda stack, questions: [{"value": "asked"} for _ in questions])
    assert inside.value("sft", ask="templates") == "asked"
