"""The scale that a FinQA page states for the figures of a program, as "( in millions )"; only where nothing else can be.

A scale that is wrong makes right answers wrong, so each rule below rather gives none: one statement of scale on the
whole page, in the table or right before it; a program that only adds, subtracts and averages figures of that table;
and no row, column or question that speaks of shares, rates, counts or years.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from distill.sources.finqa_program import calls_of, first_number

_STATED = re.compile(r"\bin (?:\w+ ){0,2}?(thousand|million|billion)s\b|\( ?\$? ?(thousand|million|billion)s ?\)")
_PLURAL = re.compile(r"(?P<before>[^.;]{0,40})\b(?P<scale>thousand|million|billion)s\b(?P<after>[^.;]{0,20})")
# What is counted in other units than money, or is no amount; a scale beside it is not that of the figures.
_OTHER = re.compile(
    r"%|\b(?:per|percent|percentage|shares?|units?|rates?|spreads?|margins?|ratios?|years?|months?|days|number|how many|employees|prices?|yield|"
    r"volatility|life|terms?|stores|barrels?|boe|mmboe|bcf|tons?|tonnes|gallons|square|feet|acres|multiple|basis points|"
    r"customers|subscribers|members|aircraft|mwh|gwh|megawatts?|options?|awards|volume|index|hours|contracts|properties|"
    r"locations|rooms|facilities|factor|times)\b"
)
_AFTER_OTHER = re.compile(r"^ of (?!(?:u\.s\. |us )?dollars)|^ ,? ?(?:shares|units|barrels)\b")
_LINEAR = frozenset({"add", "subtract"})
_OVER_A_ROW = frozenset({"table_sum", "table_average", "table_max", "table_min"})
_MOST_AVERAGED = 12  # dividing by so small a count is an average; by a thousand, it is a change of scale


def stated_scale(program: str, table: Sequence[Sequence[object]], before: str, page: str, question: str) -> str:
    """ "thousand", "million" or "billion" where the page states it beyond doubt for the program's result; else "".

    `before` is the text right before the table, `page` the whole page as text.
    """
    grid = [[str(cell).lower() for cell in row] for row in table]
    close = " ".join(cell for row in grid for cell in row) + " " + before.lower()
    stated = {match[1] or match[2] for match in _STATED.finditer(close)}
    if len(stated) != 1 or _OTHER.search(question.lower()) or _PLURAL.search(question.lower()):
        return ""
    for mention in _PLURAL.finditer(page.lower()):
        other = _OTHER.search(mention["before"].rpartition("except")[2]) or _AFTER_OTHER.search(mention["after"])
        if mention["scale"] not in stated or other:
            return ""
    return stated.pop() if _amounts_only(program, grid) else ""


def _amounts_only(program: str, grid: list[list[str]]) -> bool:
    calls = calls_of(program)
    if not calls:
        return False
    for name, first, second in calls:
        if name in _OVER_A_ROW:
            rows = [row for row in grid if row and row[0].strip() == first.strip()]
            if len(rows) != 1 or _OTHER.search(" ".join([*rows[0], *grid[0]])):
                return False
        elif name == "divide":
            count = second.strip().removeprefix("const_")
            if not first.startswith("#") or not count.isdigit() or not 2 <= int(count) <= _MOST_AVERAGED:
                return False
        elif name not in _LINEAR or not all(_amount(argument.strip(), grid) for argument in (first, second)):
            return False
    return True


def _amount(argument: str, grid: list[list[str]]) -> bool:
    """Whether an argument is an earlier result, or a figure that stands in the table as an amount and nowhere else."""
    if argument.startswith("#"):
        return True
    if argument.startswith("const_") or "%" in argument:
        return False
    cells = list(_places(argument, grid))
    return bool(cells) and all(
        row > 0 and column > 0 and not _OTHER.search(f"{grid[row][0]} {grid[row][column]} {_header(grid, column)}")
        for row, column in cells
    )


def _places(argument: str, grid: list[list[str]]) -> Iterator[tuple[int, int]]:
    wanted = first_number(argument)
    for row, cells in enumerate(grid):
        for column, cell in enumerate(cells):
            found = first_number(cell)
            if wanted is not None and found is not None and abs(found) == abs(wanted):
                yield row, column


def _header(grid: list[list[str]], column: int) -> str:
    return grid[0][column] if column < len(grid[0]) else ""
