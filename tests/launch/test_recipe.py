"""Reading a recipe: what is accepted, and the sentence for what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from distill import ask, prepare, screen
from launch import recipe
from launch.paths import KIT
from launch.pipeline import Pipeline
from launch.serving.server import ServeSettings
from reward_plugins.errors import Refused


def written(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_misspelt_key_is_refused_with_the_right_spelling(home: Path) -> None:
    path = written(home, "model: m\nprot: 8011\n")
    with pytest.raises(Refused, match=r"unknown key 'prot'; did you mean 'port'\?"):
        recipe.settings(ServeSettings, recipe.load(path), path)


def test_a_misspelt_required_key_is_called_misspelt_and_not_missing(home: Path) -> None:
    path = written(home, "modle: m\n")
    with pytest.raises(Refused, match=r"unknown key 'modle'; did you mean 'model'\?"):
        recipe.settings(ServeSettings, recipe.load(path), path)


def test_a_key_given_twice_is_refused_with_its_line(home: Path) -> None:
    with pytest.raises(Refused, match=r"key 'model' stands twice \(line 2\)"):
        recipe.load(written(home, "model: a\nmodel: b\n"))


@pytest.mark.parametrize(
    "text",
    [
        "- a\n- b\n",
        "just words\n",
        "",
        "a: [1\n",
        "a: !!python/object:os.system {}\n",
        "? [a, b]\n: 1\n",
        "a: 2026-13-45\n",
    ],
)
def test_what_is_no_mapping_is_refused(home: Path, text: str) -> None:
    with pytest.raises(Refused):
        recipe.load(written(home, text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb:\n\tc: 2\n", "line 3, 'c: 2': a line begins with a tab"),
        ("a: 1\n学习率：2\nb: 3\n", "line 2, '学习率：2': the colon is a full-width one"),
        ("a: 1\nrank:8\nb: 3\n", "line 2, 'rank:8': a space is missing"),
        ("a: 1\nb: [1, 2\n", "line 2, 'b: [1, 2'"),
    ],
)
def test_a_usual_slip_is_named_with_its_line(home: Path, text: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        recipe.load(written(home, text))
    assert says in str(refused.value)


@pytest.mark.parametrize("encoding", ["gbk", "utf-16"])
def test_another_encoding_is_refused(home: Path, encoding: str) -> None:
    (home / "recipe.yaml").write_text("# 学习率\na: 1\n", encoding=encoding)
    with pytest.raises(Refused, match="not in UTF-8"):
        recipe.load(home / "recipe.yaml")


def test_a_missing_recipe_names_a_near_one(home: Path) -> None:
    with pytest.raises(Refused, match=r"did you mean 'recipes/pipelines/quickstart.yaml'\?"):
        recipe.find("recipes/pipelines/quikstart.yaml")


def test_numbers_in_scientific_notation_are_numbers_with_and_without_a_point(home: Path) -> None:
    loaded = recipe.load(written(home, "a: 1e-5\nb: 1.0e-05\nc: -2E3\nd: 1e\ne: 0x1e5\n"))
    assert loaded == {"a": 1e-5, "b": 1e-5, "c": -2000.0, "d": "1e", "e": 0x1E5}


def test_overrides_reach_into_mappings_and_lists_and_keep_types(home: Path) -> None:
    path = written(home, "a: {b: 1}\nlist: [{x: 1}, {x: 2}]\n")
    loaded = recipe.load(path, ["a.b=2.5", "list.1.x=true", "new.key=text", "empty="])
    assert loaded == {"a": {"b": 2.5}, "list": [{"x": 1}, {"x": True}], "new": {"key": "text"}, "empty": None}


def test_a_mapping_may_take_over_another_ones_keys(home: Path) -> None:
    loaded = recipe.load(written(home, "common: &common {x: 1, y: 2}\nmine: {<<: *common, y: 3}\n"))
    assert loaded["mine"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("novalue", "takes key=value"),
        ("=1", "takes key=value"),
        ("a.b.c=1", "'b' holds a value"),
        ("list.1.x=1", "'1' is no entry of that list; it has 1, counted from 0"),
        ("list.x=1", "'x' is no entry"),
        ("list.-1=1", "'-1' is no entry"),
        ("a.b=[", "is not YAML"),
        ("a.b=2026-13-45", "is not YAML"),
    ],
)
def test_an_override_that_cannot_be_is_refused(home: Path, override: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        recipe.load(written(home, "a: {b: 1}\nlist: [{x: 1}]\n"), [override])


# What a chat page offers is a list that a recipe names, and no run.
RECIPES = sorted(path for path in (KIT / "recipes").rglob("*.yaml") if path.name != "suggestions.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_plain_yaml_and_begins_with_its_command(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    first = text.splitlines()[0]
    assert first.startswith("# ")
    if path.parent.name != "accelerate":
        assert first.startswith("# finr1 ")
        assert str(path.relative_to(KIT)) in first


@pytest.mark.parametrize(
    ("file", "settings", "said"),
    [
        ("distill/quickstart_screen.yaml", ask.Settings, "finr1 screen"),
        ("distill/quickstart_export.yaml", screen.Settings, "finr1 export"),
        ("chat/local.yaml", ServeSettings, "finr1 chat"),
        ("sft/smollm2_135m_cpu.yaml", Pipeline, "finr1 sft"),
        ("pipelines/ftmodel.yaml", ServeSettings, "finr1 run"),
    ],
)
def test_a_recipe_of_another_kind_is_told_by_its_command(file: str, settings: type[BaseModel], said: str) -> None:
    with pytest.raises(Refused, match=f"it is a recipe for `{said}`"):
        recipe.settings(settings, recipe.load(KIT / "recipes" / file), file)


def test_one_stray_key_is_no_recipe_of_another_kind(home: Path) -> None:
    with pytest.raises(Refused, match="unknown key 'traces'"):
        recipe.settings(ServeSettings, {"model": "m", "traces": "t"})
    with pytest.raises(Refused, match="unknown key 'data'"):
        recipe.settings(prepare.Settings, {"data": "x.jsonl", "out": "y"})
    with pytest.raises(Refused, match="unknown key 'variabels'"):
        recipe.settings(Pipeline, {"stages": [], "variabels": {}})
