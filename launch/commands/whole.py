"""The commands about all of it: a whole pipeline, and the machine."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from launch.commands.shared import Recipe, Set, absolute, show_report

app = typer.Typer(rich_markup_mode="rich")
PANEL = "All of it"


@app.command(rich_help_panel=PANEL)
def run(path: Recipe, set_: Set = None) -> None:
    """Run a whole pipeline; the same command goes on after any stop.

    Example: finr1 run recipes/pipelines/quickstart.yaml
    """
    from launch.pipeline import run as run_pipeline
    from launch.stages import STAGES, read_over

    done = run_pipeline(absolute(path), set_ or [], STAGES, read_over)
    for name, summary in done.items():
        if name.endswith("-report"):
            show_report(summary)


@app.command(rich_help_panel=PANEL)
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Say what this machine has and lacks: compilers, memory, disk, GPUs, stacks and their versions, ports.

    Exit code 2 if something is missing that everybody needs.

    Example: finr1 doctor
    """
    from launch.doctor import examine

    if not examine(Console(), as_json):
        raise typer.Exit(2)
