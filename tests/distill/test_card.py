"""The data card: its figures are those of the files, it adds up, and the same records give the same bytes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from export_chain import Chain

from distill import export
from distill.export.card import table
from distill.questions import read_questions
from distill.records import write_records
from reward_plugins.agreement import wilson
from reward_plugins.judge_quality import agreement, share

PLOTS = ("card/funnel.png", "card/lengths.png", "card/passes.png", "card/rows.png")


def page(chain: Chain) -> str:
    return (chain.settings().folder / "README.md").read_text(encoding="utf-8")


def tables(text: str) -> list[list[dict[str, str]]]:
    """The Markdown tables of a page, each as rows by their head."""
    found = []
    for block in re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.strip().splitlines()]
        found.append([dict(zip(lines[0], line, strict=True)) for line in lines[2:]])
    return found


def by_head(text: str, *head: str) -> list[dict[str, str]]:
    """The one table that has these columns."""
    (found,) = [rows for rows in tables(text) if set(head) <= rows[0].keys()]
    return found


def number(cell: str) -> int:
    return int(cell.replace(",", ""))


def total(rows: list[dict[str, str]], column: str) -> int:
    return sum(number(row[column]) for row in rows if next(iter(row.values())) != "all")


@pytest.fixture
def made(chain: Chain) -> tuple[Chain, dict[str, Any]]:
    chain.screen()
    return chain, export.run(chain.settings(dpo_per_question=1, rl="unkept", sft_limit=30))


def test_the_funnel_of_the_card_adds_up(made: tuple[Chain, dict[str, Any]]) -> None:
    chain, counts = made
    text = page(chain)
    for name in ("source", "teacher"):
        funnel = by_head(text, name, "asked", "answered", "right", "kept") if name == "source" else None
        rows = funnel or [row for rows in tables(text) for row in rows if "teacher" in row and "right" in row]
        last = rows[-1]
        assert last[name] == "all"
        for step, expected in (("asked", 240), ("answered", 200), ("right", 120), ("kept", 80)):
            assert total(rows, step) == number(last[step]) == expected
    lost = next(rows for rows in tables(text) if rows[0].keys() == {"reason", "traces"})
    assert total(lost, "traces") == 240 - 80
    out = next(rows for rows in tables(text) if rows[0].keys() == {"reason", "kept traces"})
    assert total(out, "kept traces") == 80 - counts["rows"]["sft/train.jsonl"] == 50
    assert "Of 80 kept traces, 30 became SFT rows and 50 did not:" in text
    assert "Of 40 questions, 10 became GRPO rows and 30 did not:" in text


def test_the_card_counts_what_the_files_hold(made: tuple[Chain, dict[str, Any]]) -> None:
    chain, counts = made
    text = page(chain)
    files = {row["file"].strip("`"): number(row["rows"]) for row in by_head(text, "file", "rows")}
    assert files == counts["rows"]
    assert {name: len(chain.rows(name)) for name in files} == files
    questions = {question.id: question for question in read_questions(chain.questions)}
    chinese = sum(questions[row["id"].split("|")[0]].lang == "zh" for row in chain.rows("sft/train.jsonl"))
    for head in ("source", "language", "type"):
        rows = next(rows for rows in tables(text) if {head, "sft", "test"} <= rows[0].keys())
        assert total(rows, "sft") == 30 and total(rows, "test") == 12 and total(rows, "dpo") == files["dpo/train.jsonl"]
        if head == "language":
            assert number(rows[-1]["sft"]) == chinese
    assert total(by_head(text, "licence", "what it says"), "rows") == sum(files.values())


def test_pass_rates_have_their_interval(made: tuple[Chain, dict[str, Any]]) -> None:
    rows = {row["teacher"]: row for row in by_head(page(made[0]), "pass rate")}
    assert rows.keys() == {"good", "lost", "mute", "chatty", "dead"}
    assert rows["good"]["pass rate"] == "100.0%" and rows["lost"]["pass rate"] == "0.0%"
    assert rows["dead"]["answered"] == "0" and rows["chatty"]["right by rule"] == "40"
    low, high = wilson(0, 40)
    assert rows["dead"]["95% interval"] == f"{low:.1%} to {high:.1%}"


def test_the_same_records_give_the_same_card(chain: Chain, tmp_path: Path) -> None:
    chain.screen()
    names = ("README.md", *PLOTS)
    export.run(chain.settings())
    before = [(chain.settings().folder / name).read_bytes() for name in names]
    export.run(chain.settings())
    assert [(chain.settings().folder / name).read_bytes() for name in names] == before
    for name, picture in zip(PLOTS, before[1:], strict=True):
        assert picture.startswith(b"\x89PNG") and name in page(chain)
    assert str(tmp_path) not in page(chain)


def test_a_hub_can_read_its_head(chain: Chain) -> None:
    chain.screen()
    export.run(chain.settings())
    head = yaml.safe_load(page(chain).split("---\n")[1])
    assert head["license"] == "apache-2.0" and head["language"] == ["en", "zh"]
    for config in head["configs"]:
        assert list(chain.settings().folder.glob(config["data_files"]))


def test_without_the_screens_manifest_the_rules_own_counts_are_told(chain: Chain) -> None:
    chain.screen()
    (chain.verdicts.parent / f"{chain.verdicts.name}.manifest.json").unlink()
    export.run(chain.settings())
    funnel = by_head(page(chain), "source", "asked", "answered", "right", "kept")
    assert [funnel[0][step] for step in ("asked", "answered", "right", "kept")] == ["240", "200", "120", "80"]


def test_how_far_the_judge_can_be_trusted_is_told(chain: Chain) -> None:
    chain.screen()
    path = chain.verdicts.parent / f"{chain.verdicts.name}.manifest.json"
    screened = json.loads(path.read_text(encoding="utf-8"))
    screened["counts"]["judge"] = {
        "model": "small",
        "traces": 80,
        "unscored": 7,
        "unreadable_replies": share(9, 90),
        "agreement_with_rule": agreement([(True, True)] * 5 + [(False, False)] * 4 + [(False, True)]),
        "repeatability": {"answer": share(3, 4), "reasoning": share(0, 0)},
    }
    path.write_text(json.dumps(screened), encoding="utf-8")
    export.run(chain.settings())
    text = page(chain)
    assert "small judged 80 traces; 7 of them stayed without a verdict" in text
    assert "Cohen's kappa with the rule: 0.80 (" in text
    rows = {row["measured"]: row for row in by_head(text, "measured")}
    assert rows["replies that could not be read"]["share"] == "10%"
    assert rows["agrees with the rule, where both speak"]["of"] == "10"
    assert rows["says the same twice: reasoning"]["share"] == "-"


def test_text_of_a_source_cannot_break_the_page(chain: Chain) -> None:
    questions = list(read_questions(chain.questions))
    first = min(questions, key=lambda each: each.id)
    loud = first.model_copy(update={"question": "A | b\n```\n# Not a heading\n", "source": "my | own"})
    loud.meta["type"] = "a|b\nc"
    write_records(chain.questions, [loud if each.id == first.id else each for each in questions])
    chain.screen()
    export.run(chain.settings(max_per_question=2))
    text = page(chain)
    assert "\n````text\nsystem:" in text, "a fence must be longer than any in the text"
    assert "| a\\|b c |" in text and "| my \\| own |" in text


def test_a_long_row_is_shown_by_its_ends(chain: Chain) -> None:
    questions = list(read_questions(chain.questions))
    first = min(questions, key=lambda each: each.id)
    long = first.model_copy(update={"context": "page " * 4000})
    write_records(chain.questions, [long if each.id == first.id else each for each in questions])
    chain.screen()
    export.run(chain.settings())
    shown = re.search(r"\[\.\.\. ([\d,]+) characters \.\.\.\]", page(chain))
    assert shown and number(shown[1]) > 15_000
    assert len(page(chain)) < 20_000


def test_a_table_of_nothing_says_so() -> None:
    assert table(["a", "b"], []) == "None."
    assert table(["a", "b"], [("x", 12345)]) == "| a | b |\n| - | -: |\n| x | 12,345 |"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("me/my_set", "me_my_set"),
        ("../../elsewhere", "_.._elsewhere"),
        ("财务", "财务"),
        ("", "test"),
        ("a|b$c$\0", "a_b_c_"),
        ("_x" * 200, "_x" * 30),
    ],
)
def test_any_name_of_a_source_makes_a_file_and_a_card(chain: Chain, source: str, file: str) -> None:
    write_records(chain.test, [row.model_copy(update={"source": source}) for row in read_questions(chain.test)])
    named = [row.model_copy(update={"source": source}) for row in read_questions(chain.questions)]
    write_records(chain.questions, named)
    chain.screen()
    rows = export.run(chain.settings())["rows"]
    assert list(rows) == ["sft/train.jsonl", "grpo/train.jsonl", f"test/{file}.jsonl"]
    assert {row["source"] for row in chain.rows(f"test/{file}.jsonl")} == {source}
    assert sorted(path.name for path in (chain.root / "datasets").iterdir()) == ["made"]
