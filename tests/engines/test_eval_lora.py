"""A LoRA adapter as a model of `finr1 eval`: merged by LLaMA-Factory, served, asked."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import HERE, free_port, new_home

from eval_adapters.reviews import read_result
from launch import stacks, stages
from launch.engine import environment
from launch.paths import KIT

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

ROWS = 4


def weights(folder: Path) -> dict[str, Any]:
    """The float32 tensors of a folder's safetensors file, by name."""
    data = (folder / "model.safetensors").read_bytes()
    head = int.from_bytes(data[:8], "little")
    named = json.loads(data[8 : 8 + head])
    named.pop("__metadata__", None)
    assert {each["dtype"] for each in named.values()} == {"F32"}
    return {
        name: np.frombuffer(data[8 + head :][slice(*each["data_offsets"])], np.float32) for name, each in named.items()
    }


def test_an_adapter_is_merged_into_its_base_served_and_asked(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    home = new_home(tmp_path / "home", port)
    monkeypatch.setenv("FINR1_HOME", str(home))
    monkeypatch.chdir(home)
    adapter, by_peft = home / "runs" / "适配器 一", tmp_path / "by_peft"
    words = [stacks.python("sft"), HERE / "make_tiny_adapter.py", tiny_model, adapter, by_peft]
    subprocess.run(words, check=True, env=environment(None), capture_output=True)
    test_set = {"benchmark": "finr1_finmath", "path": str(KIT / "datasets/demo/test"), "subset": "finmath"}
    asked = {
        "out": "runs/eval",
        "models": [{"name": "base", "path": str(tiny_model)}, {"name": "tuned", "path": "runs/适配器 一"}],
        "sets": [{**test_set, "limit": ROWS}],
        "generation": {"max_tokens": 16},
    }
    Path("eval.yaml").write_text(json.dumps(asked), encoding="utf-8")
    assert stages.run_eval("eval.yaml", serve="runs/serve.yaml")["done"] == "now"

    merged, expected = weights(home / "runs/eval/tuned/_merged"), weights(by_peft)
    base = weights(tiny_model)
    assert merged.keys() == expected.keys()
    assert all(np.allclose(merged[name], expected[name], atol=1e-6) for name in merged)
    assert any(not np.allclose(merged[name], base[name], atol=1e-2) for name in merged)
    (of_base, base_rows), (of_tuned, tuned_rows) = (
        read_result(home / "runs/eval" / name / "finmath") for name in ("base", "tuned")
    )
    assert len(tuned_rows) == ROWS
    assert all(row.completion_tokens for row in tuned_rows)
    assert [row.completion for row in tuned_rows] != [row.completion for row in base_rows]
    # The adapter is known by its own weights and its base's.
    assert of_tuned["asking"]["model"]["base_sha256"] == of_base["asking"]["model"]["sha256"]
    assert stages.run_eval("eval.yaml", serve="runs/serve.yaml")["done"] == "already"
