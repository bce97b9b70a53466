"""Sources and the stage `prepare`, on real FinQA files and made problems."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import re
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from distill import manifest, prepare, sources
from distill.finmath import generate
from distill.questions import check_meta, document, fingerprint, read_questions
from distill.records import Question, write_records
from distill.sampling import allotted
from distill.sources import LeftOut, Source, catalogue
from distill.sources.finqa_program import work_out
from distill.sources.tables import markdown
from reward_plugins import verify
from reward_plugins.errors import Refused

FINQA = Path(__file__).resolve().parents[3] / "shared" / "data" / "finqa"
needs_finqa = pytest.mark.skipif(not FINQA.is_dir(), reason="the real FinQA files are not in ../shared/data/finqa")
FINMATH: list[dict[str, Any]] = [
    {"name": "finmath", "split": "train", "count": 60, "seed": 1},
    {"name": "finmath", "split": "test", "count": 30, "seed": 2},
]


def settings(out: Path, sources: list[dict[str, Any]], **more: Any) -> prepare.Settings:
    return prepare.Settings.model_validate({"out": out, "sources": sources, **more})


def finqa(part: str, split: str = "train") -> list[Question]:
    rows = list(Source.model_validate({"name": "finqa", "path": FINQA, "split": split, "part": part}).questions())
    assert not any(isinstance(row, LeftOut) for row in rows)
    return [row for row in rows if isinstance(row, Question)]


def test_same_settings_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        counts = prepare.run(settings(tmp_path / name, FINMATH))
        assert counts["questions"] == {"test": 30, "train": 60}
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["left_out.jsonl", "manifest.json", "test.jsonl", "train.jsonl"]
    for name in ("train.jsonl", "test.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_done_is_told_from_not_done(tmp_path: Path) -> None:
    stage = settings(tmp_path / "q", FINMATH)
    path = stage.manifest_path()
    assert not manifest.is_current(path, stage, stage.inputs())
    prepare.run(stage)
    assert manifest.is_current(path, stage, stage.inputs())
    other = settings(tmp_path / "q", [{**FINMATH[0], "seed": 3}, FINMATH[1]])
    assert not manifest.is_current(path, other, other.inputs())
    train = tmp_path / "q" / "train.jsonl"
    before = train.read_bytes()
    train.write_bytes(before[:-2] + b"!\n")  # the same size
    assert not manifest.is_current(path, stage, stage.inputs())
    train.write_bytes(before)
    assert manifest.is_current(path, stage, stage.inputs())
    train.unlink()
    assert not manifest.is_current(path, stage, stage.inputs())


@needs_finqa
def test_a_changed_input_is_seen(tmp_path: Path) -> None:
    copy = tmp_path / "train.json"
    rows = json.loads((FINQA / "raw_train_100.json").read_bytes())
    copy.write_text(json.dumps(rows), encoding="utf-8")
    stage = settings(tmp_path / "q", [{"name": "finqa", "path": copy}])
    prepare.run(stage)
    assert manifest.is_current(stage.manifest_path(), stage, stage.inputs())
    copy.write_text(json.dumps(rows[1:]), encoding="utf-8")
    assert not manifest.is_current(stage.manifest_path(), stage, stage.inputs())


@needs_finqa
def test_finqa_golds_are_usable_and_kept_whole() -> None:
    rows = {str(row["id"]): row for path in FINQA.glob("raw_*.json") for row in json.loads(path.read_bytes())}
    questions = finqa("raw")
    assert len(questions) == len(rows) == 356
    for question in questions:
        row = rows[question.id.removeprefix("finqa/")]
        assert question.meta["exe_ans"] == row["qa"]["exe_ans"]
        assert question.meta["program"] == row["qa"]["program"]
        assert question.meta["doc"] == row["filename"]
        assert str(row["qa"]["answer"]).startswith(question.meta.get("answer", ""))
        assert "\\" not in question.gold and question.gold == question.gold.strip() != ""
        assert all(str(cell).split()[0] in question.context for line in row["table"] for cell in line if cell.strip())
    assert Counter(question.answer_type for question in questions)["boolean"] == 14
    accepted = [
        verify(f"<answer>{question.gold}</answer>", question.gold, question.question, check_meta(question)).correct
        for question in questions
    ]
    assert sum(accepted) / len(accepted) >= 0.995


@needs_finqa
def test_finqa_solutions_reach_the_executed_answer() -> None:
    """Each worked solution ends in the gold, and its last step in the executed program's value."""
    questions = finqa("raw")
    solved = [question for question in questions if "solution" in question.meta]
    doubted = [question for question in questions if "doubt" in question.meta]
    assert len(solved) + len(doubted) >= 0.98 * len(questions)
    assert 0.02 <= len(doubted) / len(questions) <= 0.08
    for question in solved:
        steps, _, end = question.meta["solution"].rpartition(". The answer is ")
        assert end == f"{question.gold}."
        last = re.split(r"= |: ", steps)[-1]
        exe_ans = question.meta["exe_ans"]
        assert last == exe_ans or abs(float(last) - exe_ans) <= 1e-5 * max(1, abs(exe_ans))


def test_programs() -> None:
    table = [["", "2008", "2007"], ["net sales", "$ -32 ( 32 )", "1,000"], ["margin ( a )", "27.5%", "n.m."]]
    assert work_out("subtract(484, 500), divide(#0, 500)", table) == (
        ["484 - 500 = -16", "(-16) / 500 = -0.032"],
        -0.032,
    )
    assert work_out("table_sum(net sales, none)", table) == (["sum of -32, 1000 = 968"], 968.0)
    assert work_out("table_max(margin ( a ), none)", table) == (["max of 0.275 = 0.275"], 0.275)
    assert work_out("greater(5%, const_m1)", table) == (["0.05 > -1: yes"], "yes")
    for broken in ("", "divide(1, 0)", "table_sum(gross sales, none)", "subtract(1, #3)", "frob(1, 2)", "add(1, two)",
                   "exp(-8, 0.5)", "exp(10, 1000)", "add(1, 2), subtract("):  # fmt: skip
        assert work_out(broken, table) is None


@needs_finqa
def test_holdout_is_by_document(tmp_path: Path) -> None:
    sources = [{"name": "finqa", "path": FINQA, "part": "dev"}]
    shares = {"finqa": {"validation": 0.1, "test": 0.2}}
    counts = prepare.run(settings(tmp_path / "q", sources, holdout=shares))
    sides: dict[str, set[str]] = {}
    for split in ("train", "validation", "test"):
        for question in read_questions(tmp_path / "q" / f"{split}.jsonl"):
            assert question.split == split
            sides.setdefault(document(question), set()).add(split)
    assert len(sides) == 96 and all(len(splits) == 1 for splits in sides.values())
    assert sum(counts["questions"].values()) == 156
    assert counts["documents"]["train"] > counts["documents"]["test"] > counts["documents"]["validation"] > 0
    again = prepare.run(settings(tmp_path / "r", sources, holdout=shares, seed=1))
    assert again["documents"] != counts["documents"]


@needs_finqa
def test_one_page_on_two_sides_is_refused(tmp_path: Path) -> None:
    rows = json.loads((FINQA / "raw_train_100.json").read_bytes())
    page = next(name for name, count in Counter(row["filename"] for row in rows).items() if count > 1)
    first = next(row for row in rows if row["filename"] == page)
    for name, part in (("train", [row for row in rows if row is not first]), ("test", [first])):
        (tmp_path / f"{name}.json").write_text(json.dumps(part), encoding="utf-8")
    sources = [
        {"name": "finqa", "path": tmp_path / "test.json", "split": "test"},
        {"name": "finqa", "path": tmp_path / "train.json", "split": "train"},
    ]
    with pytest.raises(Refused, match=f"document 'finqa:{page}' .* is in test and again in train"):
        prepare.run(settings(tmp_path / "q", sources))
    assert not list((tmp_path / "q").iterdir())
    counts = prepare.run(settings(tmp_path / "q", sources, overlap="drop"))
    assert counts["left_out"] == {"finqa: already in test, not wanted in train": 1}
    assert counts["questions"] == {"test": 1, "train": 98}


@needs_finqa
def test_bad_rows_are_counted_and_listed(tmp_path: Path) -> None:
    rows = json.loads((FINQA / "raw_train_100.json").read_bytes())[:6]
    rows[0]["qa"]["answer"], rows[0]["qa"]["exe_ans"] = "", None
    rows[1]["qa"]["answer"] = ""
    rows[2]["qa"]["question"] = " "
    rows[3]["filename"] = None
    rows[4]["table"] = None
    path = tmp_path / "train.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    counts = prepare.run(settings(tmp_path / "q", [{"name": "finqa", "path": path}]))
    reasons = ("no usable gold", "no question", "no id or filename", "no page")
    assert counts["left_out"] == {f"finqa: {reason}": 1 for reason in sorted(reasons)}
    assert counts["questions"] == {"train": 2}
    listed = [json.loads(line) for line in (tmp_path / "q" / "left_out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["row"], row["reason"]) for row in listed] == [
        (f"train[{n}]", reason) for n, reason in zip((0, 2, 3, 4), reasons, strict=True)
    ]
    fallen_back = next(read_questions(tmp_path / "q" / "train.jsonl"))
    assert float(fallen_back.gold) == rows[1]["qa"]["exe_ans"] and "answer" not in fallen_back.meta
    assert "doubt" in fallen_back.meta


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("{", "not JSON"),
        ("[1, 2", "not whole"),
        ('{"a": 1}', "not a JSON list of rows"),
        ('[{"question": "x"}]', r"1 rows were left out because of \"no column 'id'"),
    ],
)
def test_files_that_are_not_finqa(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "train.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=words):
        prepare.run(settings(tmp_path / "q", [{"name": "finqa", "path": path}]))
    assert not (tmp_path / "q" / "train.jsonl").exists()


@needs_finqa
def test_a_folder_without_that_part_says_what_is_there() -> None:
    with pytest.raises(Refused, match=r"'valid' in its name .*raw_train_100.json"):
        finqa("valid")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"name": "finmat"}, "did you mean 'finmath'"),
        ({"name": "finmath", "count": 3, "seed": 1, "langauges": ["en"]}, "did you mean 'languages'"),
        ({"name": "finmath", "count": 3}, "'seed': field required"),
        ({"name": "finmath", "count": "many", "seed": 1}, "'count'"),
        ({"name": "finmath", "count": 3, "seed": 1, "split": "Train set"}, "split"),
    ],
)
def test_a_source_that_cannot_work_is_refused_when_read(source: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Source.model_validate(source)


@pytest.mark.parametrize(
    "holdout",
    [{"finqa": {"test": 0.1}}, {"finmath": {"test": 1.0}}, {"finmath": {"train": 0.5}}, {"finmath": {"test": 0}}],
)
def test_a_holdout_that_cannot_work_is_refused_when_read(holdout: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="holdout"):
        settings(Path("q"), FINMATH, holdout=holdout)


def test_the_same_ids_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="two sources give the id"):
        prepare.run(settings(tmp_path / "q", [FINMATH[0], FINMATH[0]]))


def test_limit_counts_questions(tmp_path: Path) -> None:
    assert prepare.run(settings(tmp_path / "q", [{**FINMATH[0], "limit": 7}]))["questions"] == {"train": 7}


def test_the_catalogue_describes_each_source() -> None:
    assert set(catalogue()) >= {"finmath", "finqa"}
    for name, entry in catalogue().items():
        module, _, function = entry.read.rpartition(".")
        parameters = inspect.signature(getattr(importlib.import_module(module), function)).parameters
        assert {"row", "split"} & set(parameters), name


OWN_SOURCE = """
from collections.abc import Iterator
from pathlib import Path
from distill.records import Question
from distill.sources import LeftOut

def read(*, path: Path, split: str) -> Iterator[Question | LeftOut]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        question, _, gold = line.partition("|")
        if not gold:
            yield LeftOut(str(number), "no gold")
            continue
        yield Question(id=f"own-{number}", source="own", split=split, lang="en", task="concept", question=question,
                       gold=gold, answer_type="text", licence="MIT")
"""


def test_a_source_is_one_function_and_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_source.py").write_text(OWN_SOURCE, encoding="utf-8")
    (tmp_path / "rows.txt").write_text("What is a bond?|a loan\nWhat is a swap?\n", encoding="utf-8")
    entry = "{title: Own, read: own_source.read, home: here, licence: MIT, languages: [en], task: concept, splits: {}}"
    (tmp_path / "catalogue.yaml").write_text(f"mine: {entry}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "CATALOGUE", tmp_path / "catalogue.yaml")
    sources.catalogue.cache_clear()
    try:
        counts = prepare.run(settings(tmp_path / "q", [{"name": "mine", "path": tmp_path / "rows.txt"}]))
    finally:
        monkeypatch.undo()
        sources.catalogue.cache_clear()
    assert counts["questions"] == {"train": 1} and counts["left_out"] == {"mine: no gold": 1}


def test_fingerprints_ignore_how_a_text_is_set() -> None:
    question = next(generate(1, seed=1, languages=["zh"]))
    spaced = question.model_copy(update={"question": question.question.replace("，", ", ").replace("。", " 。\n")})
    other = question.model_copy(update={"context": "| a |"})
    assert fingerprint(question) == fingerprint(spaced.model_copy(update={"id": "else"}))
    assert fingerprint(question) != fingerprint(other)


def test_an_id_that_stands_twice_in_a_file_is_named(tmp_path: Path) -> None:
    question = next(generate(1, seed=1))
    write_records(tmp_path / "q.jsonl", [question, question])
    with pytest.raises(Refused, match=r"line 2: the id .* stands twice"):
        list(read_questions(tmp_path / "q.jsonl"))
    bad: Counter[str] = Counter()
    assert len(list(read_questions(tmp_path / "q.jsonl", skip_bad=True, bad=bad))) == 1
    assert bad == {"duplicate id": 1}


def test_markdown() -> None:
    assert markdown([["a|b", "c"], ["1\n2"]]) == "| a\\|b | c |\n| --- | --- |\n| 1 2 |  |"
    assert markdown([]) == ""


def test_splits_in_one_word() -> None:
    for split, shares in (("8:2", {"test": 0.2}), ("8:1:1", {"validation": 0.1, "test": 0.1}), (None, {})):
        assert settings(Path("q"), FINMATH, split=split).shares("finmath") == shares
    own = settings(Path("q"), FINMATH, split="8:2", holdout={"finmath": {"dev": 0.5}})
    assert own.shares("finmath") == {"dev": 0.5}, "a holdout of its own goes before"
    for wrong in ("8", "8:0", "8/2", "7:1:1:1", "0.8:0.2"):
        with pytest.raises(ValidationError, match="say it as 8:2"):
            settings(Path("q"), FINMATH, split=wrong)
    for unquoted in yaml.safe_load("[8:2, 8:1:1]"):
        with pytest.raises(ValidationError, match='put it in quotes, as "8:2"'):
            settings(Path("q"), FINMATH, split=unquoted)


def test_no_split_of_an_earlier_run_is_left(tmp_path: Path) -> None:
    """Its questions may be on another side by now."""
    prepare.run(settings(tmp_path, FINMATH[:1], split="8:1:1"))
    (tmp_path / "notes.jsonl").write_text("mine\n", encoding="utf-8")
    prepare.run(settings(tmp_path, FINMATH[:1], split="8:2", seed=1))
    names = {path.name for path in tmp_path.glob("*.jsonl")}
    assert names == {"train.jsonl", "test.jsonl", "left_out.jsonl", "notes.jsonl"}


def test_one_s_own_rows_are_not_written_over(tmp_path: Path) -> None:
    mine = tmp_path / "train.jsonl"
    mine.write_text('{"question": "What?", "answer": "3"}\n', encoding="utf-8")
    before = mine.read_bytes()
    with pytest.raises(Refused, match="name another `out`"):
        prepare.run(settings(tmp_path, [{"name": "own", "path": mine}]))
    assert mine.read_bytes() == before


def test_a_side_without_a_document_is_refused(tmp_path: Path) -> None:
    rows = [{"question": f"What of {name}?", "answer": "1", "doc": "the only one"} for name in ("sales", "cost", "tax")]
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    own: list[dict[str, Any]] = [{"name": "own", "path": tmp_path / "own.jsonl"}]
    with pytest.raises(Refused, match=r"no document fell to test \(1 in train\).*another seed"):
        prepare.run(settings(tmp_path / "q", own, split="8:2"))
    assert not list((tmp_path / "q").iterdir())
    # Another source may give that side.
    own.append({"name": "finmath", "split": "test", "count": 3, "seed": 1})
    assert prepare.run(settings(tmp_path / "q", own, split="8:2"))["documents"] == {"test": 3, "train": 1}


@needs_finqa
def test_the_rule_of_a_split_is_the_one_that_is_documented(tmp_path: Path) -> None:
    """A document's place is the first 8 bytes of blake2b of "seed/document"; validation takes the low end, then test."""
    sources = [{"name": "finqa", "path": FINQA, "part": "dev"}]
    prepare.run(settings(tmp_path / "q", sources, split="8:1:1", seed=3))
    for split in ("train", "validation", "test"):
        for question in read_questions(tmp_path / "q" / f"{split}.jsonl"):
            digest = hashlib.blake2b(f"3/finqa:{question.meta['doc']}".encode(), digest_size=8).digest()
            place = int.from_bytes(digest, "big") / 2**64
            assert split == ("validation" if place < 0.1 else "test" if place < 0.2 else "train")


def drawn(out: Path, sample: Any, sources: list[dict[str, Any]] = FINMATH, **more: Any) -> list[Question]:
    prepare.run(settings(out, sources, sample=sample, **more))
    return [question for file in sorted(out.glob("t*.jsonl")) for question in read_questions(file)]


def test_a_sample_is_made_up_like_the_whole(tmp_path: Path) -> None:
    whole = drawn(tmp_path / "all", None)
    part = drawn(tmp_path / "part", 30)
    assert len(part) == 30 and {question.id for question in part} <= {question.id for question in whole}
    traits = [Counter((q.split, q.lang, q.meta["type"]) for q in questions) for questions in (whole, part)]
    for stratum, count in traits[0].items():
        assert abs(traits[1][stratum] - count / 3) < 1, stratum
    assert part == drawn(tmp_path / "again", {"count": 30, "by": ["source", "type", "lang"]})
    assert {q.id for q in part} != {q.id for q in drawn(tmp_path / "seed", 30, seed=1)}
    assert drawn(tmp_path / "more", 500) == whole
    backwards = drawn(tmp_path / "back", 30, FINMATH[::-1])
    assert {q.id for q in backwards} == {q.id for q in part}, "the order of the sources does not count"


def test_a_sample_of_stated_types(tmp_path: Path) -> None:
    sample = {"count": 20, "shares": {"calculation": 0.75, "reasoning": 0.25}}
    assert Counter(q.meta["type"] for q in drawn(tmp_path / "q", sample)) == {"calculation": 15, "reasoning": 5}
    few = drawn(tmp_path / "few", {"count": 80, "shares": {"reasoning": 1.0}})
    assert 0 < len(few) < 80 and {q.meta["type"] for q in few} == {"reasoning"}, "what is not there is not made up"
    counts = json.loads((tmp_path / "few" / "manifest.json").read_text(encoding="utf-8"))["counts"]
    assert sum(counts["questions"].values()) == len(few) and counts["drawn"]


def test_a_sample_of_types_that_are_not_there_says_which_are(tmp_path: Path) -> None:
    sample = {"count": 5, "by": ["type"], "shares": {"analysis": 1.0}}
    with pytest.raises(Refused, match=r"the sample is empty: .*\(there are: test calculation, test reasoning, train"):
        drawn(tmp_path / "q", sample)


@pytest.mark.parametrize(
    "sample",
    [0, {"count": 5, "by": ["colour"]}, {"count": 5, "shares": {"sums": 1.0}}, {"count": 5, "shares": {"concept": 0.5}},
     {"count": 5, "by": ["lang"], "shares": {"concept": 1.0}}],
)  # fmt: skip
def test_a_sample_that_cannot_work_is_refused_when_read(sample: Any) -> None:
    with pytest.raises(ValidationError, match="sample"):
        settings(Path("q"), FINMATH, sample=sample)


@given(
    st.dictionaries(st.text(max_size=2).map(lambda name: (name,)), st.integers(0, 50), max_size=8), st.integers(0, 300)
)
def test_allotments_add_up(sizes: dict[tuple[str, ...], int], count: int) -> None:
    wanted = allotted(sizes, count)
    whole = sum(sizes.values())
    assert sum(wanted.values()) == min(count, whole) and wanted.keys() == sizes.keys()
    for stratum, size in sizes.items():
        assert 0 <= wanted[stratum] <= size
        assert count >= whole or abs(wanted[stratum] - count * size / whole) < 1


def test_a_source_without_a_question_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"question": "Why?"}\n', encoding="utf-8")
    sources = [*FINMATH, {"name": "own", "path": tmp_path / "own.jsonl"}]
    with pytest.raises(Refused, match=r"the source 'own' gave no question; 1 rows .* \"no column 'answer'"):
        prepare.run(settings(tmp_path / "q", sources))
    assert not (tmp_path / "q" / "train.jsonl").exists()


def test_a_gold_that_is_not_its_own_answer_is_doubted(tmp_path: Path) -> None:
    rows = [{"question": "How much?", "answer": answer} for answer in ("12 million", "~~12~~")]
    path = tmp_path / "own.jsonl"
    rows[1]["question"] = "How much else?"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    counts = prepare.run(settings(tmp_path / "q", [{"name": "own", "path": path}]))
    fine, doubted = read_questions(tmp_path / "q" / "train.jsonl")
    assert "doubt" not in fine.meta and doubted.meta["doubt"] == "the gold is empty"
    assert counts["doubted"] == {"own": 1}


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10 MB of rows are parted and sampled within 2.5 MB (the verifier's own cache, of 16,384 golds, set aside)."""
    path = tmp_path / "own.jsonl"
    with path.open("w", encoding="utf-8") as out:
        for number in range(1000):
            row = {"question": f"{number}?", "context": "long " * 2000, "answer": str(number), "doc": str(number)}
            out.write(json.dumps(row) + "\n")
    monkeypatch.setattr(prepare, "refusal", lambda *_: "")
    tracemalloc.start()
    try:
        counts = prepare.run(settings(tmp_path / "q", [{"name": "own", "path": path}], sample=500, split="8:2"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(counts["questions"].values()) == 500
    assert peak < 2.5e6 < path.stat().st_size / 4, peak
