"""The tables of `launch/openr1.py` against the published packages' own dataclasses, read from their sources."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from dataclass_fields import Fields, fields_of
from openr1_shipped import ALL, COMMON, OWN, recipe_like

from launch import openr1, recipe, stacks
from launch.openr1 import DROPPED, ENVIRONMENT, KIT_KEYS, OLD_DEFAULTS, RENAMED, REWARD_PARAMETERS, translate
from launch.paths import CACHE

OLD = {"trl": "0.18.0", "transformers": "4.52.3"}
"""What open-r1 pins."""

BASES = {"TrainingArguments": "transformers/training_args.py"}
TRL = {
    "GRPOConfig": "trl/trainer/grpo_config.py",
    "ModelConfig": "trl/trainer/model_config.py",
    "ScriptArguments": "trl/scripts/utils.py",
}
OF_OPEN_R1 = dict.fromkeys(("ScriptArguments", "GRPOConfig", "GRPOScriptArguments"), "src/open_r1/configs.py")

ALIKE = {
    "fsdp",  # "" and None: no sharding
    "include_num_input_tokens_seen",  # False and "no"
    "lr_scheduler_kwargs",  # {} and None
    "top_k",  # None and 0: off
    "report_to",  # None was every tracker installed; left at "none" on purpose, and said so
}
"""Defaults that are written differently and mean one thing."""

checkout = pytest.mark.skipif(
    not os.environ.get("FINR1_OPEN_R1"), reason="FINR1_OPEN_R1 names no checkout of open-r1, whose files are not ours"
)


@pytest.fixture(scope="module")
def new() -> Fields:
    """TRL and transformers as the rl stack pins them."""
    site = next(stacks.python("rl").parents[1].glob("lib/python3.*/site-packages"))
    return fields_of(site, {**BASES, "_BaseConfig": "trl/trainer/base_config.py", **TRL})


@pytest.fixture(scope="module")
def old() -> Fields:
    """TRL and transformers as open-r1 pins them: their wheels, unpacked without what they depend on."""
    site = CACHE / "published" / "-".join(f"{name}-{version}" for name, version in OLD.items())
    if not (site / ".whole").is_file():
        words = [stacks.uv(), "pip", "install", "--quiet", "--no-deps", "--target", site]
        subprocess.run([*words, *(f"{name}=={version}" for name, version in OLD.items())], check=True, timeout=300)
        (site / ".whole").touch()
    return fields_of(site, {**BASES, **TRL})


def open_r1_recipes() -> Path:
    return Path(os.environ["FINR1_OPEN_R1"]) / "recipes"


def test_the_shipped_recipes_have_63_keys() -> None:
    assert len(ALL) == 63
    assert [len(COMMON | keys) for keys in OWN.values()] == [43, 39, 42, 44, 58]


@checkout
@pytest.mark.parametrize("name", OWN)
def test_the_table_of_shipped_keys_is_that_of_a_checkout(name: str) -> None:
    loaded = recipe.load(open_r1_recipes() / name)
    assert {key: type(value) for key, value in loaded.items()} == COMMON | OWN[name]


@checkout
@pytest.mark.engine
@pytest.mark.parametrize("name", OWN)
def test_each_shipped_recipe_parses_and_says_what_became_of_each_key(name: str, new: Fields) -> None:
    loaded = recipe.load(open_r1_recipes() / name)
    done = translate(loaded, set(new))
    assert [fate.key for fate in done.fates if fate.kind != "default"] == list(loaded)
    assert set(done.trl) <= set(new)


@pytest.mark.engine
@pytest.mark.parametrize("name", OWN)
def test_each_set_of_shipped_keys_becomes_keys_that_exist(name: str, new: Fields) -> None:
    done = translate(recipe_like(name), set(new))
    assert set(done.trl) <= set(new)
    assert translate(done.resolved(), set(new)).trl == done.trl


@pytest.mark.engine
@pytest.mark.parametrize("key", ALL)
def test_the_fate_of_each_shipped_key_is_what_the_packages_say(key: str, old: Fields, new: Fields) -> None:
    name = next(name for name, keys in OWN.items() if key in COMMON | keys)
    fate = next(fate for fate in translate(recipe_like(name), set(new)).fates if fate.key == key)
    if fate.kind in ("same", "changed"):
        assert key in old and key in new
    elif fate.kind == "renamed":
        assert key not in new and RENAMED[key] in new
    else:
        # Carried out by the kit, handed to the environment, or dropped: in each case today's trainer has no such key.
        assert fate.kind in ("data", "reward", "environment", "dropped")
        assert key not in new or key == "reward_funcs"


@pytest.mark.engine
def test_every_key_that_is_gone_has_a_place_in_the_tables(old: Fields, new: Fields) -> None:
    gone = {key for key in old.keys() - new.keys() if not key.startswith("_")}
    placed = {*RENAMED, *DROPPED, *ENVIRONMENT, *KIT_KEYS, "gradient_checkpointing_use_reentrant"}
    assert gone - placed == set()


@pytest.mark.engine
def test_no_table_holds_a_key_that_is_still_there(new: Fields) -> None:
    assert new.keys() & {*RENAMED, *DROPPED, *ENVIRONMENT, *KIT_KEYS, *REWARD_PARAMETERS, *openr1.BATCH_KEYS} == set()
    assert set(RENAMED.values()) <= set(new)


@checkout
@pytest.mark.engine
def test_every_key_of_open_r1s_own_has_a_place_in_the_tables(old: Fields, new: Fields) -> None:
    own = fields_of(Path(os.environ["FINR1_OPEN_R1"]), OF_OPEN_R1)
    placed = {*RENAMED, *DROPPED, *ENVIRONMENT, *KIT_KEYS, *REWARD_PARAMETERS, "reward_funcs"}
    assert own.keys() - new.keys() - placed == set()
    theirs = {key: own[key] for key in ("num_completions_to_print", "wandb_log_unique_prompts")}
    written = {key: OLD_DEFAULTS[RENAMED.get(key, key)] for key in theirs}
    assert written == theirs


@pytest.mark.engine
def test_every_default_that_changed_is_written_out(old: Fields, new: Fields) -> None:
    changed = {key for key in old.keys() & new.keys() if old[key] != new[key]}
    assert changed - ALIKE - OLD_DEFAULTS.keys() == set()
    for key in changed & OLD_DEFAULTS.keys() - {"scale_rewards", "num_completions_to_print"}:
        assert OLD_DEFAULTS[key] == old[key], key
    assert (old["scale_rewards"], OLD_DEFAULTS["scale_rewards"]) == (True, "group")


@pytest.mark.engine
def test_nothing_is_written_out_that_did_not_change(old: Fields, new: Fields) -> None:
    for key, value in OLD_DEFAULTS.items():
        # `optim` is computed in both packages; `scale_rewards` has a new word for what it was.
        if key in ("optim", "scale_rewards"):
            continue
        assert new[key] != value, key
