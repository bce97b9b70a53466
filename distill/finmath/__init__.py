"""Finance problems made by program, in Chinese and English, with computed golds and worked solutions.

    from distill.finmath import generate
    for question in generate(300, seed=1, split="train"): ...

A kind is one decorated function in the module of its field: it draws numbers from the `Draft`, writes the question
in both languages from the same numbers, and works the answer out in exact terms, which become the solution as well.
Adding a kind is adding such a function.
"""

from distill.finmath import (  # noqa: F401  (importing a field registers its kinds)
    banking,
    bonds,
    dupont,
    growth,
    judgement,
    loans,
    per_share,
    portfolio,
    reporting,
    units,
    valuation,
)
from distill.finmath.generation import LANGUAGES, LEVELS, SPLITS, VERSION, generate, split_of
from distill.finmath.kinds import KINDS, Kind

__all__ = ["KINDS", "LANGUAGES", "LEVELS", "SPLITS", "VERSION", "Kind", "generate", "split_of"]
