"""The `finr1` command: one stage a command, one YAML a run."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from launch import recipe
from launch.engine import EngineFailed
from launch.gateway import Do
from launch.paths import home
from launch.registry.commands import app as models
from reward_plugins.errors import Refused

app = typer.Typer(
    help="From finance questions to a reasoning model of your own, and the proof that it got better.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(models, name="models")

Recipe = Annotated[str, typer.Argument(help="The recipe: a YAML file that is one run.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; a dot goes one level down.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out lines that cannot be read, and count them.")]

Engine = Annotated[str, typer.Option(help="cores (this machine's), or ray (a cluster's).")]
Address = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="With --engine ray: the cluster (default: one of this machine alone)."),
]


@app.command()
def prepare(path: Recipe, set_: Set = None) -> None:
    """Turn sources into questions, split by document.

    Example: finr1 prepare recipes/distill/quickstart_prepare.yaml
    """
    from launch.stages import run_prepare

    _print(run_prepare(_absolute(path), overrides=set_))


@app.command()
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
    name = _absolute(path)
    _print(run_distill(name, overrides=set_, skip_bad=skip_bad, write_batches=write_batches, read_batches=results))


@app.command()
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

    name = _absolute(path)
    _print(run_screen(name, overrides=set_, skip_bad=skip_bad, no_judge=no_judge, engine=engine, address=address))


@app.command()
def overlap(
    path: Recipe, set_: Set = None, skip_bad: SkipBad = False, engine: Engine = "cores", address: Address = None
) -> None:
    """Find training questions that stand in a test set, or repeat an earlier one, and show the pairs.

    Example: finr1 overlap recipes/distill/overlap.yaml
    """
    from launch.stages import run_overlap

    _print(run_overlap(_absolute(path), overrides=set_, skip_bad=skip_bad, engine=engine, address=address))


@app.command()
def export(
    path: Recipe, set_: Set = None, skip_bad: SkipBad = False, engine: Engine = "cores", address: Address = None
) -> None:
    """Write the sets that LLaMA-Factory, GRPO and EvalScope read, with their manifest.

    Example: finr1 export recipes/distill/quickstart_export.yaml
    """
    from launch.stages import run_export

    _print(run_export(_absolute(path), overrides=set_, skip_bad=skip_bad, engine=engine, address=address))


@app.command()
def check(
    path: Annotated[str, typer.Argument(help="A recipe, or the word `golds`.")],
    rows: Annotated[str | None, typer.Argument(help="With `golds`: a set's name, its folder, or a JSONL file.")] = None,
    set_: Set = None,
    gpu: Annotated[
        str | None, typer.Option(metavar="GIB", help="For another machine: GiB of its card, or cards x GiB (8x80).")
    ] = None,
    accelerate: Annotated[str | None, typer.Option(help="GRPO: the accelerate configuration of the launch.")] = None,
    processes: Annotated[int | None, typer.Option(help="GRPO: the ranks of the launch.")] = None,
    grpo_engine: Annotated[str, typer.Option("--engine", help="GRPO: trl, or open-r1 (a real one).")] = "trl",
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

    shape = _absolute(accelerate) if accelerate else None
    inspect_recipe(_absolute(path), set_ or [], Console(), gpu, shape, processes, grpo_engine == "open-r1")


@app.command()
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


@app.command()
def sft(path: Recipe, set_: Set = None) -> None:
    """Fine-tune by LLaMA-Factory.

    Example: finr1 sft recipes/sft/smollm2_135m_cpu.yaml
    """
    from launch import train  # not by way of all stages, whose libraries it does not need

    _print(train.sft(_absolute(path), set_ or []))


@app.command()
def grpo(
    path: Recipe,
    set_: Set = None,
    accelerate: Annotated[str | None, typer.Option(help="An accelerate configuration (default: ZeRO-3).")] = None,
    processes: Annotated[int | None, typer.Option(help="Ranks (default: one a GPU, two on a CPU).")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what becomes of each key, write the resolved recipe, and stop.")
    ] = False,
    engine: Annotated[str, typer.Option(help="trl (the kit's stack), or open-r1 (a real one).")] = "trl",
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
    from launch.stages import run_grpo

    shape = _absolute(accelerate) if accelerate else None
    theirs = [str(Path(place).absolute()) if place else None for place in (open_r1, python)]
    _print(
        run_grpo(
            _absolute(path),
            overrides=set_,
            accelerate=shape,
            processes=processes,
            dry_run=dry_run,
            engine=engine,
            open_r1=theirs[0],
            python=theirs[1],
        )
    )


@app.command()
def webui(port: Annotated[int, typer.Option(help="Where it answers on 127.0.0.1.")] = 7860) -> None:
    """Open LLaMA-Factory's own web UI with the kit's data sets, until Ctrl-C.

    Example: finr1 webui --port 7860
    """
    from launch import listening
    from launch.webui import LOG, web_ui

    os.chdir(home())
    with web_ui(port) as page:
        typer.echo(f"LLaMA-Factory's web UI is at {page.url} (Ctrl-C stops it and what it trains)")
        try:
            listening.wait_for_end(page.pid)
        except KeyboardInterrupt:
            return
    raise EngineFailed(f"the web UI ended by itself; see {home() / LOG}")


@app.command()
def merge(path: Recipe, set_: Set = None) -> None:
    """Merge a LoRA adapter into its base model.

    Example: finr1 merge recipes/sft/merge_lora.yaml --set adapter_name_or_path=runs/my-lora
    """
    from launch import train

    _print(train.merge(_absolute(path), set_ or []))


@app.command()
def serve(
    path: Recipe,
    set_: Set = None,
    restart: Annotated[bool, typer.Option("--restart", help="Bring the server back when it went down.")] = False,
) -> None:
    """Serve a model behind the OpenAI protocol until Ctrl-C.

    Example: finr1 serve recipes/serve/local.yaml --set model=runs/quickstart/grpo --restart
    """
    from launch.serve_restart import serve_on
    from launch.serve_settings import Restart, ServeSettings

    settings = recipe.settings(ServeSettings, recipe.load(_absolute(path), set_ or []), path)
    if restart and settings.restart is None:
        settings.restart = Restart()
    serve_on(settings, typer.echo)


@app.command()
def health(
    target: Annotated[str, typer.Argument(help="An endpoint's URL, or a serving recipe.")] = "recipes/serve/local.yaml",
    model: Annotated[str | None, typer.Option(help="Which of the endpoint's models (default: its own choice).")] = None,
    api_key_env: Annotated[str | None, typer.Option(help="The environment variable that holds its key.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds.")] = 180.0,
) -> None:
    """Ask a served model a finance question and read its answer as the verifier does.

    Exit code 0: answered; 4: no answer; 1: error. A recipe's server also says when it went down and came back.

    Example: finr1 health http://127.0.0.1:8011/v1
    """
    from launch.health import EXIT_CODES, look

    found, past = look(target, model, api_key_env, timeout)
    typer.echo("\n".join(filter(None, (str(found), past))))
    raise typer.Exit(EXIT_CODES[found.state])


@app.command()
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

    settings = load(_absolute(path), set_ or [], model or [], general or [])
    data = home() / settings.data
    with chatting(settings) as page:
        typer.echo(f"Open WebUI is at {page.url} (Ctrl-C stops it)")
        if not accounts(data):
            typer.echo("who signs up first becomes its administrator; sign-up is closed after that")
        try:
            listening.wait_for_end(page.pid)
        except KeyboardInterrupt:
            return
    raise EngineFailed(f"the chat page ended by itself; see {data / LOG}")


@app.command()
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
    if (done := carry_out(_absolute(path), do, set_ or [], asked)) is not None:
        _print(done)


@app.command("eval")
def evaluate(
    path: Recipe,
    set_: Set = None,
    serve_recipe: Annotated[str | None, typer.Option("--serve", help="How models given by path are served.")] = None,
) -> None:
    """Evaluate models on test sets by EvalScope.

    Example: finr1 eval recipes/eval/quickstart.yaml
    """
    from launch.evaluate import run_eval

    _print(run_eval(_absolute(path), overrides=set_, serve=serve_recipe))


@app.command()
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
    _show_report(run_report(*(folders or [_absolute(paths[0])]), overrides=set_))


@app.command()
def run(path: Recipe, set_: Set = None) -> None:
    """Run a whole pipeline; the same command goes on after any stop.

    Example: finr1 run recipes/pipelines/quickstart.yaml
    """
    from launch.pipeline import run as run_pipeline
    from launch.stages import STAGES

    done = run_pipeline(_absolute(path), set_ or [], STAGES)
    for name, summary in done.items():
        if name.endswith("-report"):
            _show_report(summary)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False) -> None:
    """Say what this machine has and lacks: compilers, memory, disk, GPUs, stacks and their versions, ports.

    Exit code 2 if something is missing that everybody needs.

    Example: finr1 doctor
    """
    from launch.doctor import examine

    if not examine(Console(), as_json):
        raise typer.Exit(2)


def main() -> None:
    """The console script. Exit codes: 0 done, 1 an engine failed, 2 bad input or environment, 3 cost cap, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = app(standalone_mode=False)
    except Refused as refusal:
        _end(getattr(refusal, "exit_code", 2), str(refusal))
    except EngineFailed as failure:
        _end(1, str(failure))
    except (KeyboardInterrupt, typer.Abort):
        _end(130, "stopped; the same command goes on from here")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        _end(2, f"{error.strerror}: {error.filename or 'the output folder'}; nothing half-written was left")
    except Exception as error:
        # Click's own complaints (an unknown option, a missing argument) are bad input, too.
        if not hasattr(error, "format_message"):
            raise
        _end(2, error.format_message())
    else:
        sys.exit(code or 0)


def _terminated(number: int, _: object) -> None:
    """SIGTERM ends as Ctrl-C does, so that engines and servers are ended, too; 143 is the shell's code for it."""
    sys.exit(128 + number)


def _end(code: int, sentence: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"finr1: {sentence}", markup=False, highlight=False)
    sys.exit(code)


def _absolute(path: str) -> str:
    """The recipe as the user names it, before the command goes to the home folder, where recipes' paths start."""
    found = recipe.find(path)
    os.chdir(home())
    return str(found)


def _print(summary: dict[str, Any]) -> None:
    typer.echo(json.dumps(summary, ensure_ascii=False, indent=1, default=str))


def _show_report(summary: dict[str, Any]) -> None:
    from launch.report import terminal

    console = Console()
    console.print(terminal(summary["summary"]))
    console.print(str(Path(summary["report"]).resolve()), highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
