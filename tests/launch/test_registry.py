"""Versions in a real MLflow registry: what they carry, which one may be the champion, and the way back."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_sets import rows, write_set
from small_versions import RIGHT, Bench, evaluate, model_folder, train

from eval_adapters.identity import model_hash
from eval_adapters.reviews import sha256
from launch.registry import changes, link, served
from launch.registry.changes import name, promote, register, roll_back, unname
from launch.registry.parts import collect
from launch.registry.settings import RegistrySettings
from launch.registry.store import Registry, opened
from reward_plugins.errors import Refused

# EvalScope's own tables use a keyword that pandas is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


@pytest.fixture
def registry(bench: Bench, tmp_path: Path) -> Registry:
    return bench.registry(tmp_path / "registry")


@pytest.fixture
def full(bench: Bench, tmp_path: Path) -> Registry:
    """A registry with base, sft, grpo, broken and best as versions 1 to 5."""
    return bench.registry(tmp_path / "registry", full=True)


def champion(registry: Registry) -> int | None:
    return registry.aliases().get("champion")


def artifacts(registry: Registry, number: int) -> Path:
    return Path(registry.artifacts(registry.version(number)).removeprefix("file://"))


def test_a_version_carries_recipe_data_curves_report_and_parent(bench: Bench, registry: Registry) -> None:
    bench.add(registry, "base", "sft")
    version = registry.version(2)
    assert version.sha256 == model_hash(bench.models["sft"]) and version.folder == bench.models["sft"]
    assert version.tags["parent"] == "1" and version.tags["scores"] == "finmath 45.0% of 40"
    assert version.lacks == []
    training = artifacts(registry, 2) / version.tags["run"]
    assert (training / "recipe.yaml").read_text(encoding="utf-8") == "learning_rate: 1.0e-06\n"
    data = json.loads((training / "data.json").read_text(encoding="utf-8"))
    assert [facts["sha256"] for facts in data.values()] == [sha256(bench.data / "finmath.jsonl")]
    curves = json.loads((training / "curves.json").read_text(encoding="utf-8"))
    assert curves["points"]["loss"][0] == [1.0, 2.0] and len(curves["points"]["reward"]) == 5
    assert "<svg" in (training / "curves.svg").read_text(encoding="utf-8")
    logged = registry.client.get_metric_history(version.run_id, "reward")
    assert [(metric.step, metric.value) for metric in logged][4] == (5, 0.5)
    report = json.loads(
        (artifacts(registry, 2) / version.tags["evaluation"] / "report" / "report.json").read_text("utf-8")
    )
    assert report["results"]["finmath"]["sft"]["counts"]["correct"] == RIGHT["sft"]
    assert {each["asking"]["model"]["sha256"] for each in report["evaluations"] if each["model"] == "sft"} == {
        version.sha256
    }


def test_the_same_weights_are_the_same_version(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    (first,) = bench.add(registry, "sft", evaluated=False)
    (second,) = bench.add(registry, "sft", evaluated=False)
    assert first.version == second.version == 1 and len(registry.versions()) == 1
    assert second.said[:2] == ["these weights are version 1 already", "nothing new"]
    (third,) = bench.add(registry, "sft")
    assert third.version == 1 and "its evaluation is added" in third.said
    copy = shutil.copytree(bench.models["sft"], tmp_path / "copy")
    fourth = register(registry, collect(copy))
    assert fourth.version == 1 and f"its folder stays {bench.models['sft']}" in fourth.said
    (copy / "model.safetensors").write_bytes(b"trained further")
    (copy / "manifest.json").unlink()
    assert register(registry, collect(copy)).version == 2


def test_what_is_missing_is_said_and_not_invented(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    bare = model_folder(tmp_path, "bare")
    said = register(registry, collect(bare)).said
    assert said[1:] == [
        "it lacks its recipe, data and curves (--run)",
        "it lacks its evaluation (--report)",
        "it lacks its parent (register what it was trained from, or name a version with --parent)",
    ]
    version = registry.version(1)
    assert set(version.tags) == {"weights"} and list(artifacts(registry, 1).iterdir()) == []
    by_hand = register(registry, collect(bench.models["base"]), parent="1").said
    assert "it lacks its evaluation (--report)" in by_hand and registry.version(2).tags["parent"] == "1"


def test_parts_of_other_weights_are_refused(bench: Bench, tmp_path: Path) -> None:
    other = model_folder(tmp_path, "other")
    with pytest.raises(Refused, match=r"no evaluation below .* is of these weights"):
        collect(other, report=bench.evaluations)
    with pytest.raises(Refused, match=r"sft below .* was evaluated with other weights"):
        collect(other, report=bench.evaluations, evaluated_as="sft")
    with pytest.raises(Refused, match="is called 'stf'; there are base, sft"):
        collect(other, report=bench.evaluations, evaluated_as="stf")
    with pytest.raises(Refused, match="no run at"):
        collect(other, run=tmp_path)
    assert "is your word" in collect(other, run=bench.models["sft"]).remarks[0]
    train(other, bench.data / "finmath.jsonl")
    (other / "model.safetensors").write_bytes(b"trained further by hand")
    with pytest.raises(Refused, match="the weights are not those that its run wrote"):
        collect(other)


def test_a_merged_model_is_tied_to_the_run_of_its_adapter(bench: Bench, tmp_path: Path) -> None:
    merged = train(model_folder(tmp_path, "merged"), bench.models["sft"] / "model.safetensors")
    assert collect(merged, run=bench.models["sft"]).remarks == []


def test_promotion_needs_an_evaluation(bench: Bench, registry: Registry) -> None:
    bench.add(registry, "base", evaluated=False)
    with pytest.raises(
        Refused, match=r"version 1 is not promoted: it has no evaluation: register it again with --report"
    ):
        promote(registry, "1")
    assert champion(registry) is None and registry.events() == [] and served(registry.settings.folder) == {}
    bench.add(registry, "base")
    assert promote(registry, "1").said[0] == "version 1 is the champion now"
    with pytest.raises(Refused, match="version 1 is the champion already"):
        promote(registry, "1")


def test_better_and_unclear_may_be_promoted_and_worse_may_not(bench: Bench, full: Registry) -> None:
    promote(full, "1")
    assert "finmath: +35.0 points (95% interval" in promote(full, "2").said[1]
    assert "+5.0 points" in promote(full, "3").said[1]
    with pytest.raises(Refused, match=r"significantly worse than the champion, version 3: −40.0 points .*--force"):
        promote(full, "4")
    assert champion(full) == 3 and "forced" not in full.version(4).tags
    for force, reason in ((True, ""), (True, "  "), (False, "why not")):
        with pytest.raises(Refused, match="go together"):
            promote(full, "4", force, reason)
    promote(full, "4", force=True, reason="the others cannot read tables")
    assert champion(full) == 4
    assert "the others cannot read tables: finmath: significantly worse" in full.version(4).tags["forced"]
    last = full.events()[-1]
    assert (last.version, last.was, last.reason) == (4, 3, "the others cannot read tables") and len(last.over) == 1


def refusal(registry: Registry, version: int) -> str:
    with pytest.raises(Refused) as refused:
        promote(registry, str(version))
    assert champion(registry) == 1
    return str(refused.value)


def test_what_cannot_be_compared_is_not_promoted(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    bench.add(registry, "base")
    promote(registry, "1")

    def evaluated(label: str, data: Path, **more: Any) -> Path:
        models: dict[str, Path | None] = {"best": bench.models["best"]}
        return evaluate(tmp_path / label, data, models, lambda _, number: number < 38, **more)

    best = bench.models["best"]
    fewer = write_set(tmp_path / "fewer", rows(30))
    register(registry, collect(best, report=evaluated("other_data", fewer)))
    assert "it was asked other questions (content sha256:" in refusal(registry, 2)
    rescored = evaluated("rescored", bench.data)
    file = rescored / "best" / "finmath" / "result.json"
    result = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**result, "scoring_sha256": "0" * 64}), encoding="utf-8")
    said = register(registry, collect(best, report=rescored)).said
    assert "its evaluation is replaced; the old one stays among its artifacts" in said
    assert "it was scored by another version of the verifier; run finr1 eval for both" in refusal(registry, 2)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(rescored, elsewhere)
    other_set = elsewhere / "best" / "finmath" / "result.json"
    order = {**result["order"], "sets": ["another"]}
    other_set.write_text(json.dumps({**result, "set": "another", "order": order}), encoding="utf-8")
    register(registry, collect(best, report=elsewhere))
    assert "finmath: not comparable with the champion, version 1: it was not evaluated on this set" in refusal(
        registry, 2
    )
    register(registry, collect(best, report=bench.evaluations))
    assert promote(registry, "2").version == champion(registry) == 2


def test_an_evaluation_with_unanswered_rows_is_none(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    models: dict[str, Path | None] = {"best": bench.models["best"]}

    def right(_: str, number: int) -> bool:
        if number == 7:
            raise RuntimeError("the server dies on this question")
        return True

    out = evaluate(tmp_path / "out", bench.data, models, right)
    register(registry, collect(bench.models["best"], report=out))
    with pytest.raises(Refused, match="finmath: 1 rows have no answer yet: run finr1 eval again"):
        promote(registry, "1")


def test_a_model_served_by_address_is_tied_by_its_name(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    out = evaluate(tmp_path / "out", bench.data, {"remote": None}, lambda _, number: number < 20)
    with pytest.raises(Refused, match="say with --evaluated-as"):
        collect(bench.models["grpo"], report=out)
    register(registry, collect(bench.models["grpo"], report=out, evaluated_as="remote"))
    assert "the evaluation is of these weights by name only" in promote(registry, "1").said


def test_changed_or_missing_weights_are_never_promoted(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    folder = shutil.copytree(bench.models["best"], tmp_path / "best")
    bench.add(registry, "base")
    promote(registry, "1")
    register(registry, collect(folder, report=bench.evaluations))
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole + b"!")
    for forced in ({}, {"force": True, "reason": "never"}):
        with pytest.raises(Refused, match="was changed since it was registered; put the old files back, or register"):
            promote(registry, "2", **forced)
    folder.rename(tmp_path / "moved")
    with pytest.raises(Refused, match="is not on this machine"):
        promote(registry, "2")
    (tmp_path / "moved" / "model.safetensors").write_bytes(whole)
    said = register(registry, collect(tmp_path / "moved")).said
    assert f"its folder is {tmp_path / 'moved'} now; {folder} no longer holds it" in said
    promote(registry, "2")
    assert link(registry.settings.folder, "champion").resolve() == tmp_path / "moved"


def test_rollback_goes_back_one_champion_at_a_time(bench: Bench, full: Registry) -> None:
    with pytest.raises(Refused, match="there is no champion yet"):
        roll_back(full)
    for version in "123":
        promote(full, version)
    assert roll_back(full, "cut answers").said[0] == "version 2 is the champion again instead of version 3"
    assert "cut answers" in full.version(3).tags["rolled_back"]
    promote(full, "5")
    assert [roll_back(full).version for _ in range(2)] == [2, 1]
    with pytest.raises(Refused, match="version 1 is the first champion: there is none to go back to"):
        roll_back(full)
    promote(full, "3")
    assert roll_back(full).version == champion(full) == 1
    assert [event.event for event in full.events()].count("rolled back") == 4


def test_a_rollback_to_weights_that_are_gone_changes_nothing(bench: Bench, registry: Registry, tmp_path: Path) -> None:
    folder = shutil.copytree(bench.models["base"], tmp_path / "base")
    register(registry, collect(folder, report=bench.evaluations))
    bench.add(registry, "sft")
    promote(registry, "1")
    promote(registry, "2")
    before = registry.events()
    shutil.rmtree(folder)
    with pytest.raises(Refused, match="is not on this machine"):
        roll_back(registry)
    assert champion(registry) == 2 and registry.events() == before
    assert link(registry.settings.folder, "champion").resolve() == bench.models["sft"]


def test_links_and_file_follow_the_aliases(bench: Bench, full: Registry) -> None:
    place = full.settings.folder
    promote(full, "1")
    assert name(full, "challenger", "2").said[0] == "challenger is version 2 now"
    assert link(place, "challenger").resolve() == bench.models["sft"]
    promote(full, "challenger")
    assert full.aliases() == {"champion": 2}, "a champion is no challenger"
    assert served(place)["champion"] == full.version(2).served and set(served(place)) == {"champion"}
    assert not link(place, "challenger").is_symlink()
    name(full, "canary", "3")
    assert unname(full, "canary").said[0] == "canary stands for nothing now; it was version 3"
    assert not link(place, "canary").is_symlink()
    for bad, said in (("champion", "promote"), ("v3", "no alias"), ("../up", "no alias"), ("latest", "no alias")):
        with pytest.raises(Refused, match=said):
            name(full, bad, "3")
    with pytest.raises(Refused, match="version 2 is the champion"):
        name(full, "challenger", "2")
    with pytest.raises(Refused, match="no version '9' is registered; there are 1, 2, 3, 4, 5, champion"):
        name(full, "challenger", "9")


def test_a_server_that_looks_at_any_moment_finds_a_whole_model(bench: Bench, full: Registry) -> None:
    promote(full, "1")
    place, stop, seen = full.settings.folder, threading.Event(), set()

    def look() -> None:
        while not stop.is_set():
            seen.add((link(place, "champion") / "model.safetensors").read_bytes())
            seen.add(served(place)["champion"].version)

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(4):
        promote(full, "2")
        roll_back(full)
    stop.set()
    looking.join(120)
    weights = {(bench.models[which] / "model.safetensors").read_bytes() for which in ("base", "sft")}
    assert seen == weights | {1, 2}


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(
    bench: Bench, full: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(full, "1")
    looking, go_on = threading.Event(), threading.Event()
    compare: Callable[..., Any] = changes.compare

    def slowly(*words: Any) -> Any:
        looking.set()
        assert go_on.wait(120)
        return compare(*words)

    monkeypatch.setattr(changes, "compare", slowly)
    first = threading.Thread(target=promote, args=(full, "2"))
    first.start()
    assert looking.wait(120)
    with pytest.raises(Refused, match="another finr1 models command is changing the registry"):
        promote(full, "3")
    go_on.set()
    first.join(120)
    assert champion(full) == 2 and [event.version for event in full.events()] == [1, 2]


def test_an_alias_of_a_version_that_is_not_ours_is_said(full: Registry) -> None:
    promote(full, "1")
    foreign = full.client.create_model_version("finr1", full.artifacts(full.version(1)), full.version(1).run_id)
    full.client.set_registered_model_alias("finr1", "champion", str(foreign.version))
    assert full.mend() == ["champion stands for version 6, which finr1 models did not register; it is not followed"]
    assert [version.number for version in full.versions()] == [1, 2, 3, 4, 5]
    assert roll_back(full).version == 1 and served(full.settings.folder)["champion"].version == 1


def test_who_loses_against_another_machine_is_told(full: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(full, "1")
    set_alias = full.client.set_registered_model_alias

    def then_another(name: str, alias: str, version: str) -> None:
        set_alias(name, alias, version)
        set_alias(name, alias, "3")

    monkeypatch.setattr(full.client, "set_registered_model_alias", then_another)
    with pytest.raises(Refused, match="another machine made version 3 the champion meanwhile"):
        promote(full, "2")
    assert full.mend() == [] and served(full.settings.folder)["champion"].version == champion(full) == 3


def test_an_alias_that_another_program_moved_is_followed_and_can_be_rolled_back(bench: Bench, full: Registry) -> None:
    promote(full, "1")
    full.client.set_registered_model_alias("finr1", "champion", "2")
    assert full.mend() == []
    assert served(full.settings.folder)["champion"].version == 2
    assert [event.event for event in full.events()] == ["promoted", "set elsewhere"]
    assert roll_back(full).version == 1


def test_a_folder_serves_one_name_of_one_registry(registry: Registry) -> None:
    with pytest.raises(Refused, match="belongs to finr1 at its own database"):
        Registry(RegistrySettings(folder=registry.settings.folder, name="other"))


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("http://me:secret@127.0.0.1:5000", "holds a password"),
        ("databricks", "is no registry that the kit can use"),
        ("file:///tmp/mlruns", "is no registry that the kit can use"),
        ("http://127.0.0.1:9", "nothing answers at http://127.0.0.1:9: start"),
    ],
)
def test_an_address_of_no_registry_is_refused(tmp_path: Path, uri: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as refused, opened(RegistrySettings(folder=tmp_path, uri=uri)):
        pass
    assert "secret" not in str(refused.value)
