"""What `finr1 check` finds before anything is loaded, by the parts that need no engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launch import check
from launch.check.finding import lacking, mistake, need
from launch.openr1 import translate
from reward_plugins.errors import Refused

REWARD = "reward_plugins.rewards.finance_accuracy"
ENTRY = {"file_name": "sft.jsonl", "formatting": "sharegpt", "columns": {"messages": "conversations"}}


def grpo(**keys: object) -> object:
    return translate({"reward_funcs": [REWARD], **keys})


@pytest.mark.parametrize(("each", "ranks", "group", "prompts"), [(8, 2, 4, "4 prompts"), (3, 4, 6, "2 prompts")])
def test_batch_arithmetic_is_said_in_one_line(each: int, ranks: int, group: int, prompts: str) -> None:
    line = check.grpo_batch(grpo(per_device_train_batch_size=each, num_generations=group), ranks)  # type: ignore[arg-type]
    assert line.endswith(prompts)


@pytest.mark.parametrize(("each", "ranks", "group"), [(8, 2, 5), (1, 1, 8), (4, 2, 1)])
def test_a_batch_that_cannot_be_divided_is_refused(each: int, ranks: int, group: int) -> None:
    with pytest.raises(Refused, match="num_generations"):
        check.grpo_batch(grpo(per_device_train_batch_size=each, num_generations=group), ranks)  # type: ignore[arg-type]


def test_grpo_data_must_be_there_and_have_its_prompt_column(home: Path) -> None:
    with pytest.raises(Refused, match="no such file or folder"):
        check.grpo_data(grpo(dataset_name="datasets/none"))  # type: ignore[arg-type]
    folder = home / "datasets" / "set"
    folder.mkdir(parents=True)
    with pytest.raises(Refused, match=r"datasets/set.* any data files"):
        check.grpo_data(grpo(dataset_name="datasets/set"))  # type: ignore[arg-type]
    (folder / "train.jsonl").write_text('{"question": "?"}\n', encoding="utf-8")
    with pytest.raises(Refused, match=r"no column 'prompt' .*it has question"):
        check.grpo_data(grpo(dataset_name="datasets/set"))  # type: ignore[arg-type]
    found = check.grpo_data(grpo(dataset_name="datasets/set", dataset_prompt_column="question"))  # type: ignore[arg-type]
    assert found == [folder / "train.jsonl"]


def test_sft_data_is_followed_from_the_registry_to_the_first_row(home: Path) -> None:
    asked = {"dataset": "mine", "dataset_dir": "."}
    with pytest.raises(Refused, match=r"dataset_info.json: no such file"):
        check.sft_data(asked)
    (home / "dataset_info.json").write_text(json.dumps({"mein": ENTRY}), encoding="utf-8")
    with pytest.raises(Refused, match=r"no set 'mine'.*did you mean 'mein'"):
        check.sft_data(asked)
    (home / "dataset_info.json").write_text(json.dumps({"mine": ENTRY}), encoding="utf-8")
    with pytest.raises(Refused, match=r"sft.jsonl: no such file"):
        check.sft_data(asked)
    (home / "sft.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(Refused, match="is empty"):
        check.sft_data(asked)
    (home / "sft.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
    with pytest.raises(Refused, match="no column 'conversations'"):
        check.sft_data(asked)
    row = json.dumps({"conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]})
    (home / "sft.jsonl").write_text(f"{row}\nbroken\n", encoding="utf-8")
    with pytest.raises(Refused, match=r"sft.jsonl, line 2: not a JSON object"):
        check.sft_data(asked)
    (home / "sft.jsonl").write_text(f"{row}\n", encoding="utf-8")
    assert check.sft_data(asked)[1] == [home / "sft.jsonl"]


def test_a_finding_of_two_keys_is_told_once() -> None:
    missing = [lacking("data", "datasets/a: no such file"), mistake("data", "key 'b'")]
    with pytest.raises(Refused, match=r"^recipe: datasets/a: no such file; key 'b'$"):
        need("recipe", [*missing, *missing])
