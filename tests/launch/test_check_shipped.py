"""Every recipe that the kit ships is right: what a machine lacks for it is told apart from a mistake in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from launch import recipe
from launch.check import Place, State, named_machine
from launch.check.finding import of
from launch.check.kinds import kind_of, look_over, look_over_pipeline
from launch.check.zero_config import deepspeed
from launch.paths import KIT

pytestmark = pytest.mark.engine  # keys are asked of the engines, in their own stacks

SHIPPED = sorted(
    path.relative_to(KIT).as_posix()
    for path in (KIT / "recipes").rglob("*.yaml")
    # what is a list is a part of a recipe
    if isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
)
CLUSTER = named_machine("8x80")


@pytest.fixture
def fresh(home: Path) -> Path:
    """A home in which nothing was made yet."""
    shutil.copytree(KIT / "recipes", home / "recipes")
    return home


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_recipe_has_no_mistake(name: str, fresh: Path) -> None:
    asked, place = recipe.load(name), Place(CLUSTER)
    kind = kind_of(asked, name)
    checked = look_over_pipeline(asked, [], name, place) if kind == "pipeline" else look_over(kind, asked, place)
    assert checked.findings
    assert [finding.said for finding in of(checked.findings, State.MISTAKE)] == []
    assert checked.passes(elsewhere=True)


def test_nothing_that_is_shipped_is_left_out() -> None:
    assert len(SHIPPED) > 50
    assert {"recipes/sft/fin_r1_7b.yaml", "recipes/grpo/fin_r1_7b_server.yaml", "recipes/serve/local.yaml"} <= {
        *SHIPPED
    }


@pytest.mark.parametrize("file", sorted((KIT / "recipes" / "deepspeed").glob("*.json")), ids=lambda file: file.name)
def test_a_shipped_deepspeed_file_has_no_mistake(file: Path) -> None:
    found = list(deepspeed(json.loads(file.read_text(encoding="utf-8")), {"per_device_train_batch_size": 1}, "sft"))
    assert [finding.state for finding in found] == [State.HOLDS]


def test_what_is_not_there_yet_is_lacking_and_no_mistake(fresh: Path) -> None:
    """The very recipe that has no mistake cannot run on a machine where nothing was made: its data is named."""
    name = "recipes/grpo/fin_r1_7b.yaml"
    checked = look_over("grpo", recipe.load(name), Place(CLUSTER))
    lacks = " ".join(finding.said for finding in of(checked.findings, State.LACKING))
    assert "datasets/fin_r1/grpo" in lacks and "runs/fin_r1/sft" in lacks
    assert not checked.passes()
