"""The commands of the data: from sources to training sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launch.commands.shared import Recipe, Set, absolute, print_summary
from reward_plugins.errors import Refused

app = typer.Typer(rich_markup_mode="rich")
PANEL = "Data"

SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out lines that cannot be read, and count them.")]
Engine = Annotated[str, typer.Option(help="cores (this machine's), or ray (a cluster's).")]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="With --engine ray: the cluster (default: one of this machine alone)."),
]


@app.command(rich_help_panel=PANEL)
def prepare(path: Recipe, set_: Set = None) -> None:
    """Turn sources into questions, split by document.

    Example: finr1 prepare recipes/distill/quickstart_prepare.yaml
    """
    from launch.stages import run_prepare

    print_summary(run_prepare(absolute(path), overrides=set_))


@app.command(rich_help_panel=PANEL)
def distill(
    path: Recipe,
    set_: Set = None,
    skip_bad: SkipBad = False,
    write_batches: Annotated[
        bool, typer.Option("--write-batches", help="Write what is missing as files for the endpoint's batch API.")
    ] = False,
    read_batches: Annotated[
        list[Path] | None,
        typer.Option("--read-batches", metavar="FILE", help="Read a result file of a batch (repeat)."),
    ] = None,
) -> None:
    """Ask teachers for reasoning traces; started again, it asks only what is missing.

    Example: finr1 distill recipes/distill/quickstart_distill.yaml
    """
    from launch.stages import run_distill

    if write_batches and read_batches:
        raise Refused(
            "--write-batches and --read-batches are two commands: read first, then write what is still missing"
        )
    results = [file.absolute() for file in read_batches or []]
    name = absolute(path)
    print_summary(
        run_distill(name, overrides=set_, skip_bad=skip_bad, write_batches=write_batches, read_batches=results)
    )


@app.command(rich_help_panel=PANEL)
def screen(
    path: Recipe,
    set_: Set = None,
    skip_bad: SkipBad = False,
    no_judge: Annotated[bool, typer.Option("--no-judge", help="Let the rules alone decide; nobody is asked.")] = False,
    engine: Engine = "cores",
    address: Address = None,
) -> None:
    """Keep the traces whose answer is right, whose form is sound, and whose reasoning is worth learning from.

    Example: finr1 screen recipes/distill/quickstart_screen.yaml
    """
    from launch.stages import run_screen

    name = absolute(path)
    print_summary(
        run_screen(name, overrides=set_, skip_bad=skip_bad, no_judge=no_judge, engine=engine, address=address)
    )


@app.command(rich_help_panel=PANEL)
def overlap(
    path: Recipe, set_: Set = None, skip_bad: SkipBad = False, engine: Engine = "cores", address: Address = None
) -> None:
    """Find training questions that stand in a test set, or repeat an earlier one, and show the pairs.

    Example: finr1 overlap recipes/distill/overlap.yaml
    """
    from launch.stages import run_overlap

    print_summary(run_overlap(absolute(path), overrides=set_, skip_bad=skip_bad, engine=engine, address=address))


@app.command(rich_help_panel=PANEL)
def export(
    path: Recipe, set_: Set = None, skip_bad: SkipBad = False, engine: Engine = "cores", address: Address = None
) -> None:
    """Write the sets that LLaMA-Factory, GRPO and EvalScope read, with their manifest.

    Example: finr1 export recipes/distill/quickstart_export.yaml
    """
    from launch.stages import run_export

    print_summary(run_export(absolute(path), overrides=set_, skip_bad=skip_bad, engine=engine, address=address))
