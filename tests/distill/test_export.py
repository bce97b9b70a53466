"""The stages `screen` and `export`: the funnel, the forms of the sets, and what they refuse."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from export_chain import KIT, SYSTEM, Chain, good_traces, made_trace
from pydantic import BaseModel, ValidationError

from distill import ask, export, manifest, prepare, screen
from distill.dataset_info import entry, register
from distill.export.write import Writer
from distill.finmath import generate
from distill.prompts import Message, messages, user_message
from distill.questions import read_questions
from distill.records import Question, Verdict, read_records, write_records, written_whole
from distill.teachers import Teacher
from distill.tokens import Talk, TokenCounter
from reward_plugins import verify
from reward_plugins.errors import Refused


def test_the_funnel_adds_up(chain: Chain) -> None:
    counts = chain.screen()
    assert counts["superseded"] == 20
    assert {key: counts[key] for key in ("asked", "answered", "right", "kept")} == {
        "asked": 240,
        "answered": 200,
        "right": 120,
        "kept": 80,
    }
    assert counts["why"] == {
        "cut off at the token limit": 40,
        "error: http 500": 40,
        "kept": 80,
        "text outside the blocks": 40,
        "wrong": 40,
    }
    assert counts["status"] == {"correct": 120, "error": 40, "no_answer": 40, "wrong": 40}
    for groups in counts["by"].values():
        for step in ("asked", "answered", "right", "kept"):
            assert sum(group[step] for group in groups.values()) == counts[step]
    verdicts = list(read_records(chain.verdicts, Verdict))
    assert len({verdict.trace_id for verdict in verdicts}) == len(verdicts) == counts["asked"]


def test_error_wrong_and_no_answer_are_three_states(chain: Chain) -> None:
    question = next(read_questions(chain.questions))
    states = {
        "error": made_trace(question, "t", 0, "", error="no answer within 600 s"),
        "wrong": made_trace(question, "t", 0, "<think>a</think><answer>-987654.25</answer>"),
        "no_answer": made_trace(question, "t", 0, ""),
    }
    for status, trace in states.items():
        verdict = screen.screen(trace, question)
        assert (verdict.rule.status, verdict.keep) == (status, False)


def test_traces_of_questions_that_are_gone_are_counted(chain: Chain) -> None:
    journal = chain.journal()
    write_records(chain.questions, list(read_questions(chain.questions))[:10])
    counts = chain.screen(journal)
    assert counts["asked"] == 60 and counts["without_question"] == 180
    counts = export.run(chain.settings(max_per_question=2))
    assert counts["rows"]["sft/train.jsonl"] == 20


def test_sft_rows_are_what_the_registry_says(chain: Chain) -> None:
    chain.screen()
    counts = export.run(chain.settings())
    assert counts["rows"] == {"sft/train.jsonl": 40, "grpo/train.jsonl": 40, "test/finmath.jsonl": 12}
    assert counts["left_out"] == {"sft: more than max_per_question": 40}
    registry = (chain.root / "dataset_info.json").read_bytes()
    assert registry.isascii()
    entry = json.loads(registry)["made_sft"]
    columns, tags = entry["columns"], entry["tags"]
    assert len(columns) == 13 and len(tags) == 7 and entry["formatting"] == "sharegpt"
    questions = {question.id: question for question in read_questions(chain.questions)}
    rows = [json.loads(line) for line in (chain.root / entry["file_name"]).read_text(encoding="utf-8").splitlines()]
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    for row in rows:
        question = questions[row["id"].split("|")[0]]
        assert row[columns["system"]] == SYSTEM
        human, gpt = row[columns["messages"]]
        assert human == {tags["role_tag"]: tags["user_tag"], tags["content_tag"]: user_message(question)}
        assert gpt[tags["role_tag"]] == tags["assistant_tag"]
        text = gpt[tags["content_tag"]]
        assert text == f"<think>{question.meta['solution']}</think><answer>{question.gold}</answer>"


def test_grpo_and_test_rows_tell_the_check_the_same(chain: Chain) -> None:
    chain.screen()
    export.run(chain.settings())
    train = {question.id: question for question in read_questions(chain.questions)}
    for row in chain.rows("grpo/train.jsonl"):
        assert list(row) == ["prompt", "solution", "id", "question", "meta"]
        question, meta = train[row["id"]], json.loads(row["meta"])
        assert row["prompt"] == messages(question, SYSTEM) and row["solution"] == question.gold
        assert meta["answer_type"] == question.answer_type and meta["unit"] == question.unit
        assert meta.get("choices") == question.choices and "solution" not in meta
        assert verify(f"<answer>{row['solution']}</answer>", row["solution"], row["question"], meta).correct
    test = {question.id: question for question in read_questions(chain.test)}
    for row in chain.rows("test/finmath.jsonl"):
        question = test[row["id"]]
        assert row.pop("prompt") == messages(question, SYSTEM)
        kept = Question.model_validate(row)
        assert kept.model_copy(update={"meta": {}}) == question.model_copy(update={"meta": {}})
        assert verify(f"<answer>{kept.gold}</answer>", kept.gold, kept.question, kept.meta).correct


def test_the_order_of_the_journal_does_not_matter(chain: Chain) -> None:
    journal = chain.journal()
    chain.screen(journal)
    export.run(chain.settings(sft_limit=25, rl_limit=11, rl="unkept"))
    names = ("sft/train.jsonl", "grpo/train.jsonl", "test/finmath.jsonl")
    before = [chain.rows(name) for name in names]
    assert [len(rows) for rows in before] == [25, 11, 12]
    newest = journal[20:]
    random.Random(3).shuffle(newest)
    chain.screen(journal[:20] + newest)
    export.run(chain.settings(sft_limit=25, rl_limit=11, rl="unkept"))
    assert [chain.rows(name) for name in names] == before


def test_unkept_questions_go_to_rl(chain: Chain) -> None:
    journal = [trace for trace in chain.journal() if trace.teacher != "good" or hash_even(trace.question_id)]
    chain.screen(journal)
    export.run(chain.settings(rl="unkept"))
    sft = {row["id"].split("|")[0] for row in chain.rows("sft/train.jsonl")}
    rl = {row["id"] for row in chain.rows("grpo/train.jsonl")}
    assert sft and rl and not sft & rl and len(sft | rl) == 40
    counts = export.run(chain.settings(rl="none"))
    assert "grpo/train.jsonl" not in counts["rows"]


def hash_even(text: str) -> bool:
    return sum(text.encode()) % 2 == 0


def test_the_preferred_teacher_comes_first(chain: Chain) -> None:
    for prefer, teacher in ((["second"], "second"), (["good"], "good"), ([], "good")):
        journal = chain.journal()
        journal += [made_trace(q, "second", 0, t.response) for q, t in good_traces(chain, journal)]
        chain.screen(journal)
        export.run(chain.settings(prefer=prefer))
        assert {row["id"].split("|")[1] for row in chain.rows("sft/train.jsonl")} == {teacher}


def test_doubtful_golds_are_no_ground_for_a_reward(chain: Chain) -> None:
    questions = list(read_questions(chain.questions))
    questions[0].meta["doubt"] = "answer and exe_ans differ"
    questions[1] = questions[1].model_copy(update={"gold": ""})
    write_records(chain.questions, questions)
    chain.screen()
    counts = export.run(chain.settings())
    assert counts["left_out"]["grpo: its source's golds disagree"] == 1
    assert counts["left_out"]["grpo: the check does not accept the gold itself"] == 1
    assert {row["id"] for row in chain.rows("grpo/train.jsonl")} == {question.id for question in questions[2:]}


def word_tokenizer(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_what_is_too_long_is_left_out_and_counted(chain: Chain) -> None:
    chain.screen()
    tokenizer = word_tokenizer(chain.root)
    every = export.run(chain.settings(tokenizer=tokenizer, cutoff_len=10_000, prompt_cutoff=10_000))
    assert every["rows"]["sft/train.jsonl"] == 40
    texts = [
        (row["conversations"][0]["value"], row["conversations"][1]["value"]) for row in chain.rows("sft/train.jsonl")
    ]
    system: Message = {"role": "system", "content": SYSTEM}
    talks = [Talk([system, {"role": "user", "content": human}], gpt) for human, gpt in texts]
    count = TokenCounter(tokenizer).lengths
    lengths = sorted(count(talks))
    prompts = sorted(count([Talk(talk.prompt) for talk in talks]))
    counts = export.run(chain.settings(tokenizer=tokenizer, cutoff_len=lengths[19], prompt_cutoff=prompts[9]))
    fitting = sum(length <= lengths[19] for length in lengths)
    assert counts["rows"]["sft/train.jsonl"] == fitting >= 20
    assert counts["left_out"]["sft: longer than cutoff_len"] >= 40 - fitting
    assert counts["rows"]["grpo/train.jsonl"] == sum(length <= prompts[9] for length in prompts)
    with pytest.raises(Refused, match=r"no trace is left to train on.*longer than cutoff_len"):
        export.run(chain.settings(tokenizer=tokenizer, cutoff_len=5))


def test_the_manifest_tells_the_whole_way(chain: Chain) -> None:
    chain.screen()
    stage = chain.settings()
    export.run(stage)
    path = stage.manifest_path()
    assert manifest.is_current(path, stage, stage.inputs())
    found = json.loads(path.read_text(encoding="utf-8"))
    assert [source["seed"] for source in found["stages"]["prepare"]["settings"]["sources"]] == [1, 2]
    assert found["stages"]["screen"]["counts"]["kept"] == 80
    assert found["licences"] == {"Apache-2.0": 92}
    for name, facts in {**found["inputs"], **found["outputs"]}.items():
        assert facts == manifest.describe(Path(name))
    assert found["outputs"][str(stage.folder / "sft" / "train.jsonl")]["rows"] == 40
    chain.verdicts.write_bytes(chain.verdicts.read_bytes() + b"\n")
    assert not manifest.is_current(path, stage, stage.inputs())
    path.write_text('{"format": 1}', encoding="utf-8")
    assert not manifest.is_current(path, stage, stage.inputs())


def test_other_entries_of_the_registry_stay(chain: Chain) -> None:
    chain.screen()
    registry = chain.root / "dataset_info.json"
    mine = {f"mine_{number}": {"file_name": f"{number}.json", "note": "净利润"} for number in range(60)}
    older = {"made_sft": {"file_name": "datasets/made/sft/train.jsonl", "formatting": "alpaca"}}
    kept = chain.root / "kept.json"
    kept.write_text(json.dumps({**mine, **older}, ensure_ascii=False), encoding="utf-8-sig")
    kept.chmod(0o640)
    registry.symlink_to(kept)
    export.run(chain.settings())
    found = json.loads(kept.read_text(encoding="ascii"))
    assert {name: found[name] for name in mine} == mine and found["made_sft"]["formatting"] == "sharegpt"
    assert registry.is_symlink() and kept.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON .*line 1 column 2"),
        ("// mine\n{}", "not JSON .*line 1 column 1"),
        ("[]", "not a JSON object"),
        ('{"made_sft": {"file_name": "mine.json"}}', "'made_sft' is of another file"),
        ('{"made_sft": {"hf_hub_url": "me/mine"}}', "'made_sft' is of another file"),
    ],
)
def test_a_registry_that_cannot_take_the_set_leaves_the_old_set_whole(chain: Chain, text: str, complaint: str) -> None:
    chain.screen()
    export.run(chain.settings())
    old = {path: path.read_bytes() for path in sorted((chain.root / "datasets").rglob("*")) if path.is_file()}
    registry = chain.root / "dataset_info.json"
    registry.write_text(text, encoding="utf-8")
    with pytest.raises(Refused, match=complaint):
        export.run(chain.settings(sft_limit=3))
    assert registry.read_text(encoding="utf-8") == text
    assert {path: path.read_bytes() for path in sorted((chain.root / "datasets").rglob("*")) if path.is_file()} == old


def test_entries_made_at_once_all_stay(tmp_path: Path) -> None:
    registry = tmp_path / "dataset_info.json"
    names = [f"set_{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as at_once:
        list(at_once.map(lambda name: register(registry, name, entry(f"{name}.jsonl")), names))
    assert sorted(json.loads(registry.read_text(encoding="ascii"))) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["dataset_info.json"]


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with written_whole(out) as part:
        part.write_text("first", encoding="utf-8")
        with pytest.raises(Refused, match="another run is writing to it"), written_whole(out):
            raise AssertionError("two writers")
    assert out.read_text(encoding="utf-8") == "first"
    (tmp_path / "out.jsonl.part").write_text("of a run that was killed", encoding="utf-8")
    with written_whole(out) as part:
        part.write_text("second", encoding="utf-8")
    assert out.read_text(encoding="utf-8") == "second"


def test_a_test_question_that_is_trained_on_is_refused(chain: Chain) -> None:
    chain.screen()
    twin = next(read_questions(chain.questions)).model_copy(update={"id": "twin", "split": "test"})
    write_records(chain.test, [*read_questions(chain.test), twin])
    with pytest.raises(Refused, match="'twin' is the same question as"):
        export.run(chain.settings())
    assert not (chain.root / "datasets").exists()


def test_nothing_kept_is_refused(chain: Chain) -> None:
    chain.screen([trace for trace in chain.journal() if trace.teacher == "lost"])
    with pytest.raises(Refused, match="no trace is left"):
        export.run(chain.settings())
    assert not (chain.root / "datasets").exists()


@pytest.mark.parametrize("name", ["questions", "traces", "verdicts", "test"])
def test_bad_lines_are_named_or_left_out(chain: Chain, name: str) -> None:
    chain.screen()
    path: Path = getattr(chain, name)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b'{"id": "half\n', *lines[3:]]))
    with pytest.raises(Refused, match=f"{path}, line 4: not a JSON object.*skip-bad"):
        export.run(chain.settings())
    counts = export.run(chain.settings(skip_bad=True))
    assert counts["bad_lines"] == {"not a JSON object": 1}
    assert counts["rows"] == {"sft/train.jsonl": 40, "grpo/train.jsonl": 40, "test/finmath.jsonl": 12}
    path.unlink()
    with pytest.raises(Refused, match="no such file"):
        export.run(chain.settings())


def test_a_write_that_fails_leaves_the_old_file(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.screen()
    export.run(chain.settings())
    before = chain.rows("sft/train.jsonl")

    def fails(self: Writer, chosen: object) -> Iterator[dict[str, Any]]:
        yield {"id": "half a set"}
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Writer, "_sft", fails)
    with pytest.raises(Refused, match="disk is full"):
        export.run(chain.settings())
    assert chain.rows("sft/train.jsonl") == before
    assert not list(chain.root.rglob("*.part"))
    assert not chain.settings().manifest_path().exists(), "a set that was not finished must not look finished"


@pytest.mark.parametrize("more", [{"tokenizer": "x"}, {"cutoff_len": 5}, {"set": "../up"}, {"rl": "some"}, {"sett": 1}])
def test_settings_that_cannot_work_are_refused_when_read(more: dict[str, Any]) -> None:
    given = {"set": "s", "questions": "q", "traces": "t", "verdicts": "v", **more}
    with pytest.raises(ValidationError):
        export.Settings.model_validate(given)


def test_the_user_message() -> None:
    question = next(generate(1, seed=1, languages=["zh"], kinds=None))
    page = question.model_copy(update={"context": "| a |\n", "choices": {"A": "one", "B": "two"}})
    assert user_message(page) == f"| a |\n\n问题：{question.question}\n\nA. one\nB. two"
    assert user_message(question.model_copy(update={"context": ""})) == question.question


def test_the_demo_set_is_what_its_recipes_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed set is made again, byte for byte. After a change of finmath: run the four demo recipes."""
    shutil.copytree(KIT / "recipes" / "prompts", tmp_path / "recipes" / "prompts")
    monkeypatch.chdir(tmp_path)
    stages: list[tuple[str, Any]] = [("prepare", prepare), ("distill", ask), ("screen", screen), ("export", export)]
    for name, stage in stages:
        recipe = yaml.safe_load((KIT / f"recipes/distill/demo_{name}.yaml").read_text(encoding="utf-8"))
        stage.run(stage.Settings(**recipe))
    for name in ("sft/train.jsonl", "grpo/train.jsonl", "test/finmath.jsonl", "README.md"):
        made = Path("datasets/demo") / name
        assert made.read_bytes() == (KIT / made).read_bytes(), f"{name}: run recipes/distill/demo_*.yaml, in order"
    registry = json.loads((KIT / "dataset_info.json").read_text(encoding="utf-8"))
    assert registry["demo_sft"] == json.loads(Path("dataset_info.json").read_text(encoding="utf-8"))["demo_sft"]
    assert str(tmp_path) not in Path("datasets/demo/manifest.json").read_text(encoding="utf-8")


def test_every_stage_has_settings_and_run() -> None:
    for stage in (prepare, ask, screen, export):
        assert issubclass(stage.Settings, BaseModel) and callable(stage.run)
    assert Teacher(name="reference", kind="reference").samples == 1
