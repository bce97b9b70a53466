"""Is the reasoning worth learning from? Seven dimensions after Fin-R1, the cheap ones by rule, the rest by a judge.

Source: Z. Liu et al., "Fin-R1: A Large Language Model for Financial Reasoning through Reinforcement Learning" (2025),
section 2 (reasoning selection). It names the dimensions and leaves their measure open; the measures are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distill.prompts import user_message
from distill.records import Dimension, Question, Trace
from reward_plugins.judge import one_object, short_reason, shown_as_data
from reward_plugins.rewards.repeats import repeated_share, units_of

BY_JUDGE = ("internal_consistency", "logical_consistency", "relevance", "instruction_consistency")
"""What only a reader can tell: 1 to 5 each."""

BEST = 5

# Words in a run that counts as said before. Eight words in a row come again by chance only in set phrases and restated
# figures; reasoning that loops repeats whole sentences.
_RUN = 8
# A sentence shorter than this says no step ("So:", "1.", "好的，"): 12 bytes are two or three English words or four
# Chinese characters. One with an equation is a step at any length.
_SHORTEST_STEP = 12
_SENTENCE_END = re.compile(r"[\n。！？；]|[.!?;](?=\s|$)")
_ENUMERATION = re.compile(
    r"^[\s\-*•#>]*(?:\(?\d{1,2}[.)、）]\s*|step \d+\s*[:.]\s*|第[一二三四五六七八九十]+步[：:，,]?)?", re.IGNORECASE
)
_EQUATION = re.compile(r"[\d)%）a-z\u4e00-\u9fff]\s*[=≈]\s*[-+$¥￥(（]*\s*[\da-z\u4e00-\u9fff]", re.IGNORECASE)

_WORD = re.compile(r"[a-z][a-z&'-]{3,}")
_HAN = re.compile(r"[\u4e00-\u9fff]+")
# Words of four letters and more that ask and join and name nothing.
_FUNCTION_WORDS = (
    "about above according after also amount answer any approximately based because been before being below between both "
    "calculate compute could determine does doing down during each find following from give given have having here how "
    "into just many more most much must only other over please question same should show some such than that their them "
    "then there these they this those through under until using very want was were what when where which while will with "
    "would year years your"
)
_STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
# Characters of Chinese function words: a pair that holds one of them is no term.
_STOP_CHARACTERS = frozenset(
    "的了是在和与及或为吗呢吧请以下列上述中对从到被把按根据若如果则其该这那哪些什么多少几何是否个年月日元万亿"
)
# What a judge is shown at most, in characters. 24,000 hold the longest page of the sets in the catalogue; 60,000 are
# about 16,000 tokens of English reasoning, more than most teachers are let write.
_LONGEST = {"task": 24_000, "reasoning": 60_000, "answer": 2_000}


class Reasoning(BaseModel):
    """What reasoning must reach to be kept; a dimension set to null is not looked at.

    By rule: `shortest` and `longest` in words (of Chinese, characters); `steps`, the sentences or lines that differ
    and say something; `diversity`, the share of runs of eight words (characters) that were not said before (0 to 1);
    `term_overlap`, the share of the question's terms that the reasoning takes up (0 to 1). By a judge, 1 to 5 each:
    `internal_consistency`, `logical_consistency`, `relevance` (to the task), `instruction_consistency`.
    """

    model_config = ConfigDict(extra="forbid")

    shortest: int | None = Field(default=15, ge=1)
    longest: int | None = Field(default=None, ge=1)
    steps: int | None = Field(default=2, ge=1)
    diversity: float | None = Field(default=0.7, ge=0, le=1)
    term_overlap: float | None = Field(default=0.05, ge=0, le=1)
    internal_consistency: int | None = Field(default=4, ge=1, le=BEST)
    logical_consistency: int | None = Field(default=4, ge=1, le=BEST)
    relevance: int | None = Field(default=4, ge=1, le=BEST)
    instruction_consistency: int | None = Field(default=4, ge=1, le=BEST)

    @model_validator(mode="after")
    def _bounds_make_sense(self) -> Reasoning:
        if self.shortest is not None and self.longest is not None and self.shortest > self.longest:
            raise ValueError("shortest is above longest: nothing could be kept")
        return self

    @property
    def judged(self) -> tuple[str, ...]:
        """The dimensions that a judge is to score."""
        return tuple(name for name in BY_JUDGE if getattr(self, name) is not None)

    def fails(self, dimensions: Mapping[str, Dimension]) -> str:
        """The name of the first dimension that misses its threshold; "" if none does."""
        for name, dimension in dimensions.items():
            if name == "length":
                low, high = self.shortest or 0, self.longest
                passed = low <= dimension.score and (high is None or dimension.score <= high)
            else:
                threshold = getattr(self, name)
                passed = threshold is None or dimension.score >= threshold
            if not passed:
                return name
        return ""


def measured(reasoning: str, question: Question) -> dict[str, Dimension]:
    """What a rule measures, in the order in which a trace is thrown out for it; linear in the length of `reasoning`."""
    units = units_of(reasoning)
    repeated = repeated_share(units, _RUN)
    steps = count_steps(reasoning)
    wanted = terms(question.question)
    low = reasoning.lower()
    found = sum(term in low for term in wanted)
    overlap = found / len(wanted) if wanted else 1.0
    return {
        "length": Dimension(score=len(units), reason="words, or Chinese characters"),
        "steps": Dimension(score=steps, reason="sentences or lines that differ"),
        "diversity": Dimension(score=round(1 - repeated, 4), reason=f"{repeated:.0%} of runs of {_RUN} words repeat"),
        "term_overlap": Dimension(score=round(overlap, 4), reason=f"{found} of {len(wanted)} terms of the question"),
    }


def count_steps(reasoning: str) -> int:
    """The number of sentences or lines that say something and differ from all before them.

    An enumeration in front ("1.", "Step 2:", "第三步") does not count as a difference.
    """
    steps = set()
    for sentence in _SENTENCE_END.split(reasoning):
        if len(sentence) < 4:  # nothing, or an enumeration
            continue
        said = sentence[_ENUMERATION.match(sentence).end() :].strip()  # type: ignore[union-attr]  # it matches ""
        if (
            len(said) >= _SHORTEST_STEP
            or len(said.encode("utf-8", "replace")) >= _SHORTEST_STEP
            or _EQUATION.search(said)
        ):
            steps.add(said.lower())
    return len(steps)


def terms(question: str) -> set[str]:
    """The terms of a question: English words of four letters and more, Chinese pairs of characters, function words out.

    Pairs need no word list, and a term of any length is found by its pairs.
    """
    low = question.lower()
    found = {word for word in _WORD.findall(low) if word not in _STOP_WORDS}
    for run in _HAN.findall(low):
        pairs = (run[at : at + 2] for at in range(len(run) - 1))
        found.update(pair for pair in pairs if not _STOP_CHARACTERS.intersection(pair))
    return found


def reasoning_shown(trace: Trace, question: Question) -> str:
    """What a judge of reasoning is shown: the task as the teacher got it, the reasoning, the answer, as data."""
    texts = {"task": user_message(question), "reasoning": trace.reasoning, "answer": trace.answer}
    return shown_as_data(texts, _LONGEST)


def read_dimensions(content: str) -> dict[str, Dimension] | None:
    """The dimensions of `BY_JUDGE` in a judge's message; None unless all are there, each a whole number 1 to 5."""
    said = one_object(content)
    if said is None:
        return None
    found = {name: _dimension(said.get(name)) for name in BY_JUDGE}
    readable = {name: dimension for name, dimension in found.items() if dimension is not None}
    return readable if len(readable) == len(BY_JUDGE) else None


def _dimension(said: Any) -> Dimension | None:
    score = said.get("score") if isinstance(said, dict) else None
    if not isinstance(score, int | float) or isinstance(score, bool) or score not in range(1, BEST + 1):
        return None
    return Dimension(score=score, reason=short_reason(said.get("reason", "")))
