"""The commands of use: a served model, its health, a chat page, a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from launch import recipe
from launch.commands.shared import Recipe, Set, absolute, print_summary
from launch.gateway import Do
from launch.paths import home

app = typer.Typer(rich_markup_mode="rich")
PANEL = "Use"


@app.command(rich_help_panel=PANEL)
def compress(path: Recipe, set_: Set = None) -> None:
    """Quantise a model's weights by llm-compressor, to serve it from a smaller card.

    Example: finr1 compress recipes/serve/awq_int4.yaml
    """
    from launch.serving.compress import CompressSettings, run

    print_summary(run(recipe.settings(CompressSettings, recipe.load(absolute(path), set_ or []), path)))


@app.command(rich_help_panel=PANEL)
def serve(
    path: Recipe,
    set_: Set = None,
    restart: Annotated[bool, typer.Option("--restart", help="Bring the server back when it went down.")] = False,
) -> None:
    """Serve a model behind the OpenAI protocol until Ctrl-C.

    Example: finr1 serve recipes/serve/local.yaml --set model=runs/quickstart/grpo --restart
    """
    from launch.serving.restart import serve_on
    from launch.serving.settings import Restart, ServeSettings

    settings = recipe.settings(ServeSettings, recipe.load(absolute(path), set_ or []), path)
    if restart and settings.restart is None:
        settings.restart = Restart()
    serve_on(settings, typer.echo)


@app.command(rich_help_panel=PANEL)
def health(
    target: Annotated[str, typer.Argument(help="An endpoint's URL, or a serving recipe.")] = "recipes/serve/local.yaml",
    model: Annotated[str | None, typer.Option(help="Which of the endpoint's models (default: its own choice).")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="The environment variable that holds its key.")] = None,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds.")] = 180.0,
) -> None:
    """Ask a served model a finance question and read its answer as the verifier does.

    Exit code 0: answered; 4: no answer; 1: error. A recipe's server also says when it went down and came back.

    Example: finr1 health http://127.0.0.1:8011/v1
    """
    from launch.serving.health import EXIT_CODES, look

    found, past = look(target, model, api_key_env, timeout)
    typer.echo("\n".join(filter(None, (str(found), past))))
    raise typer.Exit(EXIT_CODES[found.state])


@app.command(rich_help_panel=PANEL)
def chat(
    path: Annotated[
        str, typer.Argument(help="The recipe: a YAML file that is one chat page.")
    ] = "recipes/chat/local.yaml",
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="URL|RECIPE|FOLDER", help="Talk to this instead of the first model (repeat)."),
    ] = None,
    general: Annotated[
        list[str] | None, typer.Option("--general", metavar="URL", help="A general model beside it (repeat).")
    ] = None,
    set_: Set = None,
) -> None:
    """Open Open WebUI on the served models, with a login and offline, until Ctrl-C.

    Example: finr1 chat --model runs/quickstart/grpo
    """
    from launch import listening
    from launch.chat import LOG, accounts, chatting, load

    settings = load(absolute(path), set_ or [], model or [], general or [])
    data = home() / settings.data
    with chatting(settings) as page:
        typer.echo(f"Open WebUI is at {page.url} (Ctrl-C stops it)")
        if not accounts(data):
            typer.echo("who signs up first becomes its administrator; sign-up is closed after that")
        listening.until_ctrl_c(page.pid, name="chat page", log=data / LOG)


@app.command(rich_help_panel=PANEL)
def gateway(
    path: Recipe,
    do: Annotated[
        Do, typer.Argument(help="Run it, check it, reload a running one, measure its rule, watch it.")
    ] = Do.run,
    set_: Set = None,
    questions: Annotated[Path | None, typer.Option(help="With measure: your own labelled JSONL.")] = None,
) -> None:
    """Put versions of a model, and a general one, behind one endpoint by HAProxy, until Ctrl-C.

    Examples: finr1 gateway recipes/gateway/ab.yaml; finr1 gateway recipes/gateway/ab.yaml reload
    """
    from launch.gateway.command import carry_out

    asked = questions.absolute() if questions else None
    if (done := carry_out(absolute(path), do, set_ or [], asked)) is not None:
        print_summary(done)
