"""Sources on made-up rows: the shapes of sets that are fetched from their homes, one's own files, and what is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from source_rows import read, write

from distill import prepare, sources
from distill.questions import document
from distill.records import Question
from distill.sources import Source, catalogue
from distill.sources.convfinqa import work_out
from distill.sources.files import file_rows
from distill.sources.rows import answer_type_of, answered, choices_of, document_of, language_of, written
from reward_plugins.errors import Refused

# The sets of Fin-R1 and FTModel that come from their homes.


def test_financeiq(tmp_path: Path) -> None:
    row = {
        "": "0",
        "Question": "下列属于流动负债的是？",
        "A": "短期借款",
        "B": "长期借款",
        "C": "股本",
        "D": "",
        "Answer": "A",
    }
    write(tmp_path / "data/test/注册会计师.csv", [row, {**row, "Answer": ""}, {**row, "Answer": "D"}])
    good, bad = read("financeiq", tmp_path, split="test")
    assert [(q.gold, q.task, q.lang) for q in good] == [("A", "注册会计师", "zh")] and set(good[0].choices or {}) == {
        *"ABC"
    }
    assert [left.reason for left in bad] == ["no gold", "the gold is none of the choices"]
    assert bad[0].row == "data/test/注册会计师[1]"


def test_tfns(tmp_path: Path) -> None:
    rows = [{"text": "$ACME pulls outlook", "label": label} for label in ("0", "1", "2", "7")]
    good, bad = read("tfns", write(tmp_path / "sent_train.csv", rows))
    assert [q.gold for q in good] == ["bearish", "bullish", "neutral"] and len({document(q) for q in good}) == 1
    assert good[0].answer_type == "label" and [left.reason for left in bad] == ["a label that is none of 0, 1, 2"]
    good, _ = read("tfns", write(tmp_path / "valid.parquet", [{"text": "up", "label": 1}]))
    assert good[0].gold == "bullish"


FINCUGE = {
    "finfe": [["加油，看好", 2], ["跌惨了", 0], ["横盘", 9]],
    "finre": [["甲公司", "乙公司", "被持股", "甲公司由乙公司持股。"], ["甲", "乙", "unknown", "甲与乙。"]],
    "finnsp": [["a1", "", "某贷平台被立案。", "某贷;某行", "1", "某贷"], ["a2", "旧闻", "旧闻二则", "某行", "0", ""]],
    "finese": [["1", "甲公司控股股东拟转让股权", "实控人股东变更", "甲公司"], ["2", "房贷利率下降", "其他", "NaN"]],
    "fincqa": [["下文中原因涉及的产品是？钢价下跌使柴油机成本下降", "柴油机"]],
    "finqa": [["企业收购事件的主体有哪些？长实集团收购英国酒馆", "长实集团"]],
    "finnl": [["甲公司预计净利润增加", "中国 公司"], ["不明", "中国大盘"]],
    "finna": [["甲公司净利润增长", "甲公司公告称净利润增长二成。"]],
}


def test_fincuge_in_its_own_files(tmp_path: Path) -> None:
    for task, rows in FINCUGE.items():
        write(tmp_path / task / "train_list.json", rows)
        write(tmp_path / task / "problem_list.json", [[row[0]] for row in rows])
    good, bad = read("fincuge", tmp_path)
    golds: dict[str, list[str]] = {}
    for question in good:
        golds.setdefault(question.task, []).append(question.gold)
        assert question.context and question.lang == "zh"
    assert golds == {
        "fincqa": ["柴油机"], "finese": ["甲公司"], "finfe": ["积极", "消极"], "finna": ["甲公司净利润增长"],
        "finnl": ["中国、公司"], "finnsp": ["某贷", "没有"], "finqa": ["长实集团"], "finre": ["被持股"],
    }  # fmt: skip
    assert sorted(left.reason for left in bad) == [
        "a label that is none of 0, 1, 2", "a topic that the set does not define", "an event without a subject",
        "the relation is unknown",
    ]  # fmt: skip


def test_fincuge_in_the_form_of_the_hub(tmp_path: Path) -> None:
    row = {"task": "FINFE", "desc": "", "instruction": "判断情绪：涨了", "input": "", "output": "积极"}
    good, _ = read("fincuge", write(tmp_path / "train.jsonl", [row]))
    assert (good[0].task, good[0].gold) == ("FINFE", "积极")


def test_finance_instruct(tmp_path: Path) -> None:
    rows = [
        {"system": "You are helpful.", "user": "What is a swap?", "assistant": "An exchange of payments."},
        {"system": "", "user": "什么是债券？", "assistant": "债务凭证。"},
        {"system": "", "user": "Nothing?", "assistant": None},
    ]
    good, bad = read("finance_instruct", write(tmp_path / "train.parquet", rows))
    assert [(q.gold, q.lang, q.context) for q in good] == [
        ("An exchange of payments.", "en", ""),
        ("债务凭证。", "zh", ""),
    ]
    assert [left.reason for left in bad] == ["no gold"]


EXAM = (
    "1、下列属于货币政策工具的是（）。\nA、公开市场业务\nB、国债\nC、再贴现\nD、税收\n答案：{}\n分析解释：A、C是工具。"
)


def test_fincorpus(tmp_path: Path) -> None:
    texts = [EXAM.format("AC"), EXAM.format('["A", "C"]'), EXAM.format("A、E"), "甲公司公告：拟回购股份。"]
    rows = [{"text": text, "meta": {"source": "fin_exam"}} for text in texts] + [{"txt": "?"}]
    good, bad = read("fincorpus", write(tmp_path / "fin_exam.jsonl.gz", rows))
    assert [q.gold for q in good] == ["AC", "AC"]
    assert good[0].question == "下列属于货币政策工具的是（）。" and good[0].meta["solution"] == "A、C是工具。"
    assert good[0].choices == {"A": "公开市场业务", "B": "国债", "C": "再贴现", "D": "税收"}
    assert [left.reason for left in bad] == [
        "the gold is none of the choices",
        "no exam question: the text has no 答案",
        "no column 'text'; did you mean 'txt'?",
    ]


def test_finpee_financeqt_and_dianjin(tmp_path: Path) -> None:
    good, _ = read(
        "finpee", write(tmp_path / "pee.jsonl", [{"question": "现值10元，一年后11元，收益率是多少？", "answer": "10%"}])
    )
    assert (good[0].answer_type, good[0].unit, good[0].meta["type"]) == ("percent", "%", "calculation")
    row = {"context": "trading", "question": "How is a moving average coded?", "answer": "def average(x): ..."}
    good, _ = read("financeqt", write(tmp_path / "qt.jsonl", [row, {**row, "question": "And a stop loss?"}]))
    assert good[0].context == "trading" and len({document(q) for q in good}) == 2
    output = "<think>\n先看定义。\n</think>\n<answer>选\\boxed{B}</answer>"
    rows = [
        {"instruction": "选择正确的一项。\nA. 一\nB. 二", "input": "", "output": output},
        {"instruction": "没有说完", "input": "", "output": "<think>还在想"},
    ]
    good, bad = read("dianjin", write(tmp_path / "cflue_mcq.json", rows))
    assert (good[0].gold, good[0].meta["solution"], good[0].task) == ("B", "先看定义。", "cflue_mcq")
    assert [left.reason for left in bad] == ["the output ends inside its reasoning"]


def test_convfinqa_in_its_own_schema(tmp_path: Path) -> None:
    page = {"id": "Single_X/2008/page_1.pdf-1", "pre_text": ["( in millions )"], "post_text": ["."],
            "table": [["", "2008"], ["sales", "12"]]}  # fmt: skip
    notes = {"dialogue_break": ["what were sales?", "doubled?"], "exe_ans_list": [12.0, "yes"],
             "turn_program": ["12", "greater(24, 12)"]}  # fmt: skip
    good, _ = read("convfinqa", write(tmp_path / "train.json", [{**page, "annotation": notes}]))
    assert [(q.gold, q.meta["type"]) for q in good] == [("12", "analysis"), ("yes", "calculation")]
    assert "A: 12" in good[1].context and "A: 12" not in good[0].context and good[0].meta["doc"] == "X/2008/page_1.pdf"
    turn = {**page, "annotation": {**notes, "cur_dial": notes["dialogue_break"], "turn_ind": 1}}
    good, _ = read("convfinqa", write(tmp_path / "train_turn.json", [turn]))
    assert [q.id for q in good] == ["convfinqa/Single_X/2008/page_1.pdf-1/1"]


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("ans = 60.94", 60.94),
        ("x0 = 60.94 - 25.14; ans = x0 / 25.14", 1.42403),
        ("ans = 13.4%", 0.134),
        ("ans = 178.93 > 105.34", "yes"),
        ("ans = -3 * 2", -6.0),
        ("ans = 1 / 0", None),
        ("ans = 9 ** 9", None),
        ("ans = open('x')", None),
        ("import os", None),
        ("x = 1", None),
        ("ans = 'a' + 1", None),
        ("(" * 300, None),
        ("ans = 1" + " + 1" * 200, None),
    ],
)
def test_snippets_are_followed_and_never_run(program: str, value: object) -> None:
    assert work_out(program) == value


# One's own rows.

ALPACA = {"instruction": "What is the margin?", "input": "Revenue 300, profit 12.", "output": "4%"}
SHAREGPT = {
    "conversations": [
        {"from": "system", "value": "You are an analyst."},
        {"from": "human", "value": "Revenue?"},
        {"from": "gpt", "value": "300"},
        {"from": "human", "value": "And profit?"},
        {"from": "gpt", "value": "<think>It says 12.</think><answer>12</answer>"},
    ]
}
ASKED = {"question": "市盈率是多少？", "answer": 20.0, "unit": "倍", "doc": "报告一", "lang": "zh", "type": "concept"}


@pytest.mark.parametrize("suffix", ["json", "jsonl", "jsonl.gz", "parquet"])
def test_own_rows_in_three_forms(tmp_path: Path, suffix: str) -> None:
    for name, row in (("alpaca", ALPACA), ("sharegpt", SHAREGPT), ("asked", ASKED)):
        write(tmp_path / f"{name}.{suffix}", [row])
    alpaca, _ = read("own", tmp_path / f"alpaca.{suffix}", licence="CC0-1.0")
    assert (alpaca[0].question, alpaca[0].context, alpaca[0].gold) == ("What is the margin?", ALPACA["input"], "4%")
    assert alpaca[0].licence == "CC0-1.0" and alpaca[0].lang == "en"
    chat, _ = read("own", tmp_path / f"sharegpt.{suffix}")
    assert (chat[0].question, chat[0].gold, chat[0].meta["solution"]) == ("And profit?", "12", "It says 12.")
    assert chat[0].context == "You are an analyst.\n\nEarlier in this conversation:\nQ: Revenue?\nA: 300"
    asked, _ = read("own", tmp_path / f"asked.{suffix}")
    assert asked[0].meta["type"] == "concept", "a type of the file's own holds"
    assert (asked[0].gold, asked[0].unit, document(asked[0]), asked[0].lang) == ("20", "倍", "own:报告一", "zh")


def test_own_columns_have_their_own_names(tmp_path: Path) -> None:
    rows = [{"题目": "下列哪项是资产？", "选项": '{"A": "存货", "B": "股本"}', "答案": "存货"},
            {"题目": "下列哪项是负债？", "选项": "A. 存货\nB. 应付账款", "答案": "Ｂ"}]  # fmt: skip
    path = write(tmp_path / "mine.csv", rows)
    good, bad = read("own", path, columns={"question": "题目", "answer": "答案", "choices": "选项"})
    assert [q.gold for q in good] == ["A", "B"] and not bad
    with pytest.raises(Refused, match=r"2 rows were left out because of \"no column '题'; did you mean '题目'\?\""):
        run_own(tmp_path, path, columns={"question": "题", "answer": "答案"})


def test_choices_from_parquet(tmp_path: Path) -> None:
    rows = [{"question": "Which?", "choices": {"A": "x", "B": "y"}, "answer": "A"},
            {"question": "Which of three?", "choices": {"A": "x", "B": "y", "C": "z"}, "answer": "C"},
            {"question": "Which of one?", "choices": {"A": "x"}, "answer": "A"}]  # fmt: skip
    good, bad = read("own", write(tmp_path / "own.parquet", rows))
    assert [sorted(q.choices or {}) for q in good] == [["A", "B"], ["A", "B", "C"]]
    assert [left.reason for left in bad] == ["a single choice"]


def test_own_messages_and_history(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": "Yes"}]
    rows = [
        {"messages": json.dumps(messages)},
        {"messages": [*messages, messages[0]]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": "never"},
        {"messages": [1]},
    ]
    good, bad = read("own", write(tmp_path / "chat.jsonl", rows))
    assert [q.gold for q in good] == ["Yes"]
    assert [left.reason for left in bad] == [
        "the conversation is not question and answer in turn",
        "the conversation has a message of an unknown role",
        "a list stands as text that is no JSON",
        "the conversation is no list of messages",
    ]
    talk = {**ALPACA, "history": [["Which year?", "2008"]]}
    good, _ = read("own", write(tmp_path / "alpaca.jsonl", [talk]))
    assert good[0].context == f"Earlier in this conversation:\nQ: Which year?\nA: 2008\n\n{ALPACA['input']}"


def run_own(tmp_path: Path, path: Path, **more: Any) -> dict[str, Any]:
    settings = {"out": tmp_path / "q", "sources": [{"name": "own", "path": path, **more}]}
    return prepare.run(prepare.Settings.model_validate(settings))


def test_bad_rows_lose_nothing(tmp_path: Path) -> None:
    lines = [
        json.dumps({"question": "一？", "answer": "1", "id": "a"}),
        '{"question": "broken',
        json.dumps(["a", "list"]),
        json.dumps({"question": "二？", "answer": float("nan")}),
        json.dumps({"question": "三？", "answer": "3", "id": "a"}),
        json.dumps({"question": "四？", "anwser": "4"}),
        "[" * 100_000,
        json.dumps({"question": "", "answer": "4"}),
        json.dumps({"question": "长" * 2_000_000, "answer": "4"}),
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    counts = run_own(tmp_path, path)
    assert counts["questions"] == {"train": 2}
    assert sum(counts["left_out"].values()) == 7
    assert counts["left_out"] == {
        "own: no column 'answer'; did you mean 'anwser'?": 1,
        "own: no gold": 1,
        "own: no question": 1,
        "own: not a JSON object": 2,
        "own: not an object with named columns": 1,
        "own: the same id twice": 1,
    }
    listed = [json.loads(line) for line in (tmp_path / "q/left_out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in listed][:2] == ["own[1]", "own[2]"]


# Files.


def values(path: Path, **more: Any) -> list[Any]:
    return [value for _, value in file_rows(path, "**/*", more.get("part", ""), more.get("encoding", "utf-8-sig"))]


def test_one_row_in_every_format(tmp_path: Path) -> None:
    rows = [{"a": "x", "b": "行"}, {"a": "", "b": 'with "quotes",\nand lines'}]
    for name in ("r.json", "r.jsonl", "r.jsonl.gz", "r.csv", "r.parquet"):
        assert values(write(tmp_path / name, rows)) == rows, name
    (tmp_path / "r.tsv").write_text("a\tb\nx\t行\n", encoding="utf-8")
    assert values(tmp_path / "r.tsv") == rows[:1]
    (tmp_path / "lines.json").write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8")
    assert values(tmp_path / "lines.json") == [{"a": 1}, {"a": 2}]
    (tmp_path / "under.json").write_text('{"version": 1, "data": [{"a": 1}]}', encoding="utf-8")
    assert values(tmp_path / "under.json") == [{"a": 1}]


def test_a_json_list_is_read_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"n": n, "text": '[]{}\\",' * (n % 7)} for n in range(500)] + [12345678, "]", [1, [2]]]
    path = write(tmp_path / "r.json", rows)
    for chunk in (1, 7, 64, 1 << 20):
        monkeypatch.setattr("distill.sources.files._CHUNK", chunk)
        assert values(path) == rows
    path.write_text(json.dumps(rows)[:-1], encoding="utf-8")
    with pytest.raises(Refused, match="the JSON list is not whole"):
        values(path)


def test_encodings(tmp_path: Path) -> None:
    path = tmp_path / "gbk.csv"
    path.write_bytes("question,answer\n什么是债券？,债务凭证\n".encode("gb18030"))
    with pytest.raises(Refused, match=r"not UTF-8; say its encoding .* gb18030"):
        read("own", path)
    assert read("own", path, encoding="gb18030")[0][0].question == "什么是债券？"
    with pytest.raises(Refused, match="there is no encoding 'gbk2'"):
        read("own", path, encoding="gbk2")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("r.csv", b'a,b\n"x,y\n', "not a table .unexpected end of data."),
        ("r.parquet", b"PAR0", "not a Parquet file"),
        ("r.jsonl.gz", b"no gzip", "the gzip file is damaged"),
        ("r.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9999)[:-20], "the gzip file is damaged"),
        ("r.json", b'{"a": [1], "b": [2]}', "not a JSON list of rows"),
        ("r.json", b"12", "not a JSON list of rows"),
        ("r.json", b"", "not JSON"),
        ("r.json", b"[" * 100_000, "nested too deeply"),
        ("r.xlsx", b"PK", "rows are read from .json"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused, match=words):
        values(tmp_path / name)


def test_a_row_with_too_many_cells_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("question,answer\na,b,c\nWhat?,this\n", encoding="utf-8")
    good, bad = read("own", tmp_path / "r.csv")
    assert len(good) == 1 and [left.reason for left in bad] == ["more cells than the header has columns"]


def test_a_folder_says_what_it_has(tmp_path: Path) -> None:
    for name in ("sent_train.csv", "sent_valid.csv", "notes.txt"):
        (tmp_path / name).write_text("text,label\nup,1\n", encoding="utf-8")
    assert len(read("tfns", tmp_path)[0]) == len(read("tfns", tmp_path, split="validation")[0]) == 1
    assert len(read("tfns", tmp_path, split="test")[0]) == 2, "no such split in the catalogue: all files"
    with pytest.raises(Refused, match=r"no file with 'tset' in its name \(sent_train.csv, sent_valid.csv\)"):
        read("tfns", tmp_path, part="tset")
    source = Source.model_validate({"name": "tfns", "path": tmp_path, "split": "validation"})
    assert source.files() == [tmp_path / "sent_valid.csv"]


# The set's home.


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"name": "tfns"}, "give path, a file or folder of its rows, or from: home"),
        ({"name": "own"}, "give path, a file or folder of its rows .type"),
        ({"name": "tfns", "path": "x", "from": "home"}, "read from one place"),
        ({"name": "tfns", "from": "hub"}, "'from'"),
        ({"name": "finqa", "from": "home"}, "is on no hub; fetch it from its home .*FinQA"),
        ({"name": "tfns", "from": "home", "split": "test"}, "no split 'test' at home"),
        ({"name": "own", "path": "x", "colums": {}}, "did you mean 'columns'"),
    ],
)
def test_places_that_cannot_be_are_refused_when_read(source: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Source.model_validate(source)


@pytest.fixture
def home_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The catalogue with a folder as the home of TFNS, which `datasets` reads as it reads a hub."""
    entries = dict(catalogue())
    hub = sources.Hub(id=str(tmp_path / "home"))
    entries["tfns"] = entries["tfns"].model_copy(update={"hub": hub})
    monkeypatch.setattr(sources, "catalogue", lambda: entries)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    yield tmp_path / "home"


def test_rows_come_from_the_home_where_the_recipe_says_so(home_on_disk: Path) -> None:
    write(home_on_disk / "train.csv", [{"text": "up", "label": "1"}, {"text": "down", "label": "0"}])
    rows = list(Source.model_validate({"name": "tfns", "from": "home"}).questions())
    assert [row.gold for row in rows if isinstance(row, Question)] == ["bullish", "bearish"]
    write(home_on_disk / "valid.csv", [{"text": "flat", "label": "2"}])
    for more in ({"split": "validation"}, {"split": "train", "part": "validation"}):
        (row,) = Source.model_validate({"name": "tfns", "from": "home", **more}).questions()
        assert isinstance(row, Question) and (row.id, row.split) == ("tfns/validation[0]", more["split"])


def test_a_home_that_gives_nothing_is_refused_in_a_sentence(home_on_disk: Path) -> None:
    with pytest.raises(Refused, match=r"split 'train': its home gave no rows \(.*fetch it by hand and give its `path`"):
        list(Source.model_validate({"name": "tfns", "from": "home"}).questions())


# Parts.


def test_reading_values() -> None:
    assert [written(value) for value in (None, float("nan"), 3.0, 2.5, True, " x ", ["a", 1], 7)] == [
        "", "", "3", "2.5", "true", "x", '["a", 1]', "7",
    ]  # fmt: skip
    assert choices_of("{'A': \"it's\", 'B': '二'}") == {"A": "it's", "B": "二"}
    assert choices_of(["一", "二"]) == {"A": "一", "B": "二"} and choices_of(None) == {}
    assert [answer_type_of(gold, {}, None) for gold in ("4%", "$ 12", "1.2亿元", "-3,000", "(5)", "是", "ACD 法", "[]")] == [
        "percent", "money", "money", "number", "number", "boolean", "text", "list",
    ]  # fmt: skip
    assert [language_of(text) for text in ("什么是ETF？", "What does 余额宝 mean?", "180")] == ["zh", "en", "en"]
    assert answered("4") == ("4", "")
    assert answered("<think>a</think>\\boxed{4\\%}") == ("4\\%", "a")
    assert answered("Since 2 + 2, \\boxed{4}")[0] == "4"


def test_documents_of_rows_without_one() -> None:
    """Questions that differ in their figures only, or stand on one passage, are one document."""
    assert document_of("", "年利率为1.5%，2年后利息？") == document_of("", "年利率为12%，3年后利息?")
    assert document_of("", "年利率为1.5%") != document_of("", "月利率为1.5%")
    assert document_of("A page.", "One?") == document_of("a  page", "Two?") != document_of("", "One?")
