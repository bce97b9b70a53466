"""With what `finr1 sft` starts LLaMA-Factory; the engine itself is a stand-in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_runs import SFT, furnish, write

from launch import engine, train
from launch.engine import EngineFailed

pytestmark = pytest.mark.engine  # the check before it asks the engine


@pytest.fixture
def started(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A furnished home; what an engine would get: its recipe and its environment."""
    furnish(home)
    given: dict[str, Any] = {}

    def start(words: list[Any], *, env: dict[str, str], **_: Any) -> float:
        given.update(recipe=yaml.safe_load(Path(words[-1]).read_text(encoding="utf-8")), env=env)
        raise EngineFailed("stopped")

    monkeypatch.setattr(engine, "run", start)
    return given


def start(home: Path, **keys: Any) -> None:
    write(home / "recipe.yaml", json.dumps({**SFT, "save_strategy": "steps", **keys}))
    with pytest.raises(EngineFailed):
        train.sft(str(home / "recipe.yaml"), [])


def test_a_stopped_run_goes_on_though_its_recipe_says_null(home: Path, started: dict[str, Any]) -> None:
    start(home, resume_from_checkpoint=None)
    assert "resume_from_checkpoint" not in started["recipe"]
    for name in ("trainer_state.json", "rng_state.pth"):
        write(home / "runs" / "sft" / "checkpoint-4" / name, "{}")
    start(home, resume_from_checkpoint=None)
    assert started["recipe"]["resume_from_checkpoint"] == str(home / "runs" / "sft" / "checkpoint-4")


def test_deepspeed_is_started_by_torchrun_on_a_single_card_too(home: Path, started: dict[str, Any]) -> None:
    """LLaMA-Factory refuses it otherwise, once it has started."""
    start(home)
    assert "FORCE_TORCHRUN" not in started["env"]
    start(home, deepspeed="recipes/deepspeed/zero2.json")
    assert started["env"]["FORCE_TORCHRUN"] == "1"


def test_what_ray_starts_is_not_started_by_torchrun(
    home: Path, started: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USE_RAY", "1")
    start(home, deepspeed="recipes/deepspeed/zero2.json")
    assert "FORCE_TORCHRUN" not in started["env"]
