"""The stage `screen` with rules alone: verdicts, the funnel, all cores, and lines from elsewhere."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from numbered import numbered_question
from pydantic import ValidationError
from screen_cases import adds_up, journal, made_trace, verdicts

from distill import manifest, screen
from distill.journal import trace_id
from distill.reasoning import Reasoning, count_steps, measured, terms
from distill.records import Question, Trace, Verdict, read_records, write_records
from distill.reply import completion
from distill.screen_funnel import STEPS
from distill.screen_rules import Place, screen_all
from distill.spread import Cores
from reward_plugins.completion import parse
from reward_plugins.errors import Refused

KIT = Path(__file__).parents[2]
GENERATED = KIT.parent / "shared" / "data" / "finqa" / "model_outputs" / "fin-r1_on_test100.json"

MIXED = [
    {},
    {"answer": "5%"},
    {"answer": "net margin"},
    {"error": "http 500", "response": "", "reasoning": "", "answer": ""},
    {"finish_reason": "length"},
    {"response": "4%"},
    {"response": completion("", "4%"), "reasoning": ""},
    {"reasoning": "It is 4%."},
    {"reasoning": "The net margin is profit by revenue, and so on. Profit is 12. " * 20},
    {"reasoning": "Ducks live near ponds and lakes. They eat weeds, seeds, insects and worms. So the result follows at once."},
]  # fmt: skip


def mixed(tmp_path: Path, count: int = 20) -> screen.Settings:
    questions = [numbered_question(number) for number in range(count)]
    questions[1::10] = [each.model_copy(update={"lang": "zh"}) for each in questions[1::10]]
    write_records(tmp_path / "questions.jsonl", questions)
    traces = [made_trace(each, **MIXED[number % 10]) for number, each in enumerate(questions)]  # type: ignore[arg-type]
    journal(tmp_path / "traces.jsonl", traces)
    return screen.Settings(
        questions=tmp_path / "questions.jsonl",
        traces=tmp_path / "traces.jsonl",
        out=tmp_path / "verdicts.jsonl",
        reasoning=Reasoning(),
    )


def test_every_trace_has_one_reason_and_the_funnel_adds_up(tmp_path: Path) -> None:
    settings = mixed(tmp_path)
    counts = screen.run(settings)
    assert [verdict.why for verdict in verdicts(settings)[:10]] == [
        "kept",
        "wrong",
        "wrong",
        "error: http 500",
        "cut off at the token limit",
        "no reasoning",
        "no reasoning",
        "reasoning: length",
        "reasoning: diversity",
        "reasoning: term_overlap",
    ]
    adds_up(counts)
    assert [counts[step] for step in STEPS] == [20, 18, 14, 8, 2, 2]
    assert counts["right_by"] == {"rule": 14, "judge": 0}
    assert counts["by"]["lang"]["zh"]["asked"] == 2
    noted = manifest.read(settings.manifest_path())
    assert noted is not None and noted["counts"] == counts
    kept = verdicts(settings)[0].rule.dimensions
    assert list(kept) == ["length", "steps", "diversity", "term_overlap"] and kept["steps"].score == 4
    assert not verdicts(settings)[1].rule.dimensions  # nothing is measured of what is lost already


def test_without_reasoning_in_the_recipe_only_answer_and_form_count(tmp_path: Path) -> None:
    settings = mixed(tmp_path).model_copy(update={"reasoning": None})
    counts = screen.run(settings)
    adds_up(counts)
    assert counts["kept"] == 8 and not any(verdict.rule.dimensions for verdict in verdicts(settings))


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    settings = mixed(tmp_path, 2200)
    alone = screen.run(settings.model_copy(update={"workers": 1}))
    bytes_alone = settings.out.read_bytes()
    settings.out.unlink()
    assert screen.run(settings.model_copy(update={"workers": 2})) == alone
    assert settings.out.read_bytes() == bytes_alone


def test_a_line_that_is_no_trace_is_refused_from_another_process_too(tmp_path: Path) -> None:
    settings = mixed(tmp_path, 2200)
    places = [Place(3, 0)] * 2200  # the midst of a line
    with pytest.raises(Refused, match="at byte 3 is no trace"):
        list(screen_all(settings.traces, settings.questions, places, len(places), None, Cores(2)))


def test_a_batch_of_rows_gets_the_same_verdicts(tmp_path: Path) -> None:
    settings = mixed(tmp_path)
    screen.run(settings)
    questions = {question.id: question for question in read_records(settings.questions, Question)}
    rows = [(trace, questions[trace.question_id]) for trace in read_records(settings.traces, Trace)]
    assert screen.screen_rows(rows, settings.reasoning) == verdicts(settings)


def test_only_the_last_trace_of_a_request_counts_and_gone_questions_are_counted(
    tmp_path: Path, make_questions: Callable[..., Path]
) -> None:
    questions = make_questions(2)
    first, second, gone = (numbered_question(number) for number in (0, 1, 9))
    old = made_trace(first, "5%", prompt_sha256="b" * 64, id=trace_id(first.id, "t", 0, "b" * 64))
    traces = journal(tmp_path / "t.jsonl", [old, made_trace(first), made_trace(second), made_trace(gone)])
    counts = screen.run(screen.Settings(questions=questions, traces=traces, out=tmp_path / "v.jsonl"))
    assert (counts["kept"], counts["superseded"], counts["without_question"]) == (2, 1, 1)


def test_traces_written_by_hand_are_screened(tmp_path: Path, make_questions: Callable[..., Path]) -> None:
    questions = make_questions(3)
    rows = [made_trace(numbered_question(number), id=f"mine-{number}") for number in range(3)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row.model_dump()) + "\n" for row in rows), encoding="utf-8")
    settings = screen.Settings(questions=questions, traces=tmp_path / "t.jsonl", out=tmp_path / "v.jsonl")
    assert screen.run(settings)["kept"] == 3
    assert {verdict.trace_id for verdict in verdicts(settings)} == {"mine-0", "mine-1", "mine-2"}


def test_verdicts_of_an_earlier_kit_are_read(tmp_path: Path) -> None:
    row = {"trace_id": "x", "rule": {"status": "correct", "extracted": "4%", "reason": "equal"}, "judge": None, "keep": True, "why": "kept"}  # fmt: skip
    (tmp_path / "v.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    (verdict,) = read_records(tmp_path / "v.jsonl", Verdict)
    assert verdict.keep and verdict.rule.dimensions == {}


def test_workers_change_nothing_that_the_result_depends_on(tmp_path: Path) -> None:
    settings = mixed(tmp_path)
    screen.run(settings)
    more = settings.model_copy(update={"workers": 7})
    assert manifest.is_current(settings.manifest_path(), more, more.inputs())
    stricter = settings.model_copy(update={"reasoning": Reasoning(steps=9)})
    assert not manifest.is_current(settings.manifest_path(), stricter, stricter.inputs())


@pytest.mark.parametrize(
    "path", sorted((KIT / "recipes" / "distill").glob("*_screen.yaml")), ids=lambda path: path.stem
)
def test_the_kit_s_recipes_are_read(path: Path) -> None:
    settings = screen.Settings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert settings.judge is None or (KIT / (settings.judge.system_prompt or "")).is_file()


def test_the_rules_keep_what_fin_r1_wrote() -> None:
    if not GENERATED.is_file():
        pytest.skip("Fin-R1's generations are not in ../shared/data")
    rows = json.loads(GENERATED.read_bytes())
    asked = [numbered_question(0).model_copy(update={"question": row["question"]}) for row in rows]
    reasonings = [parse(row["generation"]).reasoning for row in rows]
    failed = Counter(
        Reasoning().fails(measured(text, question)) for text, question in zip(reasonings, asked, strict=True)
    )
    assert len(rows) == 100 and failed == {"": 100}
    # The same reasoning under another question of the set has lost its subject, and looped reasoning its content.
    moved = [
        measured(text, question)["term_overlap"].score
        for text, question in zip(reasonings, asked[1:] + asked[:1], strict=True)
    ]
    assert sum(moved) / 100 < 0.5
    looped = Counter(
        Reasoning().fails(measured(text[:600] * 5, question)) for text, question in zip(reasonings, asked, strict=True)
    )
    assert looped == {"diversity": 100}


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", 0),
        ("So:", 0),
        ("1. Revenue is 300.\n2. Profit is 12.\n3. Margin = 12 / 300 = 4%.", 3),
        ("Step 1: Revenue is 300. Step 2: Revenue is 300.", 1),
        ("1. Revenue is 300.\n2. Revenue is 300.", 1),
        ("第一步，营业收入为三百万元。第二步，净利润为十二万元。所以净利率为4%。", 3),
        ("x = 4", 1),
        ("It is 4.5 and no more than that", 1),
    ],
)
def test_steps_are_counted(text: str, steps: int) -> None:
    assert count_steps(text) == steps


def test_terms_are_words_or_pairs_of_characters() -> None:
    assert terms("What was the net margin of ACME in 2009?") == {"margin", "acme"}
    assert terms("公司的净利率是多少？") == {"公司", "净利", "利率"}
    overlap = measured(
        "公司净利率等于净利润除以收入。", numbered_question(0).model_copy(update={"question": "公司的净利率是多少？"})
    )
    assert overlap["term_overlap"].score == 1.0


@pytest.mark.parametrize(
    "text", ["", "\ud800 torn = 1", "a" * 100_000, "=" * 100_000, "第" * 100_000, "\n" * 100_000, "1. " * 50_000]
)
def test_any_text_is_measured_in_linear_time(text: str) -> None:
    start = time.process_time()
    measured(text, numbered_question(0))
    assert time.process_time() - start < 1.0


def test_thresholds_that_keep_nothing_are_refused() -> None:
    with pytest.raises(ValidationError, match="nothing could be kept"):
        Reasoning(shortest=10, longest=5)


@pytest.mark.parametrize("key", ["traces", "questions"])
def test_what_is_screened_is_not_written_over(tmp_path: Path, key: str) -> None:
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("questions", "traces", "out")}
    with pytest.raises(ValidationError, match=f"out and {key} are one file"):  # spelt in another way
        screen.Settings.model_validate(paths | {"out": tmp_path / "x" / ".." / f"{key}.jsonl"})
    with pytest.raises(ValidationError, match="is a folder; name a file in it"):
        screen.Settings.model_validate(paths | {"out": tmp_path})
