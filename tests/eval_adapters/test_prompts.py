"""What a model is sent: questions with a prompt file, worked examples from train, rows of one's own."""

from __future__ import annotations

import codecs
import json
import math
from pathlib import Path
from typing import Any

import pytest
from benchmark_sets import SYSTEM, prepared
from small_sets import row, write_set

from distill.prompts import messages
from distill.records import Question
from eval_adapters.catalogue import of
from eval_adapters.loading import identity, load
from eval_adapters.settings import FewShot, SetSpec
from reward_plugins.errors import Refused


def question(number: int, split: str = "test", **more: Any) -> dict[str, Any]:
    """A question as `finr1 prepare` writes it: no prompt."""
    made = row(number, str(7 * number + 3), split=split, **more)
    return {key: value for key, value in made.items() if key != "prompt"}


def spec(folder: Path, **more: Any) -> SetSpec:
    return SetSpec(**{"benchmark": "finr1_finmath", "path": folder, "subset": "test", "system_prompt": SYSTEM, **more})


def rows_of(given: SetSpec) -> list[Any]:
    return load(given, of(given.benchmark))


@pytest.mark.parametrize("name", ["finr1_finqa", "finr1_fineval", "finr1_tfns"])
def test_a_prepared_question_is_put_as_the_export_would_put_it(tmp_path: Path, name: str) -> None:
    given = prepared(name, tmp_path)
    system = SYSTEM.read_text(encoding="utf-8").strip()
    lines = (tmp_path / "test.jsonl").read_text(encoding="utf-8").splitlines()
    wanted = [messages(Question.model_validate_json(line), system) for line in lines]
    assert [[each.model_dump() for each in read.prompt] for read in rows_of(given)] == wanted


def test_questions_need_a_prompt_file_and_exported_rows_refuse_one(tmp_path: Path) -> None:
    bare, exported = write_set(tmp_path / "a", [question(1)], "test"), write_set(tmp_path / "b", [row(1, "10")], "test")
    with pytest.raises(Refused, match="name a prompt file"):
        rows_of(spec(bare, system_prompt=None))
    with pytest.raises(Refused, match="leave system_prompt out"):
        rows_of(spec(exported))
    with pytest.raises(Refused, match="no prompt can be read there"):
        rows_of(spec(bare, system_prompt=tmp_path / "none.txt"))
    with pytest.raises(Refused, match="1 of 2 rows have no prompt"):
        rows_of(spec(write_set(tmp_path / "c", [question(1), row(2, "17")], "test")))


def test_a_benchmark_asks_its_own_source_only(tmp_path: Path) -> None:
    content = [question(1), question(2, source="finqa"), question(3, source="fincuge", task="finnl")]
    folder = write_set(tmp_path, content, "test")
    assert [each.id for each in rows_of(spec(folder))] == ["q1"]
    assert [each.id for each in rows_of(spec(folder, benchmark="finr1_exported"))] == ["q1", "q2", "q3"]
    with pytest.raises(Refused, match="no row of finfe, which finr1_fincuge_sentiment asks; it has"):
        rows_of(spec(folder, benchmark="finr1_fincuge_sentiment"))


def test_the_check_is_told_all_and_never_the_worked_solution(tmp_path: Path) -> None:
    content = [question(1, choices={"A": "1", "B": "2"}, unit="%", meta={"doc": "d", "solution": "So 10."})]
    read = rows_of(spec(write_set(tmp_path, content, "test")))[0]
    assert read.meta == {"doc": "d", "choices": {"A": "1", "B": "2"}, "unit": "%", "answer_type": "number"}


def with_train(folder: Path, train: list[dict[str, Any]], count: int = 2, **more: Any) -> SetSpec:
    write_set(folder, [question(number) for number in range(4)], "test")
    write_set(folder, train, "train")
    return spec(folder, few_shot=FewShot(path=folder / "train.jsonl", count=count), **more)


def test_examples_stand_between_system_and_question_in_the_question_s_language(tmp_path: Path) -> None:
    train = [question(n, "train", meta={"solution": f"I add {n}."}) for n in range(10, 20)]
    read = rows_of(with_train(tmp_path, train))
    for each in read:
        roles = [message.role for message in each.prompt]
        assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
        shown = [message.content for message in each.prompt[1:5]]
        assert all(("item" in text) == (each.lang == "en") for text in shown[::2])
        number = int("".join(filter(str.isdigit, shown[0])))
        assert shown[1] == f"<think>I add {number}.</think><answer>{7 * number + 3}</answer>"
    assert read[0].prompt[1:5] == read[2].prompt[1:5]


def test_the_order_of_the_file_does_not_change_the_examples(tmp_path: Path) -> None:
    train = [question(n, "train") for n in range(10, 20)]
    first = rows_of(with_train(tmp_path / "a", train))[0].prompt
    assert rows_of(with_train(tmp_path / "b", train[::-1]))[0].prompt == first


def test_a_test_row_is_never_an_example(tmp_path: Path) -> None:
    twin = question(1, "train", id="another id", question=" what is ITEM 1 ?")
    with pytest.raises(Refused, match=r"'another id' of .*train\.jsonl is the test question 'q1'"):
        rows_of(with_train(tmp_path, [twin, question(10, "train")], count=1))


def test_an_example_of_another_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="line 2 is of the split 'test'; examples come from train only"):
        rows_of(with_train(tmp_path, [question(10, "train"), question(11)]))


def test_too_few_examples_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="has 1 rows for finr1_finmath in 'zh', fewer than 2"):
        rows_of(with_train(tmp_path, [question(10, "train"), question(11, "train"), question(13, "train")]))


def test_examples_are_part_of_what_was_asked(tmp_path: Path) -> None:
    train = [question(n, "train") for n in range(10, 20)]
    one = with_train(tmp_path, train)
    known = of(one.benchmark)
    assert one.few_shot
    other = one.model_copy(update={"few_shot": one.few_shot.model_copy(update={"seed": 1})})
    plain = one.model_copy(update={"few_shot": None})
    prints = {json.dumps(identity(each, known), sort_keys=True) for each in (one, other, plain)}
    write_set(tmp_path, train[:-1], "train")
    assert len(prints | {json.dumps(identity(one, known), sort_keys=True)}) == 4


def own(folder: Path, content: list[dict[str, Any]], **columns: str) -> list[Any]:
    return rows_of(spec(write_set(folder, content, "test"), benchmark="finr1_jsonl", columns=columns))


def test_what_one_s_own_rows_do_not_say_is_made_up_for(tmp_path: Path) -> None:
    plain, chosen = own(
        tmp_path,
        [
            {"question": "What is 2%?", "answer": 0.02},
            {"question": "选哪个？", "gold": "B", "A": "甲", "B": "乙", "doc": 7, "id": 12},
        ],
    )
    assert (plain.id, plain.gold, plain.lang, plain.choices) == ("1", "0.02", "en", None)
    assert (chosen.id, chosen.lang, chosen.choices) == ("12", "zh", {"A": "甲", "B": "乙"})
    assert chosen.labels["doc"] == "7"
    assert chosen.prompt[-1].content == "选哪个？\n\nA. 甲\nB. 乙"


def test_columns_have_your_names(tmp_path: Path) -> None:
    read = own(tmp_path, [{"题目": "几？", "答案": "3", "page": "d1"}], question="题目", gold="答案", doc="page")
    assert (read[0].question, read[0].gold, read[0].labels["doc"]) == ("几？", "3", "d1")


@pytest.mark.parametrize(
    ("content", "columns", "complaint"),
    [
        ([{"q": "x", "gold": "1"}], {}, "line 1: no question; say which column it is"),
        ([{"question": "x"}], {}, "line 1: no gold"),
        ([{"question": "x", "gold": "1"}], {"golds": "gold"}, "columns names golds, which is none of"),
        ([{"question": "x", "gold": "1", "meta": []}], {}, None),
        ([{"question": "x", "gold": " "}], {}, "line 1: no gold"),
        ([{"question": "x", "gold": "1"}, {"question": "y", "gold": math.nan}], {}, "line 2: gold is NaN"),
        ([{"question": "x", "gold": math.inf}], {}, "line 1: gold is NaN or infinite"),
        ([{"question": "x", "gold": ["a", "b"]}], {}, "gold is a list; it must be one text"),
        ([{"question": {"text": "x"}, "gold": "1"}], {}, "question is an object"),
        ([{"question": "x", "gold": "A", "choices": "a b"}], {}, "choices are neither a list nor an object"),
        ([{"question": "x", "gold": "A", "choices": list("abcdefghi")}], {}, "9 choices; there are letters for 8"),
        ([{"id": 7, "question": "x", "gold": "1"}] * 2, {}, "lines 1 and 2: both have the id '7'"),
    ],
)
def test_what_cannot_be_read_is_refused(
    tmp_path: Path, content: list[Any], columns: dict[str, str], complaint: str | None
) -> None:
    if complaint is None:  # an empty meta of any shape is none
        assert own(tmp_path, content, **columns)[0].meta == {}
        return
    with pytest.raises(Refused, match=complaint):
        own(tmp_path, content, **columns)


def test_a_file_of_another_editor_is_read_or_refused_in_words(tmp_path: Path) -> None:
    line = json.dumps({"问": "1 加 1？", "答": 2}, ensure_ascii=False) + "\r\n"
    given = SetSpec(
        benchmark="finr1_jsonl",
        path=tmp_path,
        subset="测试_1",
        system_prompt=SYSTEM,
        columns={"question": "问", "gold": "答"},
    )
    for text in (codecs.BOM_UTF8 + line.encode(), line.encode() + b"\r\n"):
        (tmp_path / "测试_1.jsonl").write_bytes(text)
        assert [(each.question, each.gold) for each in rows_of(given)] == [("1 加 1？", "2")]
    (tmp_path / "测试_1.jsonl").write_bytes(line.encode("gbk"))
    with pytest.raises(Refused, match="line 1: not UTF-8; save the file as UTF-8"):
        rows_of(given)


def test_a_line_that_is_nested_without_end_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"question": "x", "gold": 1, "more": ' + "[" * 10**5 + "]" * 10**5 + "}")
    with pytest.raises(Refused, match="line 1: not a JSON object"):
        rows_of(spec(tmp_path, benchmark="finr1_jsonl"))


def test_a_train_split_with_a_byte_order_mark_gives_examples(tmp_path: Path) -> None:
    folder = write_set(tmp_path, [question(1)], "test")
    train = json.dumps(question(21, split="train"))
    (tmp_path / "train.jsonl").write_bytes(codecs.BOM_UTF8 + train.encode())
    (read,) = rows_of(spec(folder, few_shot=FewShot(path=tmp_path / "train.jsonl", count=1)))
    assert [each.role for each in read.prompt] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("given", "gold"),
    [("B", "B"), ("b", "B"), ("(B)", "B"), ("B. loan", "B"), ("A, C", "AC"), ("loan", "loan"), ("Loan", "Loan")],
)
def test_a_gold_of_one_s_own_names_choices_however_it_is_written(tmp_path: Path, given: str, gold: str) -> None:
    row = {"question": "Which?", "choices": ["cash", "loan", "stock"], "gold": given}
    assert own(tmp_path, [row])[0].gold == gold


@pytest.mark.parametrize("gold", [1, "D", "bond", True])
def test_a_gold_that_is_no_choice_is_refused(tmp_path: Path, gold: Any) -> None:
    row = {"question": "Which?", "choices": ["cash", "loan", "stock"], "gold": gold}
    with pytest.raises(Refused, match=f"line 1: the gold '{gold}' is none of the choices A, B, C"):
        own(tmp_path, [row])


def test_a_choice_may_be_a_number(tmp_path: Path) -> None:
    assert own(tmp_path, [{"question": "How many?", "choices": ["1", "2", "3"], "gold": 2}])[0].gold == "2"


def test_columns_are_for_one_s_own_rows_only(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="columns are for finr1_jsonl only"):
        rows_of(spec(write_set(tmp_path, [question(1)], "test"), columns={"gold": "x"}))
