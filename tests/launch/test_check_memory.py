"""Whether a training fits, by the engines' own estimators on a real model's configuration, without its weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from small_runs import write

from launch.check import State, memory, named_machine
from launch.check.memory import Shape

pytestmark = pytest.mark.engine  # DeepSpeed and accelerate are asked, in the stack rl

QWEN_7B = {
    # the public configuration of Qwen2.5-7B-Instruct, as far as it decides the number of parameters
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "vocab_size": 152064,
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder with the configuration alone."""
    write(tmp_path / "config.json", json.dumps(QWEN_7B))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("shape", "machine", "state"),
    [
        (Shape(zero=3, ranks=8), "8x80", State.HOLDS),  # Fin-R1's: 18 bytes x 7.6e9 / 8 and the largest layer
        (Shape(zero=3, ranks=1), "80", State.MISTAKE),
        (Shape(zero=2, ranks=8), "8x24", State.MISTAKE),  # 2 bytes on each card, 18 shared
        (Shape(adapter=True, bits=4), "8", State.HOLDS),  # QLoRA
        (Shape(adapter=True, bits=16), "8", State.MISTAKE),
        (Shape(bits=16), "80", State.HOLDS),  # bf16 weights, gradients and Adam's states: 8 bytes
        (Shape(bits=32), "80", State.MISTAKE),
        (Shape(zero=3, ranks=8, reference=True), "8x24", State.HOLDS),
        (Shape(zero=3, ranks=8, vllm_share=0.5), "8x24", State.MISTAKE),
        (Shape(zero=3, ranks=8, vllm_share=0.3), "8x40", State.MISTAKE),  # 12 GiB for weights of 14
        (Shape(zero=3, ranks=8, vllm_share=0.3, vllm_parallel=2), "8x40", State.HOLDS),
    ],
)
def test_the_estimate_decides(model: str, shape: Shape, machine: str, state: State) -> None:
    found = list(memory.fits("rl", model, shape, named_machine(machine)))
    assert "7.62B parameters" in found[0].said
    assert found[-1].state is state, found


def test_offloading_is_held_against_the_memory_of_the_machine(model: str) -> None:
    shape = Shape(zero=3, offload=True, offload_params=True, ranks=2)
    large = named_machine("2x24")
    small = dataclasses.replace(large, memory=64.0)
    enough = dataclasses.replace(large, memory=512.0)
    assert [found.state for found in memory.fits("rl", model, shape, enough)] == [State.HOLDS]
    found = list(memory.fits("rl", model, shape, small))
    assert found[-1].state is State.MISTAKE
    assert "offloading takes" in found[-1].said and "it has 64" in found[-1].said


@pytest.mark.parametrize(
    ("kind", "state"), [("nothing-of-the-kind", State.MISTAKE), ("clip", State.UNKNOWN)], ids=["unknown", "no text"]
)
def test_a_model_that_cannot_be_made_is_not_counted(tmp_path: Path, kind: str, state: State) -> None:
    write(tmp_path / "config.json", json.dumps({"model_type": kind}))
    found = list(memory.fits("rl", str(tmp_path), Shape(), named_machine("80")))
    assert [finding.state for finding in found] == [state]
