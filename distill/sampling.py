"""Drawing a sample that is made up like the whole, or as stated, without holding the questions."""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from distill.question_type import TYPES
from distill.records import Question

Trait = Literal["source", "type", "lang", "task", "answer_type"]
Stratum = tuple[str, ...]


class Sample(BaseModel):
    """`count` questions of all splits together, drawn from strata of equal split and equal traits `by`.

    Each stratum gives as large a part of the sample as it has of the whole. With `shares`, as `{calculation: 0.4,
    concept: 0.6}`, each type gives that part, and a type that is not named gives nothing.
    """

    model_config = ConfigDict(extra="forbid")

    count: int = Field(ge=1)
    by: tuple[Trait, ...] = ("source", "type", "lang")
    shares: dict[str, float] | None = None

    @model_validator(mode="after")
    def _shares_make_sense(self) -> Sample:
        if self.shares is None:
            return self
        if "type" not in self.by or not set(self.shares) <= set(TYPES):
            raise ValueError(f"sample: shares are of types ({', '.join(TYPES)}), and `by` then holds type")
        if any(share <= 0 for share in self.shares.values()) or abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError("sample: shares are above 0 and sum to 1")
        return self


class Drawing:
    """Which questions are in the sample; found in one pass over them, at 8 bytes a question.

    A question's rank is a hash of `seed` and its id, and each stratum gives those of the lowest rank. So the same
    questions give the same sample in whatever order they come, and a larger sample holds the smaller one's strata.
    """

    def __init__(self, sample: Sample, seed: int, questions: Iterable[Question]) -> None:
        self._sample, self._seed = sample, seed
        ranks: defaultdict[Stratum, array[int]] = defaultdict(lambda: array("Q"))
        for question in questions:
            ranks[self._stratum(question)].append(self._rank(question))
        self.sizes = {stratum: len(each) for stratum, each in sorted(ranks.items())}
        self.wanted = self._allotted()
        self._highest = {
            stratum: sorted(each)[self.wanted[stratum] - 1] for stratum, each in ranks.items() if self.wanted[stratum]
        }

    def __contains__(self, question: Question) -> bool:
        return self._rank(question) <= self._highest.get(self._stratum(question), -1)

    def _stratum(self, question: Question) -> Stratum:
        kind = str(question.meta.get("type", ""))
        return (question.split, *(kind if trait == "type" else getattr(question, trait) for trait in self._sample.by))

    def _rank(self, question: Question) -> int:
        digest = hashlib.blake2b(f"{self._seed}/sample/{question.id}".encode(), digest_size=8)
        return int.from_bytes(digest.digest(), "big")

    def _allotted(self) -> dict[Stratum, int]:
        """How many each stratum gives."""
        if self._sample.shares is None:
            return allotted(self.sizes, self._sample.count)
        place = 1 + self._sample.by.index("type")
        of_types = allotted(
            {(kind,): round(share * 10**9) for kind, share in self._sample.shares.items()}, self._sample.count
        )
        wanted = dict.fromkeys(self.sizes, 0)
        for (kind,), count in of_types.items():
            wanted |= allotted({each: size for each, size in self.sizes.items() if each[place] == kind}, count)
        return wanted


def allotted(sizes: dict[Stratum, int], count: int) -> dict[Stratum, int]:
    """`count` parted in proportion to `sizes` by largest remainders, ties in their order; never more than a size."""
    whole = sum(sizes.values())
    if count >= whole:
        return dict(sizes)
    parts = {each: divmod(count * size, whole) for each, size in sizes.items()}
    wanted = {each: part for each, (part, _) in parts.items()}
    largest = sorted(parts, key=lambda each: -parts[each][1])
    for each in largest[: count - sum(wanted.values())]:
        wanted[each] += 1
    return wanted
