"""Which rows go into a set, and for each that does not, why.

Of every kept trace exactly one thing is said, chosen or a reason; so it is of every question for GRPO: the counts of a
set add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from distill.export.pool import Candidate, Pool, drawn
from distill.export.settings import Settings
from distill.journal import traces_at
from distill.prompts import messages, read_prompt
from distill.questions import check_meta
from distill.records import Question, Trace
from distill.reply import completion
from distill.tokens import Talk, TokenCounter
from reward_plugins import verify
from reward_plugins.completion import parse
from reward_plugins.errors import Refused

# Questions whose rows are measured in one go: enough for all cores, and a few megabytes of text.
_BATCH = 256

# Right for no question: where the rule cannot even call this wrong, it could reward nothing but the gold's own words.
_NONSENSE = "blorp 17 quux"


class Pair(NamedTuple):
    """A kept and a wrong trace of one question."""

    chosen: Candidate
    rejected: Candidate


class Choice:
    """Chooses rows from a pool. `left_out` is filled with counts by reason, "sft: ...", "grpo: ..." and "dpo: ..."."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool
        self._rank = {name: place for place, name in enumerate(settings.prefer)}
        self.system = read_prompt(settings.system_prompt)
        self.tokens = TokenCounter(settings.tokenizer) if settings.tokenizer else None
        self.left_out: Counter[str] = Counter()

    def sft(self) -> list[Candidate]:
        """The SFT traces, in the order of question id, teacher and sample. Raises `Refused` if there is none."""
        if self._pool.gone:
            self.left_out["sft: question is gone"] = self._pool.gone
        chosen: list[Candidate] = []
        taken = 0
        for question_ids in _batches(drawn(self._free(self._pool.kept, "sft", rows=True), self._settings.seed)):
            if taken == self._settings.sft_limit:
                self.left_out["sft: beyond sft_limit"] += sum(len(self._pool.kept[each]) for each in question_ids)
                continue
            for said in self._fitting(question_ids):
                if taken == self._settings.sft_limit:
                    self.left_out["sft: beyond sft_limit"] += len(said)
                    continue
                fit = [candidate for candidate, reason in said if not reason]
                self.left_out.update(f"sft: {reason}" for _, reason in said if reason)
                chosen += fit
                taken += bool(fit)
        if not chosen:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
            raise Refused(
                f"{self._settings.verdicts}: no trace is left to train on ({reasons or 'none was kept'}); "
                "ask a better teacher, or add the teacher of kind reference"
            )
        return sorted(chosen)

    def grpo(self, trained: set[str]) -> list[str]:
        """The ids of the GRPO questions, in order; `trained` are those that gave an SFT row."""
        chosen: list[str] = []
        if self._settings.rl == "none":
            return chosen
        for question_ids in _batches(drawn(self._free(self._pool.ids, "grpo"), self._settings.seed)):
            wanted = [each for each in question_ids if not self._unwanted_for_rl(each in trained)]
            if len(wanted) < len(question_ids):
                reason = self._unwanted_for_rl(self._settings.rl == "unkept")
                self.left_out[f"grpo: {reason}"] += len(question_ids) - len(wanted)
            full = len(chosen) == self._settings.rl_limit
            unfit = [""] * len(wanted) if full else self._unfit_for_rl(wanted)
            for question_id, reason in zip(wanted, unfit, strict=True):
                if len(chosen) == self._settings.rl_limit:
                    reason = "beyond rl_limit"
                if reason:
                    self.left_out[f"grpo: {reason}"] += 1
                else:
                    chosen.append(question_id)
        return sorted(chosen)

    def dpo(self) -> list[Pair]:
        """Pairs in the order of question id; counts questions. Raises `Refused` if pairs are wanted and none is left."""
        pairs: list[Pair] = []
        if not self._settings.dpo_per_question:
            return pairs
        taken = 0
        for question_id in drawn(self._free(self._pool.kept, "dpo"), self._settings.seed):
            if taken == self._settings.dpo_limit:
                self.left_out["dpo: beyond dpo_limit"] += 1
                continue
            wrong = self._best_first(self._pool.wrong.get(question_id, []))
            bad = list(self._usable(question_id, wrong))
            good = list(self._usable(question_id, self._best_first(self._pool.kept[question_id]))) if bad else []
            found = [Pair(*pair) for pair in zip(good, bad, strict=False)][: self._settings.dpo_per_question]
            pairs += found
            taken += bool(found)
            if not found:
                reason = "longer than cutoff_len, or not in form" if wrong else "no wrong answer to set against"
                self.left_out[f"dpo: {reason}"] += 1
        if not pairs:
            raise Refused(
                f"{self._settings.verdicts}: no question has a kept and a usable wrong trace for a pair; take more "
                "samples of each question, or set dpo_per_question: 0"
            )
        return sorted(pairs)

    def _free(self, question_ids: Iterable[str], kind: str, rows: bool = False) -> Iterator[str]:
        """The questions that no overlap bars; the others are counted, with `rows` by their kept traces."""
        for question_id in question_ids:
            why = self._pool.barred.get(hash(question_id))
            if why is None:
                yield question_id
            else:
                self.left_out[f"{kind}: {why}"] += len(self._pool.kept[question_id]) if rows else 1

    def _best_first(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        last = len(self._rank)
        return sorted(candidates, key=lambda each: (self._rank.get(each.teacher, last), each.teacher, each.sample))

    def _fitting(self, question_ids: Sequence[str]) -> Iterator[list[tuple[Candidate, str]]]:
        """For each question all its kept traces, the best first, each with why it is left out, or "".

        Measured in rounds, the best trace of every question first, so that none is measured that is not needed.
        """
        limit = self._settings.max_per_question
        waiting = {each: self._best_first(self._pool.kept[each])[::-1] for each in question_ids}
        said: dict[str, list[tuple[Candidate, str]]] = {each: [] for each in question_ids}
        room = dict.fromkeys(question_ids, limit)
        while round_ := [waiting[each].pop() for each in question_ids if room[each] and waiting[each]]:
            for candidate, long in zip(round_, self._too_long(round_), strict=True):
                said[candidate.question_id].append((candidate, "longer than cutoff_len" if long else ""))
                room[candidate.question_id] -= not long
        for each in question_ids:
            yield said[each] + [(candidate, "more than max_per_question") for candidate in waiting[each]]

    def _too_long(self, candidates: Sequence[Candidate]) -> list[bool]:
        if self.tokens is None or self._settings.cutoff_len is None:
            return [False] * len(candidates)
        traces = traces_at(self._settings.traces, [candidate.offset for candidate in candidates])
        return self.tokens.longer([self.talk(trace) for trace in traces], self._settings.cutoff_len)

    def talk(self, trace: Trace) -> Talk:
        """What the student is trained on for a trace."""
        question = self._pool.question(trace.question_id)
        return Talk(messages(question, self.system), completion(trace.reasoning, trace.answer))

    def _usable(self, question_id: str, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        """Those that are in form, end of themselves and are not too long, at most as many as pairs are wanted."""
        found = 0
        for candidate in candidates:
            if found == self._settings.dpo_per_question:
                return
            (trace,) = traces_at(self._settings.traces, [candidate.offset])
            if trace.finish_reason == "length" or not parse(trace.response).strict or any(self._too_long([candidate])):
                continue
            found += 1
            yield candidate

    def _unwanted_for_rl(self, trained: bool) -> str:
        """Why the policy keeps a question out of GRPO; "" if it does not."""
        if self._settings.rl == "unkept" and trained:
            return "trained on in SFT"
        return "gave no SFT row" if self._settings.rl == "kept" and not trained else ""

    def _unfit_for_rl(self, question_ids: Sequence[str]) -> list[str]:
        """Why each question cannot be rewarded; "" if it can."""
        questions = [self._pool.question(each) for each in question_ids]
        unfit = [_no_ground_for_a_reward(question, self._settings.rl_judged) for question in questions]
        if self.tokens and self._settings.prompt_cutoff:
            talks = [Talk(messages(question, self.system)) for question in questions]
            for at, long in enumerate(self.tokens.longer(talks, self._settings.prompt_cutoff)):
                unfit[at] = unfit[at] or ("longer than prompt_cutoff" if long else "")
        return unfit


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


def _batches(question_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(question_ids), _BATCH):
        yield question_ids[start : start + _BATCH]
