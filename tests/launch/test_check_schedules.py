"""What the check says that schedules take is what the libraries' own functions take."""

from __future__ import annotations

import json
import subprocess

import pytest

from launch import stacks
from launch.check import schedules
from launch.engine import environment

_ASK = """
import inspect, json
from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION as made
print(json.dumps({kind.value: list(inspect.signature(make).parameters) for kind, make in made.items()}))
"""
_GIVEN_BY_TRAINER = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch"}


@pytest.mark.engine
@pytest.mark.parametrize("stack", ["sft", "rl"])
def test_the_table_is_the_librarys(stack: str) -> None:
    words = [str(stacks.python(stack)), "-c", _ASK]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment(None))
    theirs = json.loads(done.stdout.strip().splitlines()[-1])
    for name, takes in schedules.TAKES.items():
        assert set(takes) == set(theirs[name]) - _GIVEN_BY_TRAINER, name
