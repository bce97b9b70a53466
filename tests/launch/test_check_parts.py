"""Parts of the check that need no engine: rows in every form, values, packages, the folder that a run fills."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_runs import write

from distill.dataset_info import entry
from launch.check import rows, surroundings, values
from launch.check.finding import State, holds, lacking, mistake, need, note, of, unknown
from launch.check.place import Machine, Place, named_machine
from reward_plugins.errors import Refused

CPU = Machine(0, 0.0, False, 24.0)

SHAREGPT = {"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}], "system": "Think."}
ALPACA = {"instruction": "2 + 2?", "input": "in decimal", "output": "4", "system": "Think."}


def trained(form: Any, ranking: bool = False) -> rows.TrainingSet:
    return rows.TrainingSet("mine", Path("mine.jsonl"), entry("mine.jsonl", form, ranking))


def states(findings: Any) -> list[State]:
    return [finding.state for finding in findings]


@pytest.mark.parametrize(("form", "row"), [("sharegpt", SHAREGPT), ("alpaca", ALPACA)])
def test_both_forms_become_the_same_conversation(form: str, row: dict[str, Any]) -> None:
    talk = trained(form).talk(row)
    assert [turn["role"] for turn in talk] == ["system", "user", "assistant"]
    assert talk[-1]["content"] == "4"
    assert talk[1]["content"].startswith("2 + 2?")
    assert states(rows.sft_columns(trained(form), [row], "sft")) == [State.HOLDS]


def test_of_a_pair_the_longer_answer_is_measured() -> None:
    pair = {
        "conversations": SHAREGPT["conversations"][:1],
        "chosen": {"from": "gpt", "value": "4"},
        "rejected": {"from": "gpt", "value": "five, I think"},
    }
    assert trained("sharegpt", ranking=True).talk(pair)[-1]["content"] == "five, I think"
    assert states(rows.sft_columns(trained("sharegpt", ranking=True), [pair], "dpo")) == [State.HOLDS]
    assert State.MISTAKE in states(rows.sft_columns(trained("sharegpt", ranking=True), [pair], "sft"))


def test_a_role_that_no_tag_names_is_a_mistake_in_its_row() -> None:
    odd = {"conversations": [{"from": "user", "value": "?"}, {"from": "gpt", "value": "4"}]}
    found = list(rows.sft_columns(trained("sharegpt"), [SHAREGPT, odd], "sft"))
    assert "row 2" in found[0].said and "'user'" in found[0].said


def test_columns_without_messages_read_nothing() -> None:
    partial = rows.TrainingSet("mine", Path("m"), {"formatting": "sharegpt", "columns": {"system": "system"}})
    assert "names no 'messages'" in next(iter(rows.sft_columns(partial, [SHAREGPT], "sft"))).said


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("list.json", json.dumps([SHAREGPT] * 3), "3 rows"),
        ("lines.jsonl", json.dumps(SHAREGPT) + "\n\n" + json.dumps(ALPACA) + "\n", "2 rows"),
        ("broken.json", "[{}, ", "not JSON"),
        ("numbers.jsonl", "{}\n4\n", "line 2: not a JSON object"),
        ("empty.jsonl", "\n", "is empty"),
    ],
)
def test_files_are_read_whole_or_named_with_their_line(tmp_path: Path, name: str, text: str, says: str) -> None:
    write(tmp_path / name, text)
    assert says in rows.read(tmp_path / name)[1][0].said


def test_bytes_that_are_no_utf8_are_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "gbk.jsonl").write_bytes('{"question": "净利润"}\n'.encode("gbk"))
    assert "line 1: not a JSON object in UTF-8" in rows.read(tmp_path / "gbk.jsonl")[1][0].said


def test_parquet_is_read_and_a_broken_one_named(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"prompt": ["?", "!"]}), tmp_path / "train.parquet")
    assert rows.read(tmp_path / "train.parquet")[0] == [{"prompt": "?"}, {"prompt": "!"}]
    write(tmp_path / "broken.parquet", "PAR1")
    assert "not a Parquet file" in rows.read(tmp_path / "broken.parquet")[1][0].said


def test_rows_are_taken_evenly_from_all() -> None:
    all_rows = [{"number": number} for number in range(10)]
    assert [row["number"] for row in rows.spread(all_rows, 4)] == [0, 2, 5, 7]
    assert rows.spread(all_rows, 20) == all_rows


KINDS = {
    "learning_rate": {"kinds": ["float"], "choices": None},
    "max_steps": {"kinds": ["int"], "choices": None},
    "max_grad_norm": {"kinds": ["float"], "choices": None},
    "bf16": {"kinds": ["bool"], "choices": None},
    "report_to": {"kinds": ["list", "null", "str"], "choices": None},
    "lora_target_modules": {"kinds": ["list", "null"], "choices": None},
    "pref_loss": {"kinds": ["str"], "choices": ["sigmoid", "hinge"]},
}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("learning_rate", "1e-5", "take away the quotes"),
        ("learning_rate", None, "has no value"),
        ("max_steps", 1.5, "takes a whole number"),
        ("max_steps", True, "takes a whole number"),
        ("bf16", "yes", "takes true or false"),
        ("pref_loss", "sigmod", "did you mean 'sigmoid'"),
        ("pref_loss", False, "quote it"),
        ("warmup_ratio", 5, "at most 1"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(key: str, value: Any, says: str) -> None:
    found = of(values.values({key: value}, KINDS), State.MISTAKE)
    assert len(found) == 1
    assert says in found[0].said and key in found[0].said
    assert found[0].key == key


@pytest.mark.parametrize(
    ("key", "value"),
    [("max_grad_norm", 1), ("report_to", "none"), ("report_to", None), ("lora_target_modules", "all-linear")],
)
def test_what_an_engine_takes_is_no_mistake(key: str, value: Any) -> None:
    assert states(values.values({key: value}, KINDS)) == [State.HOLDS]


def test_resuming_without_saving_is_a_mistake() -> None:
    found = list(values.values({"save_strategy": "no", "resume_from_checkpoint": "runs/x/checkpoint-5"}, {}))
    assert "resume_from_checkpoint" in found[0].said


def test_a_full_disk_is_lacking(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(home)
    assert states(surroundings.output({"output_dir": "runs/x"}, Place(CPU))) == [State.HOLDS]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**30))
    found = list(surroundings.output({"output_dir": "runs/x"}, Place(CPU)))
    assert states(found) == [State.LACKING]
    assert "1.0 GiB left" in found[0].said


def test_the_home_folder_is_no_output_folder(home: Path) -> None:
    write(home / "dataset_info.json", "{}")
    assert states(surroundings.output({"output_dir": "."}, Place(CPU))) == [State.MISTAKE]


def test_a_folder_of_a_run_is_told_and_no_mistake(home: Path) -> None:
    write(home / "runs" / "x" / "started.sha256", "0")
    assert states(surroundings.output({"output_dir": "runs/x"}, Place(CPU))) == [State.NOTE, State.HOLDS]


def test_wandb_starts_with_a_key_offline_or_by_a_login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DISABLED", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(home / "netrc"))

    def found() -> list[State]:
        return states(surroundings.trackers("", {"report_to": ["wandb"]}))

    assert found() == [State.LACKING]
    for name, value in (("WANDB_API_KEY", "not-a-real-key"), ("WANDB_MODE", "offline")):
        with monkeypatch.context() as here:
            here.setenv(name, value)
            assert found() == []
    write(home / "netrc", "machine api.wandb.ai login user password not-a-real-key\n")
    (home / "netrc").chmod(0o600)
    assert found() == []


def test_a_card_before_ampere_has_no_bf16() -> None:
    old, new = Machine(1, 15.0, False, 64.0), Machine(1, 80.0, True, 64.0)
    assert states(surroundings.arithmetic({"bf16": True}, old)) == [State.LACKING]
    assert states(surroundings.arithmetic({"bf16": True}, new)) == []
    assert states(surroundings.arithmetic({"fp16": True}, old)) == []


@pytest.mark.parametrize(("said", "cards", "card"), [("80", 1, 80), ("8x80", 8, 80), ("2 x 23.6", 2, 23.6)])
def test_another_machine_is_named_by_its_cards(said: str, cards: int, card: float) -> None:
    machine = named_machine(said)
    assert (machine.cards, machine.card, machine.named) == (cards, card, True)


@pytest.mark.parametrize("said", ["", "80GB", "0x80", "x80", "0"])
def test_another_form_is_refused(said: str) -> None:
    with pytest.raises(Refused, match="--gpu takes"):
        named_machine(said)


def test_a_run_passes_the_gate_only_without_mistakes_and_lacks() -> None:
    need("r.yaml", [holds("a", "x"), note("a", "y"), unknown("a", "z")])
    with pytest.raises(Refused, match=r"r.yaml: first; second"):
        need("r.yaml", [mistake("a", "first"), holds("a", "x"), lacking("a", "second")])


def test_what_an_earlier_stage_writes_need_not_be_there(home: Path) -> None:
    place = Place(CPU, made=(Path("runs/x"),))
    assert place.missing("data", home / "runs" / "x" / "train.jsonl", "k", "c").state is State.UNKNOWN
    assert place.missing("data", home / "runs" / "xy" / "train.jsonl", "k", "c").state is State.LACKING
