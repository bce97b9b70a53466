"""FinQA's gold programs, worked out step by step in plain arithmetic.

A program is a list of calls such as `subtract(484, 500), divide(#0, 500)`: `#0` is the result of step 0, `const_100`
the number 100, `const_m1` is -1, and `table_average(row, none)` and its like take a row of the table by its name
(the operations are those of the paper's section 3).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

_CALL = re.compile(r"(\w+)\(([^()]*(?:\([^()]*\)[^()]*)*),\s*([^(),]+)\)")
_FIRST_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")

_ARITHMETIC: dict[str, tuple[str, Callable[[float, float], float]]] = {
    "add": ("+", lambda a, b: a + b),
    "subtract": ("-", lambda a, b: a - b),
    "multiply": ("*", lambda a, b: a * b),
    "divide": ("/", lambda a, b: a / b),
    "exp": ("^", math.pow),
}
_OVER_A_ROW: dict[str, Callable[[Sequence[float]], float]] = {
    "table_max": max,
    "table_min": min,
    "table_sum": sum,
    "table_average": lambda values: sum(values) / len(values),
}


def work_out(program: str, table: Sequence[Sequence[object]]) -> tuple[list[str], float | str] | None:
    """(steps as text, result) of a program; None where it cannot be followed.

    A step reads "484 - 500 = -16". The result is a number, or "yes" or "no" for `greater`.
    """
    calls = calls_of(program)
    if not calls:
        return None
    results: list[float] = []
    steps: list[str] = []
    answer: float | str = ""
    try:
        for name, first, second in calls:
            if name in _OVER_A_ROW:
                values = _row(first.strip(), table)
                answer = _OVER_A_ROW[name](values)
                shown = f"{name.removeprefix('table_')} of {', '.join(map(number, values))}"
            else:
                a, b = _value(first, results), _value(second, results)
                if name == "greater":
                    answer = "yes" if a > b else "no"
                    steps.append(f"{number(a)} > {number(b)}: {answer}")
                    results.append(0.0)
                    continue
                sign, operation = _ARITHMETIC[name]
                answer = operation(a, b)
                shown = f"{_factor(a)} {sign} {_factor(b)}"
            steps.append(f"{shown} = {number(answer)}")
            results.append(answer)
    except (KeyError, ValueError, IndexError, ArithmeticError, TypeError):
        return None
    return steps, answer


def calls_of(program: str) -> list[tuple[str, str, str]]:
    """The calls of a program as (name, first argument, second argument); [] where it is not one."""
    calls: list[tuple[str, str, str]] = _CALL.findall(program)
    return calls if len(calls) == program.count("(") - sum(call[1].count("(") for call in calls) else []


def first_number(cell: str) -> float | None:
    """The first number of a cell, as the 32 of "$ -32 ( 32 )"; None where there is none."""
    found = _FIRST_NUMBER.search(cell)
    return float(found[0].replace(",", "")) if found else None


def number(value: float) -> str:
    """A number with at most five decimals, as FinQA's own results have."""
    text = f"{value:.5f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _factor(value: float) -> str:
    return f"({number(value)})" if value < 0 else number(value)


def _value(text: str, results: list[float]) -> float:
    text = text.strip()
    if text.startswith("#"):
        return results[int(text[1:])]
    if text.startswith("const_"):
        return float(text.removeprefix("const_").replace("m", "-"))
    if text.endswith("%"):
        return float(text[:-1].replace(",", "")) / 100
    return float(text.replace(",", "").lstrip("$ "))


def _row(name: str, table: Sequence[Sequence[object]]) -> list[float]:
    """The numbers of the first row of that name; of "-32 ( 32 )" the first counts."""
    row = next((row for row in table if row and str(row[0]).strip() == name), None)
    if row is None:
        raise KeyError(name)
    cells = [(str(cell), _FIRST_NUMBER.search(str(cell))) for cell in row[1:]]
    values = [_value(match[0] + "%" * ("%" in cell), []) for cell, match in cells if match]
    if not values:
        raise ValueError(name)
    return values
