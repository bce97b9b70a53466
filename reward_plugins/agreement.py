"""How far two raters agree on the same rows, and how sure a share is.

Sources: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927); J. Cohen,
"A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054
"""The 97.5% point of the normal distribution."""


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95% Wilson score interval of `right` out of `n` > 0 independent rows."""
    share = right / n
    centre = share + Z95**2 / (2 * n)
    spread = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    scale = 1 + Z95**2 / n
    # 0 of n and n of n end exactly at 0 and 1, which rounding would miss by a hair.
    return (centre - spread) / scale if right else 0.0, (centre + spread) / scale if right < n else 1.0


@dataclass(frozen=True)
class Kappa:
    """Cohen's kappa of two raters with its 95% interval; `agreed` of `n` rows, `chance` of them expected by chance."""

    value: float
    low: float
    high: float
    n: int
    agreed: int
    chance: float


def cohen_kappa(pairs: Sequence[tuple[bool, bool]]) -> Kappa | None:
    """Kappa of yes-or-no ratings; None where it says nothing: no rows, or both raters gave all rows one rating.

    The interval is that of the observed agreement (Wilson's, which does not shrink to a point where all rows agree),
    with the agreement by chance taken as known, as in Cohen's own standard error.
    """
    n = len(pairs)
    if n == 0:
        return None
    first, second = sum(a for a, _ in pairs) / n, sum(b for _, b in pairs) / n
    chance = first * second + (1 - first) * (1 - second)
    if chance == 1:
        return None
    agreed = sum(a == b for a, b in pairs)
    low, high = ((share - chance) / (1 - chance) for share in wilson(agreed, n))
    return Kappa((agreed / n - chance) / (1 - chance), max(low, -1.0), high, n, agreed, chance)
