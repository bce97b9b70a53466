"""Real engines on a model of two layers: seconds instead of minutes, and nothing of the engine left out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from places import HERE

from launch import models, stacks
from launch.engine import environment


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def real_model() -> Path:
    """The embedded 135M model."""
    return models.unpack()


@pytest.fixture(scope="session")
def tiny_model(real_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two random layers with the embedded model's tokenizer."""
    out = tmp_path_factory.mktemp("models") / "tiny"
    words = [stacks.python("sft"), HERE / "make_tiny_model.py", real_model, out]
    subprocess.run(words, check=True, env=environment(None), capture_output=True)
    return out
