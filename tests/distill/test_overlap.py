from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from overlap_cases import DATA, DISGUISES, document, planted, questions, traditional

from distill.overlap import Settings, run
from distill.overlap.contamination import Match, TestIndex, fold_question
from distill.overlap.folding import fold, tokens
from distill.overlap.stage import pairs_path
from distill.prompts import user_message
from distill.records import Question, write_records
from reward_plugins.errors import Refused

real_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real sets are not there: ../shared/data")

Ask = Callable[..., Question]


@pytest.fixture
def ask() -> Ask:
    """Makes a question of its text and whatever else is given."""

    def make(text: str, name: str = "one", **more: object) -> Question:
        given = {"lang": "en", "gold": "1", "source": "made", **more}
        return Question.model_validate(
            {
                "id": name,
                "split": "train",
                "task": "calculation",
                "question": text,
                "answer_type": "number",
                "licence": "MIT",
                **given,
            }
        )

    return make


def index_of(*tests: Question, renumbered: bool = True) -> TestIndex:
    index = TestIndex(renumbered)
    for test in tests:
        index.add(test)
    return index


def match(question: Question, *tests: Question, renumbered: bool = True) -> Match | None:
    return index_of(*tests, renumbered=renumbered).match(fold_question(question))


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_folding_takes_away_writing_and_spacing_only() -> None:
    assert fold("淨利潤率為１２．５％").key == fold("净利 润率为 12.5%").key
    assert fold("Net  Profit,\n2019").key == fold("net profit 2019").key
    assert fold("净利润 100").key != fold("净利润 200").key
    assert fold("净利润 100").masked_key == fold("净利润 2,345.6").masked_key
    assert fold("净利润").masked_key != fold("净亏损").masked_key
    assert tokens("甲公司 EBITDA 为1,200万元") == ["甲", "公", "司", "ebitda", "为", "1200", "万", "元"]


@real_data
@pytest.mark.parametrize("name", ["finqa", "tatqa", "xfinbench", "cflue", "fin_eva", "fineval"])
@pytest.mark.parametrize("part", ["question", "whole", "bare"])
def test_planted_copies_are_found(name: str, part: str) -> None:
    tests = questions(name)
    if part == "bare":
        tests = [row.model_copy(update={"context": "", "choices": None}) for row in tests]
    index = index_of(*tests)
    for disguise, (change, wanted) in DISGUISES.items():
        chance = random.Random(f"{disguise} {name}")
        copies = [planted(row, change, chance, whole=part == "whole") for row in chance.sample(tests, 100)]
        found = sum(index.match(fold_question(copy)) is not None for copy in copies)
        assert found >= wanted * len(copies), disguise


@real_data
@pytest.mark.parametrize("test", ["finqa", "finqa_dev"])
def test_pages_of_other_reports_raise_no_alarm(test: str) -> None:
    pages = {document(row) for row in questions(test)}
    trained = [row for row in questions("finqa_train") if document(row) not in pages]
    index = index_of(*questions(test))
    alarms = [row.id for row in trained if index.match(fold_question(row))]
    assert len(trained) > 500
    assert len(alarms) < 0.005 * len(trained), alarms


@real_data
def test_chinese_sets_share_what_they_are_known_to_share() -> None:
    index = index_of(*questions("fineval"))
    found = [match for row in questions("cflue") if (match := index.match(fold_question(row)))]
    assert 2 <= sum(each.kind == "verbatim" for each in found) <= len(found) < 0.01 * len(questions("cflue"))
    index = index_of(*questions("cflue"))
    assert not any(index.match(fold_question(row)) for row in questions("finova"))


def test_the_same_question_of_another_page_is_another_question(ask: Ask) -> None:
    asked = "what was the percentage change in revenue from 2008 to 2009?"
    page = "revenue 1,204 1,318 cost 811 902 income 393 416 tax 120 131"
    other = "net sales 5,004 5,871 cost of sales 3,555 4,019 gross profit 1,449 1,852 advertising 433 555"
    test = ask(asked, context=page)
    assert match(ask(asked, context=page), test) == Match(0, "verbatim", 1.0)
    assert match(ask(asked, context=other), test) is None
    assert match(ask(asked), test) == Match(0, "verbatim", 1.0)  # without a page nothing speaks against it
    assert match(ask("how many employees does the group have in europe?", context=page), test) is None


def test_a_renumbered_question_is_a_copy_unless_it_is_told_otherwise(ask: Ask) -> None:
    test = ask("A bond of 1,000 pays a coupon of 5% a year; what is paid each half-year?")
    copy = ask("A bond of 2,500 pays a coupon of 4.25% a year; what is paid each half-year?")
    found = match(copy, test)
    assert found is not None
    assert found.kind == "masked"
    assert match(copy, test, renumbered=False) is None
    assert match(test, test, renumbered=False) == Match(0, "verbatim", 1.0)
    assert match(ask("3 + 4 = ?"), ask("8 + 1 = ?")) is None


def test_choices_tell_short_questions_apart(ask: Ask) -> None:
    stem = "下列说法中，正确的是（）。"
    test = ask(stem, lang="zh", choices={"A": "股票是一种债权凭证", "B": "债券持有人有表决权"})
    shuffled = {"A": "债券持有人有表决权", "B": "股票是一种债权凭证"}
    other = {"A": "贷款损失准备应当计提", "B": "存款保险由银行自愿参加"}
    assert match(ask(stem, lang="zh", choices=shuffled), test) is not None
    assert match(ask(stem, lang="zh", choices=other), test) is None


def test_a_page_within_the_question_is_found(ask: Ask) -> None:
    page = "At the end of 2019 the group had 8,412 employees in Europe and 3,977 in Asia, and revenue of 1,204 million."
    asked = "How many more employees did the group have in Europe than in Asia?"
    found = match(ask(f"Read the text and answer.\n{page}\nQuestion: {asked}"), ask(asked, context=page))
    assert found is not None
    assert found.kind == "within"


@real_data
@pytest.mark.parametrize("name", ["cflue", "fineval"])
def test_an_exam_question_in_one_text_is_found_either_way(name: str) -> None:
    """Alpaca rows carry stem and choices in one instruction, under words of their own."""
    chance = random.Random(3)
    apart = chance.sample([row for row in questions(name) if row.choices], 100)
    told = "你是一名金融专家，请先逐步推理，再给出答案。\n题目："
    in_one = [row.model_copy(update={"question": told + user_message(row), "choices": None}) for row in apart]
    # A judgement of a few words under "对, 错" stays open; so does a short stem, if the test has long choices in its text.
    for tests, trained, wanted in ((questions(name), in_one, 0.9), (in_one, apart, 0.75)):
        index = index_of(*tests)
        found = [match for row in trained if (match := index.match(fold_question(row)))]
        assert len(found) >= wanted * len(trained)


def test_a_question_within_another_one_is_no_copy(ask: Ask) -> None:
    page = "revenue 1,204 1,318 cost 811 902 income 393 416 tax 120 131"
    test = ask("what is the net change in revenue?", context=page)
    assert match(ask("what is the net change in revenue divided by the revenue of 2001?", context=page), test) is None
    term = ask("期货", lang="zh", choices={"A": "约定在未来以某个价格买卖的合约", "B": "约定立即以现价交割的商品"})
    short = {"A": "对", "B": "错"}
    assert match(ask("会员制期货交易所会员大会由总经理主持。（）", lang="zh", choices=short), term) is None
    long = "某公司年初发行面值一千元票面利率百分之五的三年期债券，每年年末付息一次，到期还本，市场利率为百分之四，求发行价格"
    told = "你是一名资深的固定收益分析师，请仔细阅读下面的题目，先逐步推理并列出每一步所用的公式，再给出最后的答案。"
    copy = match(ask(f"{told}{long}。最后请写明单位，并说明你的理由。", lang="zh"), ask(long, lang="zh"))
    assert copy is not None
    assert copy.kind == "within"


def test_an_instruction_in_common_is_no_copy(ask: Ask) -> None:
    told = "你是一名金融分析师，请阅读下面的公告，判断它属于哪一类，类别包括分红、增发、回购、诉讼、人事变动，只输出类别，不要解释。"
    notices = [
        "华新公司拟以每十股派三元的方式向全体股东分配现金红利",
        "法院受理了供应商对东方重工拖欠货款提起的民事诉讼",
        "海澜科技计划用自有资金从二级市场买回不超过百分之二的股份",
        "独立董事王明因个人原因辞去薪酬委员会主任一职",
        "新希望能源非公开发行一亿股用于建设光伏电站项目",
        "星辰医药总经理任期届满后由副总经理李强接任",
        "长江航运年度利润分配预案为每股派现金两角并转增一股",
    ]
    tests = [ask(told + notice, str(number), lang="zh") for number, notice in enumerate(notices[:-1])]
    assert match(ask(told + notices[-1], lang="zh"), *tests) is None
    copy = match(ask(told + notices[2].replace("自有", "自己的"), lang="zh"), *tests)
    assert copy is not None
    assert copy.row == 2


def test_a_question_without_a_word_copies_nothing(ask: Ask, tmp_path: Path) -> None:
    assert match(ask("（ ）？"), ask("（　）")) is None
    assert match(ask("what is it?")) is None
    texts = ["📈📈", "🚀", "？", "🚀"]
    write_records(tmp_path / "train.jsonl", [ask(text, str(number)) for number, text in enumerate(texts)])
    run(Settings(questions=tmp_path / "train.jsonl", out=tmp_path / "out.jsonl"))
    assert [(each["id"], each["of"]) for each in rows(tmp_path / "out.jsonl")] == [("3", "1")]


def test_the_stage_flags_copies_and_repetitions(ask: Ask, tmp_path: Path) -> None:
    page = "revenue 1,204 1,318 cost 811 902 income 393 416 tax 120 131 from 2018 to 2019 in millions of dollars"
    held = ask("what was the effective tax rate of the group in 2019, in percent?", "held", context=page, source="exam")
    first = ask("what was the change in the cost of goods sold from 2018 to 2019?", "first", context=page, gold="91")
    trained = [
        first,
        ask("What was the change in  the cost of goods sold from 2018 to 2019 ?", "spaced", context=page, gold="91"),
        ask(
            "what was the change in the cost of all goods sold from 2018 to 2019?", "reworded", context=page, gold="91"
        ),
        ask("what was the change in the cost of all sales from 2018 to 2019?", "other gold", context=page, gold="7"),
        ask("what was the change in the cost of goods sold from 2017 to 2019?", "other year", context=page, gold="91"),
        ask("what was the change in the cost of goods sold from 2018 to 2019?", "no page", gold="91"),
        ask("what was the effective tax rate of the group in 2019 in percent", "copy", context=page),
    ]
    write_records(tmp_path / "train.jsonl", trained)
    write_records(tmp_path / "test.jsonl", [held])
    settings = Settings(
        questions=tmp_path / "train.jsonl", out=tmp_path / "overlap.jsonl", tests=[tmp_path / "test.jsonl"]
    )
    counts = run(settings)
    flags = rows(tmp_path / "overlap.jsonl")
    assert [(each["id"], each["why"], each["of"], each["set"], each["kind"]) for each in flags] == [
        ("spaced", "duplicate", "first", "made", "verbatim"),
        ("reworded", "duplicate", "first", "made", "near"),
        ("copy", "contaminated", "held", "exam", "verbatim"),
    ]
    assert all(set(each) == {"id", "why", "of", "set", "similarity", "kind"} for each in flags)
    assert (counts["questions"], counts["tests"], counts["flagged"]) == (7, 1, 3)
    assert counts["why"] == {"contaminated": 1, "duplicate": 2}
    shown = rows(pairs_path(settings.out))[-1]
    assert (shown["question"], shown["original"]) == (trained[-1].question, held.question)
    assert shown["shared"] == ["what was the effective tax rate of the group in 2019 in percent"]
    once = (tmp_path / "overlap.jsonl").read_bytes()
    run(settings)
    assert (tmp_path / "overlap.jsonl").read_bytes() == once


def test_questions_are_kept_out_of_the_terminal(ask: Ask, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_records(tmp_path / "train.jsonl", [ask("what does Secret-Corp owe its only lender?", "copy")])
    write_records(tmp_path / "test.jsonl", [ask("what does Secret-Corp owe its only lender?", "held")])
    run(Settings(questions=tmp_path / "train.jsonl", out=tmp_path / "out.jsonl", tests=[tmp_path / "test.jsonl"]))
    printed = capfd.readouterr()
    assert "Secret" not in printed.out + printed.err
    assert re.search(r"copy.*held", printed.err)


def test_what_cannot_be_compared_is_refused(ask: Ask, tmp_path: Path) -> None:
    write_records(tmp_path / "train.jsonl", [ask("what is owed?")])
    with pytest.raises(ValueError, match="nothing to compare with"):
        Settings(questions=tmp_path / "train.jsonl", out=tmp_path / "out.jsonl", duplicates=None)
    with pytest.raises(Refused, match="no such file"):
        run(Settings(questions=tmp_path / "train.jsonl", out=tmp_path / "out.jsonl", tests=[tmp_path / "none.jsonl"]))
    assert not (tmp_path / "out.jsonl").exists()


@real_data
def test_a_set_of_the_catalogue_is_compared_with(tmp_path: Path) -> None:
    chance = random.Random(5)
    copies = [planted(row, traditional, chance, whole=True) for row in chance.sample(questions("cflue"), 50)]
    write_records(tmp_path / "train.jsonl", copies)
    settings = Settings.model_validate(
        {
            "questions": tmp_path / "train.jsonl",
            "out": tmp_path / "out.jsonl",
            "test_sources": [{"name": "cflue", "split": "test", "path": DATA / "cflue/knowledge_dev40.json"}],
        }
    )
    counts = run(settings)
    assert counts["why"].get("contaminated", 0) >= 48
    assert settings.test_sources[0].files()[0] in settings.inputs()
