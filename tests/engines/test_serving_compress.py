"""llm-compressor itself on a model of two layers: 4-bit weights whose config.json says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from command import finr1

from launch.paths import KIT


@pytest.mark.timeout(1200)  # the stack is made on first use
def test_int4_weights_by_gptq(tiny_model: Path, tmp_path: Path) -> None:
    asked = yaml.safe_load((KIT / "recipes/serve/gptq_int4.yaml").read_text(encoding="utf-8"))
    asked["modifiers"]["GPTQModifier"]["config_groups"]["group_0"]["weights"]["group_size"] = 32  # the model is 64 wide
    calibration = str(KIT / "datasets/demo/sft/train.jsonl")
    asked |= {"model": str(tiny_model), "out": "small", "calibration": calibration, "samples": 8, "max_length": 256}
    (tmp_path / "compress.yaml").write_text(yaml.safe_dump(asked), encoding="utf-8")
    done = finr1("compress", "compress.yaml", home=tmp_path, timeout=1000)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 8
    config = json.loads((tmp_path / "small/config.json").read_text(encoding="utf-8"))["quantization_config"]
    assert config["quant_method"] == "compressed-tensors"
    assert config["config_groups"]["group_0"]["weights"]["num_bits"] == 4
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (tmp_path / "small" / name).read_bytes() == (tiny_model / name).read_bytes()
    assert not (tmp_path / "small.part").exists()
    again = finr1("compress", "compress.yaml", home=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr
