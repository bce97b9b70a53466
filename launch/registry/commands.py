"""`finr1 models`: the commands, and the tables that they print."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from launch.paths import home
from launch.registry.serving import link, served
from launch.registry.settings import CHAMPION, RegistrySettings

if TYPE_CHECKING:
    from launch.registry.changes import Change
    from launch.registry.store import Registry
    from launch.registry.version import Version

app = typer.Typer(no_args_is_help=True)

Word = Annotated[str, typer.Argument(metavar="VERSION", help="A version's number, or an alias.")]
Gateway = Annotated[
    str | None,
    typer.Option(metavar="RECIPE", help="Reload this running gateway, which follows the registry's aliases."),
]
Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@app.callback()
def where(
    context: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Option(help="This machine's part of the registry (default: runs/registry of the home folder)."),
    ] = None,
    uri: Annotated[
        str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="An MLflow server (default: SQLite in the folder).")
    ] = "",
    name: Annotated[str, typer.Option(help="The registered model's name.")] = "finr1",
) -> None:
    """Keep versions of a model: what each is made of, which one is served, and the way back.

    Example: finr1 models list
    """
    from launch import recipe

    asked = {"folder": (folder or home() / "runs" / "registry").absolute(), "uri": uri, "name": name}
    context.obj = recipe.settings(RegistrySettings, asked, "finr1 models")


@app.command()
def register(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="MODEL_FOLDER", help="The weights, merged and whole.")],
    run: Annotated[
        Path | None, typer.Option(help="The training run that made them (default: the folder's own manifest).")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="A folder of evaluations, as `finr1 report` takes it; these weights' are found.")
    ] = None,
    evaluated_as: Annotated[
        str, typer.Option(help="Their name in the evaluation, where they were served by address.")
    ] = "",
    parent: Annotated[str, typer.Option(metavar="VERSION", help="The version that they were trained from.")] = "",
) -> None:
    """Make a version of a model folder; called again, it adds what was not there.

    Example: finr1 models register runs/quickstart/grpo --report runs/quickstart/eval
    """
    from launch.registry import changes
    from launch.registry.parts import collect

    with _busy("reading the weights and the evaluation"):
        parts = collect(model, run, report, evaluated_as)
    with _opened(context) as registry:
        with _busy("registering"):
            change = changes.register(registry, parts, parent)
        _say(change)


@app.command("list")
def list_(context: typer.Context, as_json: Json = False) -> None:
    """Show all versions, and which one each alias stands for.

    Example: finr1 models list
    """
    with _opened(context) as registry:
        notes = _mended(registry)
        versions = registry.versions()
    if as_json:
        _print_json([_facts(version) for version in versions])
        return
    table = Table(show_edge=False, pad_edge=False)
    for heading in ("version", "stands for", "evaluation", "parent", "folder, weights, date"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "version")
    for version in versions:
        missing = "" if version.folder.is_dir() else " [red](not here)[/red]"
        table.add_row(
            str(version.number),
            "[green]" + escape("\n".join(version.aliases)) + "[/green]",
            escape(version.tags.get("scores", "none").replace(", ", "\n")),
            version.tags.get("parent", "–"),
            f"{escape(_short(version.folder))}{missing}\n{version.sha256[:12]}  {version.created:%Y-%m-%d}",
        )
    console = _console()
    console.print(table if versions else "no version yet: finr1 models register MODEL_FOLDER makes the first")
    _print(notes)


@app.command()
def show(context: typer.Context, word: Word, as_json: Json = False) -> None:
    """Show one version: its parts and where they are, what it lacks, and when it was the champion.

    Example: finr1 models show champion
    """
    with _opened(context) as registry:
        notes = _mended(registry)
        version = registry.version(word)
        place = registry.artifacts(version)
        events = [event for event in registry.events() if version.number in (event.version, event.was)]
    if as_json:
        told = [event.model_dump() for event in events]
        _print_json({**_facts(version), "artifacts": place, "events": told})
        return
    table = Table(show_header=False, show_edge=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    rows = {
        "version": str(version.number),
        "stands for": ", ".join(version.aliases) or "nothing",
        "folder": str(version.folder) + ("" if version.folder.is_dir() else " (not on this machine)"),
        "weights, sha256": version.sha256,
        "registered": version.created.isoformat(timespec="seconds"),
        "parent": version.tags.get("parent", "none known"),
        "evaluation": version.tags.get("scores", "none"),
        "curves": version.tags.get("curves", "none"),
        "run": f"{place}/{version.tags['run']}" if "run" in version.tags else "none",
        "report": f"{place}/{version.tags['evaluation']}/report" if "evaluation" in version.tags else "none",
        "lacks": "; ".join(version.lacks) or "nothing",
        "forced": version.tags.get("forced", ""),
    }
    for label, value in rows.items():
        if value:
            table.add_row(label, escape(value))
    for event in events:
        was = f" (was {event.was})" if event.was else ""
        why = "".join(
            f"\n{each}" for each in (*event.compared, *(f"overruled: {o}" for o in event.over), event.reason) if each
        )
        table.add_row(event.at, escape(f"{event.event}: champion is {event.version}{was}{why}"))
    _console().print(table)
    _print(notes)


@app.command()
def promote(
    context: typer.Context,
    word: Word,
    force: Annotated[bool, typer.Option("--force", help="Overrule what the evaluation says against it.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the version.")] = "",
    gateway: Gateway = None,
) -> None:
    """Make a version the champion, unless its evaluation is missing, not comparable, or significantly worse.

    Example: finr1 models promote 3
    """
    from launch.registry import changes

    _need_recipe(gateway)
    with _opened(context) as registry:
        with _busy("reading the weights and comparing"):
            change = changes.promote(registry, word, force, reason)
        _say(change)
    _hand_on(context.obj.folder, gateway)


@app.command()
def rollback(
    context: typer.Context,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the version.")] = "",
    gateway: Gateway = None,
) -> None:
    """Put the last champion back; called again, the one before it.

    Example: finr1 models rollback --reason "answers cut off"
    """
    from launch.registry import changes

    _need_recipe(gateway)
    with _opened(context) as registry:
        with _busy("reading the weights"):
            change = changes.roll_back(registry, reason)
        _say(change)
    _hand_on(context.obj.folder, gateway)


@app.command()
def alias(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="challenger, or a name of your own.")],
    word: Annotated[str, typer.Argument(metavar="[VERSION]", help="A version's number, or another alias.")] = "",
    delete: Annotated[bool, typer.Option("--delete", help="Take the alias away.")] = False,
) -> None:
    """Let an alias stand for a version (the champion's moves by promote and rollback only).

    Example: finr1 models alias challenger 4
    """
    from launch.registry import changes
    from reward_plugins.errors import Refused

    if delete == bool(word):
        raise Refused("give a version for the alias, or --delete to take it away")
    with _opened(context) as registry:
        _say(changes.unname(registry, name) if delete else changes.name(registry, name, word))


def _busy(what: str) -> AbstractContextManager[object]:
    return Console(stderr=True).status(what)


def _opened(context: typer.Context) -> AbstractContextManager[Registry]:
    from launch.registry.store import opened  # MLflow takes seconds to import

    return opened(context.obj)


def _mended(registry: Registry) -> list[str]:
    """Finish or take back what a killed command left, unless another command is at work."""
    from reward_plugins.errors import Refused

    try:
        with registry.alone():
            return registry.mend()
    except Refused as busy:
        return [str(busy)]


def _facts(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "aliases": version.aliases,
        "folder": str(version.folder),
        "sha256": version.sha256,
        "created": version.created.isoformat(timespec="seconds"),
        "run_id": version.run_id,
        "lacks": version.lacks,
        **{key: version.tags.get(key) for key in ("parent", "scores", "curves", "run", "evaluation", "forced")},
    }


def _say(change: Change) -> None:
    _print(change.said)


def _need_recipe(gateway: str | None) -> None:
    """Refuse a gateway's recipe that is none before the registry is changed."""
    from launch import recipe
    from launch.gateway.settings import GatewaySettings

    if gateway is not None:
        recipe.settings(GatewaySettings, recipe.load(gateway), gateway)


def _hand_on(folder: Path, gateway: str | None) -> None:
    """Let the champion reach those who use it: a running gateway now, servers at their next start."""
    if CHAMPION in served(folder):
        _print([f"servers of {_short(link(folder, CHAMPION))} have it at their next start"])
    if gateway is None:
        return
    from launch.gateway import Do
    from launch.gateway.command import carry_out
    from reward_plugins.errors import Refused

    try:
        carry_out(gateway, Do.reload, [], None)
    except Refused as refusal:
        raise Refused(
            f"the registry has changed and the gateway has not: {refusal}; then finr1 gateway {gateway} reload"
        ) from None
    _print([f"the gateway of {gateway} has it now"])


def _short(path: Path) -> str:
    """A path below the home folder without that folder."""
    return str(path.relative_to(home()) if path.is_relative_to(home()) else path)


def _print(sentences: list[str]) -> None:
    for sentence in sentences:
        _console().print(sentence, markup=False, highlight=False)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def _console() -> Console:
    return Console(soft_wrap=True)
