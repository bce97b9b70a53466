"""`finr1 gateway RECIPE [run|check|reload|measure|watch]`: what each word does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from launch import listening, recipe
from launch.gateway import Do, running
from launch.gateway.aliases import followed
from launch.gateway.settings import GatewaySettings
from launch.paths import home


def carry_out(path: str, do: Do, overrides: Sequence[str], questions: Path | None) -> dict[str, Any] | None:
    """Do it; returns what there is to print, None after something that ran until it was stopped.

    Raises:
        Refused: the recipe, the environment or the questions are not fit for it.
        EngineFailed: HAProxy ended by itself or did not take up a new configuration.
    """
    settings = followed(recipe.settings(GatewaySettings, recipe.load(path, list(overrides)), path))
    if do is Do.measure:
        from launch.gateway.measure import OURS, measure

        return measure(settings, questions or OURS)
    quick: dict[Do, Callable[[GatewaySettings], dict[str, Any]]] = {Do.check: running.check, Do.reload: running.reload}
    if do in quick:
        return quick[do](settings)
    if do is Do.watch:
        from launch.watch.exporter import watch

        watch(settings, lambda page: typer.echo(f"metrics by version are at {page} (Ctrl-C stops the watching)"))
    else:
        _run(settings)
    return None


def _run(settings: GatewaySettings) -> None:
    with running.gateway(settings) as up:
        names = ", ".join(settings.servers)
        typer.echo(f"{names} answer at {up.url}, metrics at {up.metrics} (Ctrl-C stops the gateway)")
        listening.until_ctrl_c(up.pid, name="gateway", log=home() / settings.data / running.LOG)
