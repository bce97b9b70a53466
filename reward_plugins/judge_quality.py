"""How far a judge can be trusted: whether it agrees with the rule, with itself, and can be read at all."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from reward_plugins.agreement import cohen_kappa, wilson

_T = TypeVar("_T")


class Sample(Generic[_T]):
    """At most `size` of the things that it is given, drawn by a hash of their ids: a fair sample in one pass."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, int, _T]] = []
        self._given = 0

    def __len__(self) -> int:
        """How many are drawn."""
        return len(self._heap)

    def offer(self, thing_id: str, thing: _T) -> None:
        """Take the thing into the draw."""
        self._given += 1
        drawn = -int.from_bytes(hashlib.blake2b(thing_id.encode("utf-8", "replace"), digest_size=8).digest(), "big")
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (drawn, self._given, thing))
        elif self._size and drawn > self._heap[0][0]:
            heapq.heapreplace(self._heap, (drawn, self._given, thing))

    def drawn(self) -> list[_T]:
        """The sample, in the order of the hashes."""
        return [thing for *_, thing in sorted(self._heap, key=lambda each: (-each[0], each[1]))]


def share(part: int, whole: int) -> dict[str, Any]:
    """A share with its 95% interval (Wilson), as JSON values; the share is None for nothing."""
    if not whole:
        return {"share": None, "n": 0}
    low, high = wilson(part, whole)
    return {"share": round(part / whole, 4), "low": round(low, 4), "high": round(high, 4), "n": whole}


def agreement(pairs: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    """How the judge agrees with the rule, by (rule says right, judge says right): share and kappa, as JSON values.

    `kappa` is None where it says nothing (no rows, or both gave all rows one verdict).
    """
    kappa = cohen_kappa(pairs)
    said: dict[str, float | None] = {"kappa": None}
    if kappa is not None:
        ends = {"kappa": kappa.value, "kappa_low": kappa.low, "kappa_high": kappa.high}
        said = {name: round(value, 4) for name, value in ends.items()}
    table = {
        f"rule {'right' if rule else 'wrong'}, judge {'right' if judge else 'wrong'}": pairs.count((rule, judge))
        for rule in (True, False)
        for judge in (True, False)
    }
    return {**said, "agree": share(sum(rule == judge for rule, judge in pairs), len(pairs)), "table": table}
