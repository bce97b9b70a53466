"""`finr1 check`: what a recipe will do, said before it does it."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from launch import check, recipe
from launch.check.finding import State, of
from launch.check.kinds import kind_of, look_over, look_over_pipeline
from launch.paths import home
from reward_plugins import golds
from reward_plugins.errors import Refused

_COLOURS = {
    State.HOLDS: "green",
    State.NOTE: "yellow",
    State.MISTAKE: "red",
    State.LACKING: "red",
    State.UNKNOWN: "dim",
}


def inspect_recipe(
    path: str,
    overrides: list[str],
    console: Console,
    gpu: str | None = None,
    accelerate: str | None = None,
    processes: int | None = None,
    open_r1: bool = False,
) -> None:
    """Check one recipe of any kind and print all that was found.

    `gpu` describes another machine to run on ("8x80": eight cards of 80 GiB); what this one lacks does not count then.
    `accelerate`, `processes` and `open_r1` (the engine is a real open-r1) say how `finr1 grpo` will be called.

    Raises:
        Refused: all mistakes, and all that this machine lacks, each in one sentence.
    """
    machine = check.named_machine(gpu) if gpu else check.this_machine()
    place = check.Place(machine)
    asked = recipe.load(path, [])
    kind = kind_of(asked, path)
    if kind == "pipeline":
        checked = look_over_pipeline(asked, overrides, path, place)
    else:
        checked = look_over(kind, recipe.load(path, overrides), place, accelerate, processes, open_r1=open_r1)
    for key, became in checked.became:
        console.print(f"  {key:40} {became}", highlight=False, markup=False)
    table = Table(title=f"{kind} recipe {path}, on {machine.words}", title_justify="left", show_header=False, box=None)
    for finding in of(checked.findings, State.HOLDS, State.NOTE, State.UNKNOWN):
        colour = _COLOURS[finding.state]
        table.add_row(f"[{colour}]{finding.state.value}[/{colour}]", finding.about, escape(finding.said))
    console.print(table)
    _tokens(checked, console)
    wrong, lacks = of(checked.findings, State.MISTAKE), of(checked.findings, State.LACKING)
    if not wrong and not lacks:
        console.print("nothing to mend", style="green")
        return
    if checked.passes(elsewhere=gpu is not None):
        for finding in lacks:
            console.print(f"not on this machine: {finding.said}", highlight=False, markup=False)
        console.print("nothing to mend in the recipe", style="green")
        return
    lines = [f"{finding.said}" for finding in wrong] + [f"{finding.said} (this machine)" for finding in lacks]
    count = f"{len(lines)} things to mend" if len(lines) > 1 else "one thing to mend"
    raise Refused(f"{path}: {count}\n" + "\n".join(f"- {line}" for line in lines))


def inspect_golds(name: str, console: Console) -> None:
    """Print which golds of a set the verifier refuses as their own answer, by reason.

    `name` is a set under `datasets/`, a set's folder, or one JSON Lines file of questions or GRPO rows.

    Raises:
        Refused: no such set, or a line that cannot be read.
    """
    place = next((path for path in (Path(name), home() / "datasets" / name) if path.exists()), None)
    if place is None:
        raise Refused(f"no set or file called {name}; give a name under datasets/, a folder, or a JSONL file")
    files = [place] if place.is_file() else sorted(place.glob("*.jsonl")) + sorted(place.glob("[gt]*/*.jsonl"))
    if not files:
        raise Refused(f"{place} holds no .jsonl file of questions or GRPO rows")
    for file in files:
        rows = check.first_rows(file, sys.maxsize)
        reasons: dict[str, list[str]] = {}
        for row, reason in golds.check(rows):
            reasons.setdefault(reason.split(":")[0], []).append(row)
        refused = sum(map(len, reasons.values()))
        console.print(f"{file}: {len(rows) - refused} of {len(rows)} golds are accepted as their own answer")
        for reason, names in sorted(reasons.items(), key=lambda each: -len(each[1])):
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            console.print(
                f"  {len(names):5}  {reason}: {', '.join(names[:_NAMED])}{more}", highlight=False, markup=False
            )


_NAMED = 10
"""Rows that are named for each reason; the rest are counted."""


def _tokens(checked: check.Checked, console: Console) -> None:
    """The first conversation token by token; what the model reads, then what it is trained to write."""
    if not checked.shown:
        return
    first = checked.shown[0]
    console.print(f"the string that the model sees ({len(first.prompt)} tokens), the same in training and use:")
    text = "|".join(repr(token)[1:-1] for token in first.tokens[: len(first.prompt)])
    answer = "|".join(repr(token)[1:-1] for token in first.tokens[len(first.prompt) :])
    console.print(f"[dim]{escape(text)}[/dim]", highlight=False)
    console.print(f"[bold]{escape(answer)}[/bold]", highlight=False)
