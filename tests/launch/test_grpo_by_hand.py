"""`launch/grpo.py` started by hand, from a folder that is not the home folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from small_runs import GRPO, furnish, write

from launch import stacks
from launch.engine import environment
from launch.paths import KIT

pytestmark = pytest.mark.engine


def test_paths_start_in_the_home_folder_wherever_it_is_typed(home: Path, tmp_path: Path) -> None:
    furnish(home)
    write(home / "recipe.yaml", yaml.safe_dump(GRPO))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = [stacks.python("rl"), KIT / "launch" / "grpo.py", "--config", home / "recipe.yaml", "--dry-run"]
    env = environment({"FINR1_HOME": str(home)})
    done = subprocess.run(words, cwd=elsewhere, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    written = yaml.safe_load((home / "runs" / "grpo" / "resolved_recipe.yaml").read_text(encoding="utf-8"))
    assert written["output_dir"] == str(home / "runs" / "grpo")
    assert list(elsewhere.iterdir()) == []
