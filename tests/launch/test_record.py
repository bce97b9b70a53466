"""A run's folder: whose checkpoints they are, and when the run is done."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from launch.record import EngineRun, environment, kit_commit


@pytest.fixture
def run(home: Path) -> EngineRun:
    (home / "data.jsonl").write_text("{}\n", encoding="utf-8")
    return EngineRun(recipe={"lr": 1}, reads=[home / "data.jsonl"], out=home / "out", stack="sft")


def test_a_run_is_done_until_its_recipe_data_or_result_changes(run: EngineRun, home: Path) -> None:
    assert not run.is_done()
    run.begin()
    (run.out / "config.json").write_text("{}")
    run.finish(time.time())
    assert run.is_done()
    assert not run.model_copy(update={"recipe": {"lr": 2}}).is_done()
    (home / "data.jsonl").write_text("{ }\n", encoding="utf-8")
    assert not run.is_done()
    (home / "data.jsonl").write_text("{}\n", encoding="utf-8")
    assert run.is_done()
    (run.out / "config.json").unlink()
    assert not run.is_done()


def test_a_stopped_run_keeps_its_checkpoints_and_another_run_does_not_get_them(run: EngineRun, home: Path) -> None:
    run.begin()
    (run.out / "checkpoint-5").mkdir()
    run.begin()
    assert (run.out / "checkpoint-5").is_dir()
    for number, rate in enumerate((2, 3), 1):
        run.model_copy(update={"recipe": {"lr": rate}}).begin()
        assert not (run.out / "checkpoint-5").exists()
        aside = home / f"out.replaced-{number}"
        assert aside.is_dir()
        (run.out / "checkpoint-5").mkdir()
    assert (home / "out.replaced-1" / "checkpoint-5").is_dir()


def test_a_run_that_starts_again_is_not_done(run: EngineRun) -> None:
    run.begin()
    (run.out / "config.json").write_text("{}")
    run.finish(time.time())
    run.begin()
    assert not run.is_done()


def test_the_environment_is_kept_without_what_may_be_secret() -> None:
    kept = environment({"NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "2", "HF_TOKEN": "x", "HF_ENDPOINT": "x", "HOME": "x"})
    assert kept == {"NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "2"}


def test_the_manifest_of_a_run_names_the_kit_and_the_machine(run: EngineRun) -> None:
    run.begin()
    written = run.finish(time.time())
    assert written["kit_commit"] == kit_commit()
    assert written["machine"]["cpus"] >= 1 and isinstance(written["environment"], dict)
