"""Numbers for level 1: what a person works out in the head, and a small language model can learn to.

Each pair of numbers comes with its shortcut, the same quotient over 100 or with the zeros struck out, which the
solution shows: "34 / 200 = 17 / 100 = 17%", "560 / 70 = 56 / 7 = 8". A model of 135M parameters that was trained on
free divisions picked the right numbers and failed in nearly every quotient; with shortcuts it has digits to copy.
"""

from __future__ import annotations

from typing import NamedTuple

from distill.finmath.arithmetic import Term, num, percentage
from distill.finmath.draft import Draft


class Quotient(NamedTuple):
    """Two whole numbers, and their quotient as it is worked out in the head."""

    top: Term
    bottom: Term
    via: Term

    @property
    def percent(self) -> Term:
        """The quotient as a percentage."""
        return percentage(self.via.value * 100)


def easy_share(d: Draft, low: int, high: int, step: int = 1) -> Quotient:
    """Two amounts of which one is `low` to `high` percent of the other, a whole percentage."""
    percent = int(d.whole(low, high, step).value)
    bottoms = [100, 200, 1000]
    if percent % 2 == 0:
        bottoms.append(50)
    if percent % 10 == 0:
        bottoms.append(10)
    if percent <= 12:  # within the multiplication table
        bottoms += [300, 400, 500, 600, 800]
    bottom = d.pick(*bottoms)
    return Quotient(num(bottom * percent // 100), num(bottom), num(percent) / 100)


def easy_times(d: Draft, low: int, high: int) -> Quotient:
    """Two amounts of which one is `low` to `high` times the other: the multiplication table with zeros behind."""
    result, divisor = int(d.whole(low, high).value), int(d.whole(2, 9).value)
    zeros = d.pick(1, 10, 100)
    return Quotient(num(result * divisor * zeros), num(divisor * zeros), num(result * divisor) / divisor)
