"""Policies, DPO pairs, LLaMA-Factory's forms, overlap and licences; and that every count of a set adds up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from export_chain import KIT, SYSTEM, Chain
from pydantic import ValidationError

from distill import export
from distill.export.licences import terms
from distill.prompts import user_message
from distill.questions import read_questions
from distill.records import Question, Trace, Verdict, one_writer, read_records, write_records
from reward_plugins.errors import Refused

Settings = dict[str, Any]


def ids(chain: Chain, name: str) -> set[str]:
    """The questions of a file of the set."""
    return {row["id"].split("|")[0] for row in chain.rows(name)}


def half_solved(chain: Chain) -> list[Trace]:
    """Traces of which every second question has a right one; every question has a wrong one."""
    numbers = {question.id: number for number, question in enumerate(read_questions(chain.questions))}
    return [t for t in chain.journal() if t.teacher not in ("good", "chatty") or numbers[t.question_id] % 2 == 0]


def left(counts: dict[str, Any], kind: str) -> int:
    """How many of a kind were left out."""
    return sum(count for reason, count in counts["left_out"].items() if reason.startswith(f"{kind}: "))


@pytest.mark.parametrize(
    ("rl", "expected"), [("all", 40), ("kept", 20), ("unkept", 20), ("none", 0)], ids=lambda value: str(value)
)
def test_what_goes_to_rl_is_the_policys_to_say(chain: Chain, rl: str, expected: int) -> None:
    chain.screen(half_solved(chain))
    counts = export.run(chain.settings(rl=rl))
    sft = ids(chain, "sft/train.jsonl")
    assert len(sft) == 20
    if rl == "none":
        assert not (chain.root / "datasets/made/grpo").exists()
        return
    grpo = ids(chain, "grpo/train.jsonl")
    assert len(grpo) == expected == 40 - left(counts, "grpo")
    assert {"all": grpo > sft, "kept": grpo == sft, "unkept": not grpo & sft}[rl]


POLICIES: list[Settings] = [
    {},
    {"max_per_question": 2, "rl": "unkept"},
    {"sft_limit": 7, "rl": "kept", "rl_limit": 3, "dpo_per_question": 1, "dpo_limit": 5},
    {"sft_limit": 7, "rl": "unkept", "rl_limit": 3, "dpo_per_question": 2},
    {"sft_limit": 300, "rl_limit": 300, "dpo_per_question": 3, "dpo_limit": 300},
]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_every_kept_trace_and_every_question_is_accounted_for(chain: Chain, policy: Settings) -> None:
    chain.screen(half_solved(chain))
    questions = list(read_questions(chain.questions))
    barred = [{"id": question.id, "why": why} for question, why in zip(questions, ["duplicate"] * 5, strict=False)]
    write_records(chain.root / "overlap.jsonl", barred)
    questions[7].meta["doubt"] = "answer and exe_ans differ"
    write_records(chain.questions, questions)
    counts = export.run(chain.settings(overlap=chain.root / "overlap.jsonl", **policy))
    kept = sum(verdict.keep for verdict in read_records(chain.verdicts, Verdict))
    assert counts["rows"]["sft/train.jsonl"] + left(counts, "sft") == kept == 40
    assert counts["rows"]["grpo/train.jsonl"] + left(counts, "grpo") == 40
    if "dpo_per_question" in policy:
        assert len(ids(chain, "dpo/train.jsonl")) + left(counts, "dpo") == 20
    assert all(count > 0 for count in counts["left_out"].values())


def test_what_overlaps_is_not_trained_on_in_any_way(chain: Chain) -> None:
    chain.screen(half_solved(chain))
    questions = [question.id for question in read_questions(chain.questions)]
    whys = {questions[0]: "contaminated", questions[1]: "contaminated", questions[2]: "duplicate"}
    more = {"of": "x", "set": "finqa test", "similarity": 0.93, "kind": "numbers masked"}
    write_records(chain.root / "overlap.jsonl", [{"id": each, "why": why, **more} for each, why in whys.items()])
    counts = export.run(chain.settings(overlap=chain.root / "overlap.jsonl", dpo_per_question=1))
    for name in ("sft/train.jsonl", "grpo/train.jsonl", "dpo/train.jsonl"):
        assert ids(chain, name) and not ids(chain, name) & whys.keys()
    counted = {reason: count for reason, count in counts["left_out"].items() if "max_per" not in reason}
    assert counted == {
        "sft: contaminated": 2,  # two kept traces of the one question that has any
        "sft: duplicate": 2,
        "grpo: contaminated": 2,
        "grpo: duplicate": 1,
        "dpo: contaminated": 1,
        "dpo: duplicate": 1,
    }
    (chain.root / "overlap.jsonl").write_text('{"id": "a"}\n', encoding="utf-8")
    with pytest.raises(Refused, match=r"overlap.jsonl, line 1: no id and why"):
        export.run(chain.settings(overlap=chain.root / "overlap.jsonl"))


@pytest.mark.parametrize("form", ["sharegpt", "alpaca"])
def test_both_forms_hold_the_same_text(chain: Chain, form: str) -> None:
    chain.screen(half_solved(chain))
    export.run(chain.settings(form=form, dpo_per_question=1))
    questions = {question.id: question for question in read_questions(chain.questions)}
    for row in chain.rows("sft/train.jsonl"):
        question = questions[row["id"].split("|")[0]]
        if form == "alpaca":
            assert list(row) == ["id", "system", "instruction", "input", "output"]
            prompt, answer = row["instruction"] + row["input"], row["output"]
        else:
            prompt, answer = (turn["value"] for turn in row["conversations"])
        assert (row["system"], prompt) == (SYSTEM, user_message(question))
        assert answer == f"<think>{question.meta['solution']}</think><answer>{question.gold}</answer>"
    for row in chain.rows("dpo/train.jsonl"):
        good, bad = row["chosen"], row["rejected"]
        texts = (good, bad) if form == "alpaca" else (good["value"], bad["value"])
        assert f"<answer>{questions[row['id'].split('|')[0]].gold}</answer>" in texts[0]
        assert texts[1] == "<think>I guess.</think><answer>-987654.25</answer>"


def test_only_a_wrong_answer_in_form_is_rejected(chain: Chain) -> None:
    """No answer, an error, a cut-off answer and text outside the blocks teach nothing about right and wrong."""
    journal = half_solved(chain)
    for trace in journal:
        if trace.teacher == "lost" and sum(trace.question_id.encode()) % 2:
            trace.finish_reason = "length"
    chain.screen(journal)
    counts = export.run(chain.settings(dpo_per_question=3, prefer=["good"]))
    rows = chain.rows("dpo/train.jsonl")
    assert len(rows) == 20 - counts["left_out"]["dpo: too long, not in form, or with a control token"]
    for row in rows:
        chosen, rejected = row["id"].split("||")
        assert chosen.split("|")[1] == "good" and rejected.split("|")[1] == "lost"
    chain.screen([trace for trace in journal if trace.teacher != "lost"])
    with pytest.raises(Refused, match="no question has a kept and a usable wrong trace"):
        export.run(chain.settings(dpo_per_question=1))


def test_a_changed_policy_leaves_nothing_of_the_old_one(chain: Chain) -> None:
    chain.screen(half_solved(chain))
    export.run(chain.settings(dpo_per_question=1))
    own = chain.root / "datasets" / "made" / "notes.txt"
    own.write_text("mine", encoding="utf-8")
    names = {path.relative_to(own.parent).as_posix() for path in own.parent.rglob("*") if path.is_file()}
    assert {"dpo/train.jsonl", "grpo/train.jsonl", "README.md", "card/funnel.png"} <= names
    export.run(chain.settings(rl="none", card=False, test=None))
    left_there = {path.relative_to(own.parent).as_posix() for path in own.parent.rglob("*") if path.is_file()}
    assert left_there == {"sft/train.jsonl", "manifest.json", "notes.txt"}


def test_a_refused_export_leaves_the_old_set_whole(chain: Chain) -> None:
    chain.screen()
    stage = chain.settings()
    export.run(stage)
    before = {path: path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()}
    relicense(chain, "CC BY-NC 4.0")
    with pytest.raises(Refused, match="CC BY-NC"):
        export.run(stage)
    assert {path: path.read_bytes() for path in stage.folder.rglob("*") if path.is_file()} == before


def relicense(chain: Chain, licence: str, path: Path | None = None) -> None:
    """Give the first question of a file another licence."""
    path = path or chain.questions
    questions = list(read_questions(path))
    write_records(path, [questions[0].model_copy(update={"licence": licence}), *questions[1:]])


@pytest.mark.parametrize(
    ("licence", "commercial", "research"),
    [
        ("MIT", True, True),
        ("Apache-2.0", True, True),
        ("CC BY 4.0", True, True),
        ("cc-by-sa-4.0", True, True),
        ("CC BY-NC 4.0", False, True),
        ("cc-by-nc-sa-4.0", False, True),
        ("CC BY-ND 4.0", False, False),
        ("CC BY-NC-ND 4.0", False, False),
        ("research only", False, True),
        ("none stated", False, False),
        ("", False, False),
        ("custom: badge only", False, False),
        ("Apache-2.0 by its badge; no licence file", False, False),
        ("CC0-1.0", True, True),
    ],
)
def test_a_licence_that_forbids_the_use_stops_the_export(
    chain: Chain, licence: str, commercial: bool, research: bool
) -> None:
    assert (terms(licence).commercial, terms(licence).research) == (commercial, research)
    chain.screen()
    relicense(chain, licence, chain.test)
    for use, allowed in (("commercial", commercial), ("research", research)):
        if allowed:
            export.run(chain.settings(use=use))
            continue
        with pytest.raises(Refused, match="allow_licences") as refusal:
            export.run(chain.settings(use=use))
        assert repr(licence) in str(refusal.value) and "finmath" in str(refusal.value)
        assert ("use: research" in str(refusal.value).partition(" or take")[0].partition(";")[2]) == (
            use == "commercial" and research
        )
        counts = export.run(chain.settings(use=use, allow_licences=[licence.upper()]))
        assert counts["rows"]["test/finmath.jsonl"] == 12
        page = (chain.settings().folder / "README.md").read_text(encoding="utf-8")
        assert "no; allowed by the maker of this set" in page


def test_traces_from_elsewhere_keep_their_ids(chain: Chain) -> None:
    """A journal that another program wrote, with ids and a form of its own."""
    found = [trace.model_copy(update={"id": f"t{number}"}) for number, trace in enumerate(chain.journal())]
    found = [trace for trace in found if trace.response != "older"]
    chain.screen(found)
    chain.traces.write_text("".join(trace.model_dump_json(indent=None) + " \n" for trace in found), encoding="utf-8")
    verdicts = [
        {"trace_id": t.id, "rule": {"status": "correct"}, "keep": t.teacher == "good", "why": "x"} for t in found
    ]
    write_records(chain.verdicts, verdicts)
    export.run(chain.settings(max_per_question=2))
    assert {row["id"] for row in chain.rows("sft/train.jsonl")} == {t.id for t in found if t.teacher == "good"}


@pytest.mark.parametrize("name", ["fin_r1_export", "ftmodel_export"])
def test_the_policies_are_plain_recipes(name: str) -> None:
    text = (KIT / f"recipes/distill/{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith(f"# finr1 export recipes/distill/{name}.yaml\n")
    stage = export.Settings.model_validate(yaml.safe_load(text))
    assert stage.rl == {"fin_r1_export": "unkept", "ftmodel_export": "kept"}[name]


@pytest.mark.parametrize(("key", "value"), [("dpo_limit", 3), ("form", "openai"), ("use", "resale"), ("rl", "rest")])
def test_settings_that_mean_nothing_are_refused_when_read(key: str, value: object) -> None:
    with pytest.raises(ValidationError, match=key):
        export.Settings.model_validate({"set": "s", "questions": "q", "traces": "t", "verdicts": "v", key: value})


def test_a_gold_that_only_a_judge_can_compare_needs_a_judge(chain: Chain) -> None:
    questions = list(read_questions(chain.questions))
    text = {"gold": "因为利率上升，债券价格下跌", "answer_type": "text", "meta": {"solution": "x"}}
    write_records(chain.questions, [questions[0].model_copy(update=text), *questions[1:]])
    chain.screen()
    counts = export.run(chain.settings())
    assert counts["left_out"]["grpo: only a judge can compare with the gold"] == 1
    assert questions[0].id not in ids(chain, "grpo/train.jsonl")
    export.run(chain.settings(rl_judged=True))
    assert questions[0].id in ids(chain, "grpo/train.jsonl")


def test_json_of_a_question_survives(chain: Chain) -> None:
    """What a question holds besides text (choices, numbers in meta) reaches the GRPO row as it was."""
    questions = list(read_questions(chain.questions))
    choices = {"A": "利率 | 上升", "B": "b"}
    more = {"gold": "A", "answer_type": "choice", "choices": choices, "meta": {"solution": "A."}}
    changed = questions[0].model_copy(update=more)
    write_records(chain.questions, [changed, *questions[1:]])
    chain.screen()
    export.run(chain.settings())
    (row,) = (row for row in chain.rows("grpo/train.jsonl") if row["id"] == changed.id)
    assert json.loads(row["meta"])["choices"] == choices
    assert Question.model_validate(changed.model_dump()) == changed


def test_two_exports_of_one_set_do_not_mix(chain: Chain) -> None:
    chain.screen()
    export.run(chain.settings())
    old = {path: path.read_bytes() for path in sorted((chain.root / "datasets").rglob("*")) if path.is_file()}
    folder = chain.settings().folder
    with one_writer(folder / "set.part", folder), pytest.raises(Refused, match="another run is writing to it"):
        export.run(chain.settings(sft_limit=3))
    assert {path: path.read_bytes() for path in sorted((chain.root / "datasets").rglob("*")) if path.is_file()} == old
    export.run(chain.settings(sft_limit=3))
    assert len(chain.rows("sft/train.jsonl")) == 3
