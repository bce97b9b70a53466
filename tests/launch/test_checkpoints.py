"""Which of the folders that a killed run left may be gone on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch import checkpoints


def checkpoint(out: Path, step: int, *files: str) -> Path:
    folder = out / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    for name in files:
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


@pytest.mark.parametrize("ranks", [None, 1])
def test_the_newest_whole_one_is_taken_by_its_number(tmp_path: Path, ranks: int | None) -> None:
    checkpoint(tmp_path, 9, "trainer_state.json", "rng_state.pth")
    whole = checkpoint(tmp_path, 10, "trainer_state.json", "rng_state.pth")
    checkpoint(tmp_path, 11, "rng_state.pth", "model.safetensors")
    assert checkpoints.latest(tmp_path, ranks) == whole


def test_each_rank_needs_its_own_numbers(tmp_path: Path) -> None:
    both = checkpoint(tmp_path, 2, "trainer_state.json", "rng_state_0.pth", "rng_state_1.pth")
    one = checkpoint(tmp_path, 4, "trainer_state.json", "rng_state_0.pth")
    assert checkpoints.latest(tmp_path, 2) == both
    assert checkpoints.latest(tmp_path, 3) is None
    assert checkpoints.latest(tmp_path, None) == one


def test_weights_alone_are_no_checkpoint(tmp_path: Path) -> None:
    """What `save_only_model` leaves has neither the optimiser's state nor random numbers."""
    checkpoint(tmp_path, 2, "trainer_state.json", "model.safetensors")
    assert checkpoints.latest(tmp_path) is None
    assert checkpoints.latest(tmp_path / "no such run") is None


def test_a_recipe_that_says_null_or_true_goes_on_and_one_that_says_false_begins_anew(tmp_path: Path) -> None:
    """LLaMA-Factory's own examples all carry `resume_from_checkpoint: null`."""
    assert checkpoints.to_go_on_from(tmp_path, None) is None
    assert checkpoints.to_go_on_from(tmp_path, True) is None
    newest = str(checkpoint(tmp_path, 3, "trainer_state.json", "rng_state.pth"))
    assert checkpoints.to_go_on_from(tmp_path, None) == newest
    assert checkpoints.to_go_on_from(tmp_path, True) == newest
    assert checkpoints.to_go_on_from(tmp_path, False) is None
    assert checkpoints.to_go_on_from(tmp_path, "elsewhere/checkpoint-1") == "elsewhere/checkpoint-1"


def test_a_state_that_a_full_disk_cut_off_is_none(tmp_path: Path) -> None:
    whole = checkpoint(tmp_path, 2, "trainer_state.json", "rng_state.pth")
    for step, text in ((4, ""), (6, '{"log_history": [')):
        (checkpoint(tmp_path, step, "rng_state.pth") / "trainer_state.json").write_text(text, encoding="utf-8")
    assert checkpoints.latest(tmp_path) == whole
