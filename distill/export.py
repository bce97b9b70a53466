"""The stage `export`: training and test sets in the forms that the engines read, with their manifest.

`<root>/datasets/<set>/sft/train.jsonl` for LLaMA-Factory, `grpo/train.jsonl` for `load_dataset(folder)` and TRL,
`test/<source>.jsonl` for EvalScope, `manifest.json`, and the entry `<set>_sft` in `<root>/dataset_info.json`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from distill import manifest
from distill.dataset_info import register, sharegpt_entry
from distill.journal import traces_at
from distill.progress import progress_bars
from distill.prompts import messages, read_prompt, user_message
from distill.questions import QuestionIndex, check_meta, fingerprint, read_questions
from distill.records import Question, Verdict, read_records, write_records
from distill.reply import completion
from distill.screen import latest
from distill.stage import StageSettings
from distill.tokens import TokenCounter, tokenizer_file
from reward_plugins import verify
from reward_plugins.errors import Refused


class Settings(StageSettings):
    """What goes into the set called `set`.

    SFT: kept traces, at most `max_per_question` of each question (teachers named in `prefer` first, in that order),
    and of at most `sft_limit` questions, drawn by a hash of `seed` and the id. GRPO: the questions of `rl` ("all",
    "unkept" = those that gave no SFT row, "none") whose gold the check itself accepts, at most `rl_limit` of them,
    drawn likewise. Rows longer than `cutoff_len` tokens of `tokenizer` (SFT) and prompts longer than
    `prompt_cutoff` (GRPO) are left out and counted, never cut.
    """

    set: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    questions: Path
    traces: Path
    verdicts: Path
    test: Path | None = None
    root: Path = Path()
    system_prompt: Path | None = None
    max_per_question: int = Field(default=1, ge=1)
    prefer: list[str] = Field(default_factory=list)
    sft_limit: int | None = Field(default=None, ge=1)
    rl: Literal["all", "unkept", "none"] = "all"
    rl_limit: int | None = Field(default=None, ge=1)
    seed: int = 0
    tokenizer: Path | None = None
    cutoff_len: int | None = Field(default=None, ge=1)
    prompt_cutoff: int | None = Field(default=None, ge=1)
    skip_bad: bool = False

    @model_validator(mode="after")
    def _lengths_make_sense(self) -> Settings:
        if (self.tokenizer is None) != (self.cutoff_len is None and self.prompt_cutoff is None):
            raise ValueError("tokenizer goes with cutoff_len or prompt_cutoff: give both, or neither")
        return self

    @property
    def folder(self) -> Path:
        """The folder of the set."""
        return self.root / "datasets" / self.set

    def inputs(self) -> list[Path]:
        given = [self.questions, self.traces, self.verdicts, self.test, self.system_prompt]
        tokenizer = [tokenizer_file(self.tokenizer)] if self.tokenizer else []
        return [path for path in given if path is not None] + tokenizer

    def manifest_path(self) -> Path:
        return self.folder / "manifest.json"


def enter(settings: Settings) -> None:
    """Put the set into `dataset_info.json`, where the SFT recipe looks for it; does nothing where it stands there."""
    entry = sharegpt_entry(f"datasets/{settings.set}/sft/train.jsonl")
    register(settings.root / "dataset_info.json", f"{settings.set}_sft", entry)


def run(settings: Settings) -> dict[str, Any]:
    """Write the set; returns the counts of rows and of what was left out, by reason.

    Rows stand in the order of question id, teacher and sample, so the same records give the same bytes. Raises
    `Refused` for bad input, for a test question that is also trained on, and where nothing is left to train on.
    """
    stage = manifest.Run("export", settings)
    settings.manifest_path().unlink(missing_ok=True)
    bad: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    with QuestionIndex(settings.questions, settings.skip_bad, bad) as questions, progress_bars() as bars:
        bar = bars.add_task("export", total=3, note="choosing rows")
        tests = _tests(settings, questions, bad)
        rows = Rows(settings, questions, left_out)
        chosen = rows.choose(bad)
        rl_ids = rows.choose_rl({candidate.question_id for candidate in chosen})
        bars.update(bar, advance=1, note="writing sft and grpo")
        folder = settings.folder
        written = {folder / "sft" / "train.jsonl": write_records(folder / "sft" / "train.jsonl", rows.sft(chosen))}
        if settings.rl != "none":
            path = folder / "grpo" / "train.jsonl"
            written[path] = write_records(path, rows.grpo(rl_ids))
        bars.update(bar, advance=1, note="writing test sets")
        for source, test_questions in sorted(tests.items()):
            path = folder / "test" / f"{source}.jsonl"
            written[path] = write_records(path, (rows.test(question) for question in test_questions))
        bars.update(bar, advance=1, note="")
    enter(settings)
    counts = {
        "rows": {path.relative_to(folder).as_posix(): count for path, count in written.items()},
        "left_out": dict(sorted(left_out.items())),
        "bad_lines": dict(bad),
    }
    stage.done(written, counts, licences=dict(sorted(rows.licences.items())), stages=_earlier(settings))
    return counts


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kept trace: what it is ordered by, and where it stands in the journal."""

    question_id: str
    teacher: str
    sample: int
    offset: int


class Rows:
    """Chooses what goes into a set, and writes it as rows. `left_out` is filled with reasons."""

    def __init__(self, settings: Settings, questions: QuestionIndex, left_out: Counter[str]) -> None:
        self._settings = settings
        self._system = read_prompt(settings.system_prompt)
        self._tokens = TokenCounter(settings.tokenizer) if settings.tokenizer else None
        self._questions = questions
        self._left_out = left_out
        self.licences: Counter[str] = Counter()

    def choose(self, bad: Counter[str]) -> list[Candidate]:
        """The SFT traces, in the order of question id, teacher and sample. Raises `Refused` if there is none."""
        by_question: dict[str, list[Candidate]] = {}
        for candidate in self._kept(bad):
            by_question.setdefault(candidate.question_id, []).append(candidate)
        chosen: list[Candidate] = []
        taken = 0
        for question_id in self._drawn(by_question):
            if taken == self._settings.sft_limit:
                break
            fitting = list(self._fitting(by_question[question_id]))
            chosen += fitting
            taken += bool(fitting)
        if not chosen:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self._left_out.items())
            raise Refused(
                f"{self._settings.verdicts}: no trace is left to train on ({reasons or 'none was kept'}); "
                "ask a better teacher, or add the teacher of kind reference"
            )
        return sorted(chosen, key=lambda each: (each.question_id, each.teacher, each.sample))

    def choose_rl(self, trained: set[str]) -> list[str]:
        """The ids of the GRPO questions, in order."""
        if self._settings.rl == "none":
            return []
        ids = [question.id for question in self._questions]
        if self._settings.rl == "unkept":
            ids = [each for each in ids if each not in trained]
        chosen: list[str] = []
        for question_id in self._drawn(ids):
            if len(chosen) == self._settings.rl_limit:
                break
            if not (reason := self._unfit_for_rl(self._question(question_id))):
                chosen.append(question_id)
            else:
                self._left_out[f"grpo: {reason}"] += 1
        return sorted(chosen)

    def sft(self, chosen: list[Candidate]) -> Iterator[dict[str, Any]]:
        """LLaMA-Factory's sharegpt form; `id` is the trace's."""
        for trace in traces_at(self._settings.traces, [candidate.offset for candidate in chosen]):
            question = self._question(trace.question_id)
            self.licences[question.licence] += 1
            yield {
                "id": trace.id,
                "system": self._system,
                "conversations": [
                    {"from": "human", "value": user_message(question)},
                    {"from": "gpt", "value": completion(trace.reasoning, trace.answer)},
                ],
            }

    def grpo(self, ids: list[str]) -> Iterator[dict[str, Any]]:
        """TRL's conversational form with the columns that the rewards read; `meta` is a JSON string."""
        for question in map(self._question, ids):
            self.licences[question.licence] += 1
            yield {
                "prompt": messages(question, self._system),
                "solution": question.gold,
                "id": question.id,
                "question": question.question,
                "meta": json.dumps(check_meta(question), ensure_ascii=False),
            }

    def test(self, question: Question) -> dict[str, Any]:
        """The question, the prompt to send as it stands, and in `meta` all that the check is told."""
        self.licences[question.licence] += 1
        return {
            **question.model_dump(),
            "meta": check_meta(question),
            "prompt": messages(question, self._system),
        }

    def _kept(self, bad: Counter[str]) -> Iterator[Candidate]:
        verdicts = read_records(self._settings.verdicts, Verdict, self._settings.skip_bad, bad)
        kept = {hash(verdict.trace_id) for verdict in verdicts if verdict.keep}
        offsets, _ = latest(self._settings.traces, self._settings.skip_bad, bad)
        for offset, trace in zip(offsets, traces_at(self._settings.traces, offsets), strict=True):
            if hash(trace.id) not in kept:
                continue
            if self._questions.get(trace.question_id) is None:
                self._left_out["sft: question is gone"] += 1
                continue
            yield Candidate(trace.question_id, trace.teacher, trace.sample, offset)

    def _drawn(self, ids: Iterable[str]) -> list[str]:
        """The ids in an order drawn by the seed: its head is a fair sample of all sources, kinds and languages."""
        seed = self._settings.seed
        return sorted(ids, key=lambda each: hashlib.blake2b(f"{seed}/{each}".encode(), digest_size=8).digest())

    def _fitting(self, candidates: list[Candidate]) -> Iterator[Candidate]:
        """At most `max_per_question` of one question's traces, the preferred first, that are not too long."""
        rank = {name: place for place, name in enumerate(self._settings.prefer)}
        candidates.sort(key=lambda each: (rank.get(each.teacher, len(rank)), each.teacher, each.sample))
        question = self._question(candidates[0].question_id)
        fitting = 0
        for candidate in candidates:
            if fitting == self._settings.max_per_question:
                self._left_out["sft: more than max_per_question"] += 1
                continue
            if self._tokens and self._settings.cutoff_len:
                (trace,) = traces_at(self._settings.traces, [candidate.offset])
                texts = [self._system, user_message(question), completion(trace.reasoning, trace.answer)]
                if self._tokens.count(texts) > self._settings.cutoff_len:
                    self._left_out["sft: longer than cutoff_len"] += 1
                    continue
            fitting += 1
            yield candidate

    def _unfit_for_rl(self, question: Question) -> str:
        """Why a question cannot be rewarded; "" if it can."""
        if question.meta.get("doubt"):
            return "its source's golds disagree"
        gold = verify(f"<answer>{question.gold}</answer>", question.gold, question.question, check_meta(question))
        if not gold.correct:
            return "the check does not accept the gold itself"
        if self._tokens and self._settings.prompt_cutoff:
            prompt = [message["content"] for message in messages(question, self._system)]
            if self._tokens.count(prompt) > self._settings.prompt_cutoff:
                return "longer than prompt_cutoff"
        return ""

    def _question(self, question_id: str) -> Question:
        question = self._questions.get(question_id)
        assert question is not None, question_id
        return question


def _tests(settings: Settings, questions: QuestionIndex, bad: Counter[str]) -> dict[str, list[Question]]:
    """The test questions by source. Raises `Refused` where one of them is also trained on."""
    tests: dict[str, list[Question]] = {}
    if settings.test is None:
        return tests
    prints: dict[int, str] = {}
    for question in read_questions(settings.test, settings.skip_bad, bad):
        tests.setdefault(question.source, []).append(question)
        prints[fingerprint(question)] = question.id
    for question in questions:
        if (twin := prints.get(fingerprint(question))) is not None:
            raise Refused(
                f"{settings.test}: {twin!r} is the same question as {question.id!r} in {settings.questions}; "
                "a test question must not be trained on: prepare both with one `finr1 prepare`"
            )
    return tests


def _earlier(settings: Settings) -> dict[str, Any]:
    """What the manifests of the stages before this one say: settings, seeds and counts of the whole way."""
    earlier: dict[str, Any] = {}
    for path in (settings.questions, settings.traces, settings.verdicts):
        found = manifest.of(path)
        if found is not None:
            earlier[found["stage"]] = {
                key: found[key] for key in ("settings", "counts", "versions", "started", "seconds")
            }
    return earlier
