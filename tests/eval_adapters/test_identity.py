"""What makes two evaluations the same one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_sets import recipe, rows, write_set

from eval_adapters import identity
from eval_adapters.settings import EvalSettings, Generation, ModelSpec
from reward_plugins.errors import Refused


def print_of(settings: EvalSettings, model: ModelSpec | None = None) -> str:
    return identity.fingerprint(
        identity.asking(settings, identity.of_model(model or settings.models[0]), settings.sets[0])
    )


def test_the_port_and_the_place_of_the_data_do_not_matter(tmp_path: Path) -> None:
    here, there = write_set(tmp_path / "a", rows(3)), write_set(tmp_path / "b", rows(3))
    one = recipe(tmp_path, here, "http://127.0.0.1:1/v1", batch=1)
    other = recipe(tmp_path, there, "http://localhost:2/v1", batch=64, timeout_s=9.0)
    assert print_of(one) == print_of(other)


def test_whatever_changes_the_answers_matters(tmp_path: Path) -> None:
    data = write_set(tmp_path / "a", rows(3))
    one = recipe(tmp_path, data, "http://127.0.0.1:1/v1")
    others = [
        recipe(tmp_path, data, "https://api.example.com/v1"),
        recipe(tmp_path, data, one.models[0].api_url or "", limit=2),
        recipe(tmp_path, data, one.models[0].api_url or "", names=("other",)),
        one.model_copy(update={"generation": Generation(max_tokens=65)}),
        one.model_copy(update={"generation": Generation(max_tokens=64, seed=1)}),
        recipe(tmp_path, write_set(tmp_path / "b", rows(4)), one.models[0].api_url or ""),
    ]
    assert len({print_of(one), *map(print_of, others)}) == 7


def test_a_local_model_is_its_weights_and_not_what_a_trainer_leaves_beside_them(tmp_path: Path) -> None:
    settings = recipe(tmp_path, write_set(tmp_path / "a", rows(1)), "http://127.0.0.1:1/v1")
    folder = tmp_path / "model"
    folder.mkdir()
    model = ModelSpec(name="m", path=folder)
    with pytest.raises(Refused, match=r"has no config\.json"):
        print_of(settings, model)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    before = print_of(settings, model)
    (folder / "trainer_state.json").write_text("{}")
    (folder / "training_args.bin").write_bytes(b"1")
    (folder / "checkpoint-1").mkdir()
    assert print_of(settings, model) == before
    (folder / "model.safetensors").write_bytes(b"weight2")
    assert print_of(settings, model) != before


def test_a_hub_id_stands_for_itself() -> None:
    assert identity.of_model(ModelSpec(name="m", path=Path("Qwen/Qwen3-4B"))) == {
        "name": "m",
        "hub_id": "Qwen/Qwen3-4B",
    }


def adapter_of(folder: Path, base: Path | str, weights: bytes = b"weights") -> ModelSpec:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base), "r": 8}))
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return ModelSpec(name="m", path=folder)


def test_an_adapter_is_its_weights_and_its_base_wherever_they_lie(tmp_path: Path) -> None:
    for name, content in (("base", b"1"), ("moved", b"1"), ("other", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(content)
    known = identity.of_model(adapter_of(tmp_path / "a", tmp_path / "base"))
    assert known["base_sha256"] == identity.model_hash(tmp_path / "base")
    assert identity.of_model(adapter_of(tmp_path / "b", tmp_path / "moved")) == known
    assert identity.of_model(adapter_of(tmp_path / "a", tmp_path / "other")) != known
    assert identity.of_model(adapter_of(tmp_path / "a", tmp_path / "base", b"more steps")) != known
    assert identity.of_model(adapter_of(tmp_path / "a", "Qwen/Qwen3-4B"))["base_hub_id"] == "Qwen/Qwen3-4B"


def test_an_adapter_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="which is not here; write the base model's folder"):
        identity.of_model(adapter_of(tmp_path / "a", tmp_path / "gone"))
    without_weights = adapter_of(tmp_path / "b", "Qwen/Qwen3-4B")
    (tmp_path / "b" / "adapter_model.safetensors").unlink()
    with pytest.raises(Refused, match="did its training end"):
        identity.of_model(without_weights)
    (tmp_path / "b" / "adapter_config.json").write_text("{}")
    with pytest.raises(Refused, match="names no base_model_name_or_path"):
        identity.of_model(without_weights)
