"""The sources on the real sets: every row is accounted for, golds are usable, documents hold together."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from real_sets import DATA, SETS, needs_data, questions, rows

from distill import prepare
from distill.questions import check_meta, document, read_questions
from distill.sources import LeftOut
from distill.sources.convfinqa import work_out
from reward_plugins import verify
from reward_plugins.golds import refusal

COUNTS = {
    "finqa": 356, "finqa flat": 673, "finqa flat, executed": 250, "convfinqa": 1172, "tatqa": 1668, "tathqa": 824,
    "fin_eva": 2343, "fineval": 1151, "fineval dev": 170, "cflue": 1665, "xfinbench": 978, "theoremqa": 81,
    "disc_finllm": 500, "finova": 571,
}  # fmt: skip


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_every_row_is_a_question_or_left_out_for_a_reason(name: str) -> None:
    left_out = Counter(row.reason for row in rows(name) if isinstance(row, LeftOut))
    assert len(questions(name)) == COUNTS[name]
    assert left_out == {
        "xfinbench": {"the question needs a figure": 22},
        "finova": {"the gold is an empty list": 139},
        "disc_finllm": {"no column 'output'; there are question, reference": 61},
    }.get(name, {})


@needs_data
@pytest.mark.parametrize("name", SETS)
def test_golds_are_accepted_as_their_own_answers(name: str) -> None:
    """Whole texts as golds are for a judge, so those of DISC-FinLLM's instructions are not asked here."""
    short = [q for q in questions(name) if not (name == "disc_finllm" and q.answer_type == "text")]
    refused = {q.id: reason for q in short if (reason := refusal(q.gold, q.question, check_meta(q)))}
    usable = {q.id for q in short if "answer and exe_ans differ" not in refused.get(q.id, "")}
    failed = {name: reason for name, reason in refused.items() if name in usable}
    assert len(failed) <= 0.005 * len(usable), failed


@needs_data
def test_choices_and_letters() -> None:
    for name in ("cflue", "fineval", "fin_eva", "xfinbench"):
        for question in questions(name):
            if question.answer_type == "choice":
                assert question.choices and set(question.gold) <= set(question.choices), question.id
    several = Counter(len(question.gold) for question in questions("cflue") if question.answer_type == "choice")
    assert several[1] == 1134 and several[5] == 27
    asked = next(q for q in questions("cflue") if q.choices and len(q.gold) == 3)
    for answer, status in ((asked.gold, "correct"), ("、".join(asked.gold), "correct"), (asked.gold[0], "wrong")):
        assert verify(f"<answer>{answer}</answer>", asked.gold, asked.question, check_meta(asked)).status == status


@needs_data
def test_tatqa_percentages_are_points_and_scales_are_kept() -> None:
    pages = json.loads((DATA / "tatqa/tatqa_dataset_dev.json").read_text(encoding="utf-8"))
    given = {entry["uid"]: entry for page in pages for entry in page["questions"]}
    for question in questions("tatqa"):
        assert question.meta.get("scale", "") == given[question.id.removeprefix("tatqa/")]["scale"]
    share = next(q for q in questions("tatqa") if q.gold == "185.3")
    ratio = verify("<answer>1.853</answer>", share.gold, share.question, check_meta(share))
    assert share.unit == "%" and ratio.status == "correct"
    assert verify("<answer>1.853%</answer>", share.gold, share.question, check_meta(share)).status == "wrong"
    assert [q.id for q in questions("tatqa") if "doubt" in q.meta] == ["tatqa/c91ad938-6ad1-4481-8f6b-43ccd2f69926"]


@needs_data
def test_convfinqa_turns_have_their_history() -> None:
    dialogues = json.loads((DATA / "convfinqa/pot_convfinqa_dev80.json").read_text(encoding="utf-8"))
    turns = {question.id: question for question in questions("convfinqa")}
    assert len(turns) == sum(len(dialogue["questions"]) for dialogue in dialogues)
    for dialogue in dialogues:
        said = dialogue["questions"]
        last = turns[f"convfinqa/{dialogue['id']}/{len(said) - 1}"]
        assert all(f"Q: {question}" in last.context for question in said[:-1]) and last.question == said[-1].strip()
        assert said[-1] not in last.context.rpartition("Earlier in this conversation")[2].split("Q: ")[1:]
        assert last.gold == "yes" or float(last.gold) == dialogue["answer"]
        # what the snippets give is what the set says of its last turn
        worked = work_out(dialogue["programs"][-1])
        assert worked == dialogue["answer"] or abs(float(worked or 0) - float(dialogue["answer"])) <= 2e-5
    assert sum("doubt" in turn.meta for turn in turns.values()) == 1


@needs_data
def test_pages_are_shared_between_sets() -> None:
    """ConvFinQA stands on FinQA's pages, TAT-HQA on TAT-QA's."""
    for first, second, shared in (("finqa flat", "convfinqa", 172), ("tatqa", "tathqa", 273)):
        documents = [{document(question) for question in questions(name)} for name in (first, second)]
        assert len(documents[0] & documents[1]) >= 0.95 * shared


@needs_data
def test_a_split_holds_across_sets(tmp_path: Path) -> None:
    """FinQA and ConvFinQA parted together: a page is on one side in both, with the shares that were asked for."""
    sources = [
        {"name": "finqa", "path": DATA / "finqa/finqa_dev80.jsonl"},
        {"name": "convfinqa", "path": DATA / "convfinqa", "part": "dev"},
    ]
    counts = prepare.run(prepare.Settings.model_validate({"out": tmp_path, "sources": sources, "split": "8:1:1"}))
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for split in ("train", "validation", "test"):
        for question in read_questions(tmp_path / f"{split}.jsonl"):
            sides[document(question)].add(split)
            assert "doubt" in question.meta or not refusal(question.gold, question.question, check_meta(question))
    assert counts["doubted"]["finqa"] >= 9 and all(len(splits) == 1 for splits in sides.values())
    assert len(sides) == sum(counts["documents"].values()) == 232
    assert 0.7 <= counts["documents"]["train"] / len(sides) <= 0.9
    # four pairs of rows in the flat file share an id
    assert counts["left_out"]["finqa: the same id twice"] == 4


@needs_data
def test_a_scale_is_given_where_the_page_states_it_beyond_doubt() -> None:
    scaled = {q.id: q.meta["scale"] for name in ("finqa", "finqa flat") for q in questions(name) if "scale" in q.meta}
    assert scaled["finqa/ETR/2017/page_26.pdf-3"] == "million"  # "amount ( in millions )", one column
    assert scaled["finqa/GPN/2017/page_77.pdf-3"] == "thousand"
    assert "finqa/MRO/2003/page_84.pdf-4" not in scaled  # crack spreads, dollars a barrel in a table in millions
    assert 10 <= len(scaled) <= 40
    for question in questions("finqa"):
        if "scale" in question.meta:
            assert question.answer_type in ("number", "money") and "percent" not in question.question


@needs_data
def test_a_row_says_which_language_it_is_in() -> None:
    for name in ("fin_eva", "fineval", "finova"):
        assert {question.lang for question in questions(name)} == {"zh"}
    assert {question.lang for question in questions("tatqa")} == {"en"}
