"""What a compression is refused for before llm-compressor is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from launch import recipe
from launch.serving.compress import CompressSettings, run
from reward_plugins.errors import Refused

ROW = {"system": "s", "conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}


def refused(home: Path, row: Any = ROW, **asked: Any) -> str:
    (home / "model").mkdir(exist_ok=True)
    (home / "model/config.json").touch()
    written = row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" if row else b""
    (home / "rows.jsonl").write_bytes(written)
    recipe_ = {"model": "model", "out": "out", "calibration": "rows.jsonl", "modifiers": {"GPTQModifier": {}}, **asked}
    with pytest.raises(Refused) as refusal:
        run(recipe.settings(CompressSettings, recipe_))
    return str(refusal.value)


def test_what_cannot_be_compressed_is_refused(home: Path) -> None:
    (home / "there").mkdir()
    (home / "lora").mkdir()
    (home / "lora/adapter_config.json").touch()
    assert "is there already" in refused(home, out="there")
    assert "holds no whole weights: merge" in refused(home, model="lora")
    assert "no such file" in refused(home, calibration="none.jsonl")
    assert "has no rows to calibrate with" in refused(home, row=None)
    assert "modifiers" in refused(home, modifiers={})


@pytest.mark.parametrize(
    "row",
    [
        ["q"],
        {"prompt": []},
        {"conversations": [{"from": "tool", "value": "x"}]},
        {"conversations": "q"},
        {"conversations": []},
        b"\xd3\xaa\xca\xd5",
    ],
)
def test_a_row_of_another_kind_is_named(home: Path, row: Any) -> None:
    assert "rows.jsonl, line 1: no row of an SFT set" in refused(home, row=row)
    assert not (home / "out").exists() and not (home / "out.part").exists()
