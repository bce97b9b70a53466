"""Reading an exported test set: what is refused, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_sets import row, rows, write_set

from eval_adapters.rows import content_hash, read_rows
from reward_plugins.errors import Refused


def test_rows_come_in_file_order_with_their_prompts(tmp_path: Path) -> None:
    read = read_rows(write_set(tmp_path, rows(5)), "finmath")
    assert [each.id for each in read] == ["q0", "q1", "q2", "q3", "q4"]
    assert [message.model_dump() for message in read[1].prompt] == row(1, "10")["prompt"]


def test_a_file_stands_for_its_own_subset_only(tmp_path: Path) -> None:
    file = write_set(tmp_path, rows(2)) / "finmath.jsonl"
    assert len(read_rows(file, "finmath")) == 2
    with pytest.raises(Refused, match="holds the subset 'finmath', not 'train'"):
        read_rows(file, "train")


def test_a_missing_path_is_refused_by_name_and_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no such folder"):
        read_rows(tmp_path / "nowhere", "finmath")
    with pytest.raises(Refused, match="the folder holds finmath"):
        read_rows(write_set(tmp_path, rows(1)), "finqa")


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ('{"id": "q9", "gold"', "line 3: not a JSON object"),
        ('{"id": "q9"}', "line 3: lang: field required"),
        ('["q9"]', "line 3: "),
    ],
)
def test_a_broken_line_is_named_by_its_number(tmp_path: Path, broken: str, complaint: str) -> None:
    file = write_set(tmp_path, rows(2)) / "finmath.jsonl"
    file.write_text(file.read_text(encoding="utf-8") + broken + "\n", encoding="utf-8")
    with pytest.raises(Refused, match=complaint):
        read_rows(tmp_path, "finmath")


def test_rows_that_cannot_be_told_apart_or_asked_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="lines 1 and 2: both have the id 'q0'"):
        read_rows(write_set(tmp_path / "twice", [row(0, "1"), row(0, "2")]), "finmath")
    only_system = [{"role": "system", "content": "Think."}]
    with pytest.raises(Refused, match="line 1: the prompt does not end with a user message"):
        read_rows(write_set(tmp_path / "prompt", [row(0, "1", prompt=only_system)]), "finmath")
    with pytest.raises(Refused, match="is empty"):
        read_rows(write_set(tmp_path / "empty", []), "finmath")


def test_the_content_hash_follows_the_bytes_and_not_the_place(tmp_path: Path) -> None:
    here, there = write_set(tmp_path / "a", rows(3)), write_set(tmp_path / "b", rows(3))
    assert content_hash(here, "finmath") == content_hash(there, "finmath")
    write_set(there, list(reversed(rows(3))))
    assert content_hash(here, "finmath") != content_hash(there, "finmath")
