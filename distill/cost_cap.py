"""Whether a cap on cost can be kept at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from distill.teachers import Teacher


def check_cap(cost_cap: Mapping[str, float], teachers: Iterable[Teacher]) -> None:
    """Raise `ValueError` for a cap (by currency) under which some teacher could be billed without a bound; {} is none."""
    if not cost_cap:
        return
    if any(not 0 < cap < float("inf") for cap in cost_cap.values()):
        raise ValueError("cost_cap: an amount above 0 for each currency")
    for teacher in teachers:
        if not teacher.is_paid:
            continue
        if teacher.prices is None:
            raise ValueError(
                f"cost_cap: teacher {teacher.name!r} has no prices; give them (0 for what costs nothing), "
                "or no cap can be kept"
            )
        if teacher.prices.currency not in cost_cap:
            raise ValueError(f"cost_cap: no cap in {teacher.prices.currency}, in which {teacher.name!r} is paid")
        if teacher.prices.completion and teacher.completion_limit() is None:
            raise ValueError(
                f"cost_cap: nothing bounds an answer of teacher {teacher.name!r}; "
                "give max_tokens, or prices.completion_limit"
            )
