"""What commands of every part take and print."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from launch import recipe
from launch.paths import home

Recipe = Annotated[str, typer.Argument(help="The recipe: a YAML file that is one run.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; a dot goes one level down.")
]


def absolute(path: str) -> str:
    """The recipe as the user names it, before the command goes to the home folder, where recipes' paths start."""
    found = recipe.find(path)
    os.chdir(home())
    return str(found)


def print_summary(summary: dict[str, Any]) -> None:
    """A stage's counts as JSON on standard output, for people and programs."""
    typer.echo(json.dumps(summary, ensure_ascii=False, indent=1, default=str))


def show_report(summary: dict[str, Any]) -> None:
    """What the report says, and where its page is."""
    from launch.report import terminal

    console = Console()
    console.print(terminal(summary["summary"]))
    console.print(str(Path(summary["report"]).resolve()), highlight=False, soft_wrap=True)
