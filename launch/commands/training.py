"""The commands of training: looked over, trained, merged."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from launch.commands.shared import Recipe, Set, absolute, print_summary
from launch.paths import home
from reward_plugins.errors import Refused

app = typer.Typer(rich_markup_mode="rich")
PANEL = "Training"


class Engine(StrEnum):
    """Who carries a GRPO recipe out: the kit's stack, or a real open-r1."""

    TRL = "trl"
    OPEN_R1 = "open-r1"


@app.command(rich_help_panel=PANEL)
def check(
    path: Annotated[str, typer.Argument(help="A recipe, or the word `golds`.")],
    rows: Annotated[str | None, typer.Argument(help="With `golds`: a set's name, its folder, or a JSONL file.")] = None,
    set_: Set = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="GIB", help="For another machine: GiB of its card, or cards x GiB (8x80).")
    ] = None,
    accelerate: Annotated[str | None, typer.Option(help="GRPO: the accelerate configuration of the launch.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="GRPO: the ranks of the launch.")] = None,
    engine: Annotated[Engine, typer.Option(help="GRPO: trl, or open-r1 (a real one).")] = Engine.TRL,
) -> None:
    """Look a recipe over before it costs anything: keys, files, columns, golds, rewards, lengths, batches, memory.

    Exit code 2 if there is anything to mend. With --gpu, what this machine lacks is told and does not count.
    `finr1 check golds SET` asks of every gold whether the verifier accepts it as its own answer.

    Examples: finr1 check recipes/sft/smollm2_135m_cpu.yaml; finr1 check recipes/grpo/fin_r1_7b.yaml --gpu 8x80;
    finr1 check golds quickstart
    """
    if path == "golds":
        from launch.inspection import inspect_golds

        if rows is None:
            raise Refused("name what to check: finr1 check golds SET (a set's name, its folder, or a JSONL file)")
        inspect_golds(rows, Console())
        return
    from launch.inspection import inspect_recipe

    shape = absolute(accelerate) if accelerate else None
    inspect_recipe(absolute(path), set_ or [], Console(), gpu, shape, processes, engine is Engine.OPEN_R1)


@app.command(rich_help_panel=PANEL)
def sft(path: Recipe, set_: Set = None) -> None:
    """Fine-tune by LLaMA-Factory.

    Example: finr1 sft recipes/sft/smollm2_135m_cpu.yaml
    """
    from launch import train  # not by way of all stages, whose libraries it does not need

    print_summary(train.sft(absolute(path), set_ or []))


@app.command(rich_help_panel=PANEL)
def grpo(
    path: Recipe,
    set_: Set = None,
    accelerate: Annotated[str | None, typer.Option(help="An accelerate configuration (default: ZeRO-3).")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Ranks (default: one a GPU, two on a CPU).")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what becomes of each key, write the resolved recipe, and stop.")
    ] = False,
    engine: Annotated[Engine, typer.Option(help="trl (the kit's stack), or open-r1 (a real one).")] = Engine.TRL,
    open_r1: Annotated[
        str | None, typer.Option("--open-r1", metavar="PATH", help="Its checkout (or FINR1_OPEN_R1).")
    ] = None,
    python: Annotated[
        str | None, typer.Option(metavar="PATH", help="Its environment's Python (or FINR1_OPEN_R1_PYTHON).")
    ] = None,
) -> None:
    """Train by GRPO on TRL from an OpenR1 recipe.

    Example: finr1 grpo recipes/grpo/smollm2_135m_cpu.yaml --accelerate recipes/accelerate/cpu_zero3.yaml --processes 2
    """
    from launch.train_grpo import by_engine

    shape = absolute(accelerate) if accelerate else None
    theirs = [str(Path(place).absolute()) if place else None for place in (open_r1, python)]
    print_summary(
        by_engine(
            absolute(path),
            overrides=set_,
            accelerate=shape,
            processes=processes,
            dry_run=dry_run,
            engine=engine,
            open_r1=theirs[0],
            python=theirs[1],
        )
    )


@app.command(rich_help_panel=PANEL)
def webui(port: Annotated[int, typer.Option(min=1, max=65535, help="Where it answers on 127.0.0.1.")] = 7860) -> None:
    """Open LLaMA-Factory's own web UI with the kit's data sets, until Ctrl-C.

    Example: finr1 webui --port 7860
    """
    from launch import listening
    from launch.webui import LOG, web_ui

    os.chdir(home())
    with web_ui(port) as page:
        typer.echo(f"LLaMA-Factory's web UI is at {page.url} (Ctrl-C stops it and what it trains)")
        listening.until_ctrl_c(page.pid, name="web UI", log=home() / LOG)


@app.command(rich_help_panel=PANEL)
def merge(path: Recipe, set_: Set = None) -> None:
    """Merge a LoRA adapter into its base model.

    Example: finr1 merge recipes/sft/merge_lora.yaml --set adapter_name_or_path=runs/my-lora
    """
    from launch import train

    print_summary(train.merge(absolute(path), set_ or []))
