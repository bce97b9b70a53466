"""Which rows go into a set, and for each that does not, why.

Of every kept trace exactly one thing is said, chosen or a reason; so it is of every question for GRPO: the counts of a
set add up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from distill.export.fit import Bounds, Ranked, talk_of, unfit, unfit_for_rl, unfit_for_sft
from distill.export.pool import Candidate, Pool, drawn
from distill.export.settings import Settings
from distill.journal import traces_at
from distill.records import Trace
from distill.spread import Engine
from distill.tokens import Talk, TokenCounter
from reward_plugins.completion import parse
from reward_plugins.errors import Refused


class Pair(NamedTuple):
    """A kept and a wrong trace of one question."""

    chosen: Candidate
    rejected: Candidate


class Choice:
    """Chooses rows from a pool. `left_out` is filled with counts by reason, "sft: ...", "grpo: ..." and "dpo: ..."."""

    def __init__(self, settings: Settings, pool: Pool, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._bounds = Bounds.of(settings)
        self._pool = pool
        self._rank = {name: place for place, name in enumerate(settings.prefer)}
        self.system = self._bounds.system
        self.tokens = TokenCounter(settings.tokenizer) if settings.tokenizer else None
        self.left_out: Counter[str] = Counter()

    def sft(self) -> list[Candidate]:
        """The SFT traces, in the order of question id, teacher and sample. Raises `Refused` if there is none."""
        if self._pool.gone:
            self.left_out["sft: question is gone"] = self._pool.gone
        chosen: list[Candidate] = []
        taken = 0
        order = drawn(self._free(self._pool.kept, "sft", rows=True), self._settings.seed)
        rows = (Ranked(self._offset(each), [one.offset for one in self._ranked(each)]) for each in order)
        with closing(self._engine.map(unfit_for_sft, self._bounds, rows, len(order))) as measured:
            for question_id in order:
                if taken == self._settings.sft_limit:
                    self.left_out["sft: beyond sft_limit"] += len(self._pool.kept[question_id])
                    continue
                ranked, told = self._ranked(question_id), next(measured)
                fit = [candidate for candidate, why in zip(ranked, told, strict=False) if not why]
                self.left_out.update(f"sft: {why}" for why in told if why)
                self.left_out["sft: more than max_per_question"] += len(ranked) - len(told)
                chosen += fit
                taken += bool(fit)
        self.left_out += Counter()  # takes out what was counted as none
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
        order = drawn(self._free(self._pool.ids, "grpo"), self._settings.seed)
        wanted = [each for each in order if not self._unwanted_for_rl(each in trained)]
        if len(wanted) < len(order):
            reason = self._unwanted_for_rl(self._settings.rl == "unkept")
            self.left_out[f"grpo: {reason}"] = len(order) - len(wanted)
        offsets = map(self._offset, wanted)
        with closing(self._engine.map(unfit_for_rl, self._bounds, offsets, len(wanted))) as unfit:
            for question_id in wanted:
                full = len(chosen) == self._settings.rl_limit
                if reason := "beyond rl_limit" if full else next(unfit):
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
            good = list(self._usable(question_id, self._ranked(question_id))) if bad else []
            found = [Pair(*pair) for pair in zip(good, bad, strict=False)][: self._settings.dpo_per_question]
            pairs += found
            taken += bool(found)
            if not found:
                reason = "too long, not in form, or with a control token" if wrong else "no wrong answer to set against"
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

    def _ranked(self, question_id: str) -> list[Candidate]:
        return self._best_first(self._pool.kept[question_id])

    def _offset(self, question_id: str) -> int:
        offset = self._pool.questions.offset(question_id)
        assert offset is not None, question_id
        return offset

    def _is_unfit(self, trace: Trace) -> bool:
        return self.tokens is not None and any(
            unfit(self.tokens, [self.talk(trace)], self._settings.cutoff_len, "cutoff_len")
        )

    def talk(self, trace: Trace) -> Talk:
        """What the student is trained on for a trace."""
        question = self._pool.question(trace.question_id)
        return talk_of(trace, question, self.system)

    def _usable(self, question_id: str, candidates: Sequence[Candidate]) -> Iterator[Candidate]:
        """Those that are in form, end of themselves and are not too long, at most as many as pairs are wanted."""
        found = 0
        for candidate in candidates:
            if found == self._settings.dpo_per_question:
                return
            (trace,) = traces_at(self._settings.traces, [candidate.offset])
            if trace.finish_reason == "length" or not parse(trace.response).strict or self._is_unfit(trace):
                continue
            found += 1
            yield candidate

    def _unwanted_for_rl(self, trained: bool) -> str:
        """Why the policy keeps a question out of GRPO; "" if it does not."""
        if self._settings.rl == "unkept" and trained:
            return "trained on in SFT"
        return "gave no SFT row" if self._settings.rl == "kept" and not trained else ""
