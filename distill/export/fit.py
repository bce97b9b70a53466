"""Which rows are fit for a set: the part of an export that is done question by question, by any engine."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from distill.export.settings import Settings
from distill.journal import traces_at
from distill.prompts import messages, read_prompt
from distill.questions import check_meta, questions_at
from distill.records import Question, Trace
from distill.reply import completion
from distill.tokens import Talk, TokenCounter
from reward_plugins import verify

# Right for no question: where the rule cannot even call this wrong, it could reward nothing but the gold's own words.
_NONSENSE = "blorp 17 quux"


class Ranked(NamedTuple):
    """The byte offsets of a question and of its kept traces, the best first."""

    question: int
    traces: list[int]


class Bounds(NamedTuple):
    """What rows are measured by; paths are absolute, since other machines start in other folders."""

    questions: Path
    traces: Path
    system: str
    tokenizer: Path | None
    cutoff_len: int | None
    prompt_cutoff: int | None
    max_per_question: int
    rl_judged: bool

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """The bounds that the settings name."""
        return cls(
            settings.questions.absolute(),
            settings.traces.absolute(),
            read_prompt(settings.system_prompt),
            settings.tokenizer and settings.tokenizer.absolute(),
            settings.cutoff_len,
            settings.prompt_cutoff,
            settings.max_per_question,
            settings.rl_judged,
        )


def talk_of(trace: Trace, question: Question, system: str) -> Talk:
    """What the student is trained on for a trace."""
    return Talk(messages(question, system), completion(trace.reasoning, trace.answer))


def unfit_for_sft(bounds: Bounds, rows: Sequence[Ranked]) -> list[list[str]]:
    """For each question, why each of its traces is no row, "" if it is one: up to the one that makes enough of them.

    Measured in rounds, the best trace of every question first, so that none is measured that is not needed.
    """
    if bounds.tokenizer is None:
        return [[""] * min(bounds.max_per_question, len(row.traces)) for row in rows]
    tokens = _counter(bounds.tokenizer)
    questions = list(questions_at(bounds.questions, [row.question for row in rows]))
    found: list[list[str]] = [[] for _ in rows]

    def is_open(at: int) -> bool:
        return len(found[at]) < len(rows[at].traces) and found[at].count("") < bounds.max_per_question

    while round_ := [at for at in range(len(rows)) if is_open(at)]:
        traces = traces_at(bounds.traces, [rows[at].traces[len(found[at])] for at in round_])
        talks = [talk_of(trace, questions[at], bounds.system) for at, trace in zip(round_, traces, strict=True)]
        for at, why in zip(round_, unfit(tokens, talks, bounds.cutoff_len, "cutoff_len"), strict=True):
            found[at].append(why)
    return found


def unfit(tokens: TokenCounter, talks: Sequence[Talk], limit: int | None, key: str) -> list[str]:
    """Why the student cannot be shown each conversation; "" if it can. `key` is the setting that says `limit`."""
    long = tokens.longer(talks, limit) if limit else [False] * len(talks)
    return [
        f"longer than {key}" if is_long else "holds a control token of the student" * tokens.holds_control(talk)
        for talk, is_long in zip(talks, long, strict=True)
    ]


def unfit_for_rl(bounds: Bounds, offsets: Sequence[int]) -> list[str]:
    """Why each question cannot be rewarded; "" if it can."""
    questions = list(questions_at(bounds.questions, offsets))
    found = [_no_ground_for_a_reward(question, bounds.rl_judged) for question in questions]
    if bounds.tokenizer:
        talks = [Talk(messages(question, bounds.system)) for question in questions]
        shown = unfit(_counter(bounds.tokenizer), talks, bounds.prompt_cutoff, "prompt_cutoff")
        found = [why or of_prompt for why, of_prompt in zip(found, shown, strict=True)]
    return found


@functools.lru_cache(maxsize=1)
def _counter(tokenizer: Path) -> TokenCounter:
    """The counter of a process: it cannot be sent to another one, and takes a while to make."""
    return TokenCounter(tokenizer)


def _no_ground_for_a_reward(question: Question, judged: bool) -> str:
    if question.meta.get("doubt"):
        return "its source's golds disagree"
    if _verified(question.gold, question) != "correct":
        return "the check does not accept the gold itself"
    if not judged and _verified(_NONSENSE, question) == "undecided":
        return "only a judge can compare with the gold"
    return ""


def _verified(answer: str, question: Question) -> str:
    return verify(f"<answer>{answer}</answer>", question.gold, question.question, check_meta(question)).status
