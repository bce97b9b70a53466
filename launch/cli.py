"""The `finr1` command: one stage a command, one YAML a run; how it ends, and with which exit code."""

from __future__ import annotations

import errno
import signal
import sys

import typer
from rich.console import Console

from launch.commands import data, results, serving, training, whole
from launch.engine import EngineFailed
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
app.add_typer(whole.app)
app.add_typer(data.app)
app.add_typer(training.app)
app.add_typer(results.app)
app.add_typer(serving.app)
app.add_typer(models, name="models", rich_help_panel=serving.PANEL)


_CTRL_C = 130
"""The shell's code for a program that SIGINT ended."""


def main() -> None:
    """The console script. Exit codes: 0 done, 1 an engine failed, 2 bad input or environment, 3 cost cap, 130 interrupted."""
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # a terminal that is closed; nohup has it ignored
        signal.signal(signal.SIGHUP, _terminated)
    try:
        if not home().is_dir():
            raise Refused(f"FINR1_HOME names {home()}, and there is no such folder; make it, or name another one")
        code = app(standalone_mode=False)
    except Refused as refusal:
        _end(getattr(refusal, "exit_code", 2), str(refusal))
    except EngineFailed as failure:
        _end(1, str(failure))
    except (KeyboardInterrupt, typer.Abort):
        code = _CTRL_C
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        _end(2, f"{error.strerror}: {error.filename or 'the output folder'}; nothing half-written was left")
    except Exception as error:
        # Click's own complaints (an unknown option, a missing argument) are bad input, too.
        if not hasattr(error, "format_message"):
            raise
        if not error.format_message():  # no command at all: the help was shown
            sys.exit(2)
        _end(2, error.format_message())
    if code == _CTRL_C:  # Typer, too, makes this code of Ctrl-C, and says nothing
        _end(code, "stopped; the same command goes on from here")
    sys.exit(code or 0)


def _terminated(number: int, _: object) -> None:
    """SIGTERM and SIGHUP end as Ctrl-C does, so that engines and servers are ended, too, with the shell's codes for them."""
    sys.exit(128 + number)


def _end(code: int, sentence: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"finr1: {sentence}", markup=False, highlight=False)
    sys.exit(code)


if __name__ == "__main__":
    main()
