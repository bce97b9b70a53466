"""The commands of results: evaluated, reported, explained."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from launch.commands.shared import Recipe, Set, absolute, print_summary, show_report
from reward_plugins.errors import Refused

app = typer.Typer(rich_markup_mode="rich")
PANEL = "Results"


@app.command("eval", rich_help_panel=PANEL)
def evaluate(
    path: Recipe,
    set_: Set = None,
    serve_recipe: Annotated[str | None, typer.Option("--serve", help="How models given by path are served.")] = None,
) -> None:
    """Evaluate models on test sets by EvalScope.

    Example: finr1 eval recipes/eval/quickstart.yaml
    """
    from launch.evaluate import run_eval

    print_summary(run_eval(absolute(path), overrides=set_, serve=serve_recipe))


@app.command(rich_help_panel=PANEL)
def report(
    paths: Annotated[list[str], typer.Argument(help="A report recipe, or folders with evaluations in them.")],
    set_: Set = None,
) -> None:
    """Write the report: did it get better, and how sure are we?

    Example: finr1 report recipes/eval/quickstart_report.yaml
    Example: finr1 report runs/quickstart/eval --set base=base
    """
    from launch.report.command import run_report

    folders = [str(Path(path).resolve()) for path in paths if Path(path).is_dir()]
    if len(folders) < len(paths) and len(paths) > 1:
        raise Refused("give one report recipe, or folders with evaluations in them, not both and not several recipes")
    show_report(run_report(*(folders or [absolute(paths[0])]), overrides=set_))


@app.command(rich_help_panel=PANEL)
def explain(
    response: Annotated[str, typer.Argument(help="The completion, or - for standard input.")],
    gold: Annotated[str, typer.Option(help="The gold answer.")],
    question: Annotated[str, typer.Option(help="The question, for units and wording.")] = "",
    meta: Annotated[str, typer.Option(help="What the data set states, as a JSON object.")] = "",
) -> None:
    """Say for one completion what was found, compared and decided.

    Example: finr1 explain "<think>...</think><answer>12000万元</answer>" --gold 1.2亿元
    """
    from reward_plugins import explain as explained

    try:
        stated = json.loads(meta) if meta else None
    except ValueError:
        stated = ""
    if stated is not None and not isinstance(stated, dict):
        raise Refused('--meta takes a JSON object, such as \'{"unit": "%"}\'')
    text = sys.stdin.read() if response == "-" else response
    typer.echo(explained(text, gold, question=question, meta=stated))
