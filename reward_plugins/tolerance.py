"""When two numbers are the same answer: by the digits that were written, never by a flat percentage.

A flat 1% takes 12.47 for 12.4 and refuses 7% for 0.06757, the commonest gold of FinQA. Digits carry their own
tolerance: half of the last place that the gold shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

_HALF = Decimal("0.5")
# Room for values that went through binary floats on their way into a data set, as a part of the last place.
_FLOAT = Decimal("1e-7")
# A rounding that keeps four significant digits loses at most 0.05%, less than statements themselves are rounded by.
_FOUR_DIGITS = 1000
# A gold of 0 has no digits to round to: what would be shown as 0.00 in a statement (or 0.0%) is zero.
ZERO = Decimal("0.0005")

# Decimals keep 28 digits in a product; two thirds written twice differ beyond them.
_PRECISION = Decimal("1e-24")


@dataclass(frozen=True, slots=True)
class Target:
    """A gold value and the size of its last place, in base units; `source` says which field states it."""

    value: Decimal
    place: Decimal
    source: str


def same(
    value: Decimal, place: Decimal, targets: Sequence[Target], unit: Decimal = Decimal(1), exact: bool = False
) -> tuple[bool, str]:
    """Whether `value`, written down to `place`, is the value of `targets` (the finest first); and why.

    `targets` are statements of one value with different numbers of digits. `unit` is the size of the gold's unit, in
    which the tolerance for a gold of 0 is meant. `exact`: the gold counts whole units, which no measurement rounds to.
    """
    finest = targets[0]
    off = abs(value - finest.value)
    if finest.value == 0:
        return off <= ZERO * unit, f"a gold of 0 allows {ZERO} either way"
    if off <= abs(finest.value) * _PRECISION:
        return True, "the same number"
    for coarse in targets[1:]:
        if value == coarse.value:
            return True, f"the same number as the data set's {coarse.source}"
    if exact:
        return False, "another number of whole units"
    if place <= finest.place:
        agrees = _rounds(value, finest.value, finest.place)
        return agrees, "rounds to the gold's digits" if agrees else "another number at the gold's digits"
    if not _rounds(finest.value, value, place):
        return False, "not the gold rounded to the digits given"
    if any(coarse.place >= place for coarse in targets[1:]):
        return True, f"rounded no further than the data set's {targets[-1].source}"
    if abs(value) >= place * _FOUR_DIGITS:
        return True, "rounded with four significant digits left"
    return False, "rounded to fewer digits than the gold, which loses too much"


def _rounds(exact: Decimal, shown: Decimal, place: Decimal) -> bool:
    """Whether `exact` rounds to `shown` at `place`; a tie may be rounded half up or half to even, both are in use."""
    off, half = abs(exact - shown), place * _HALF
    if abs(off - half) > place * _FLOAT:
        return off < half
    return abs(exact) < abs(shown) or place == 0 or (shown / place).to_integral_value() % 2 == 0
