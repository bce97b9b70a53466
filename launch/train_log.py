"""What LLaMA-Factory prints while it trains, read as metrics, and the warnings that follow from it."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from launch import monitor

_LOGGED = re.compile(r"\{'[\w/]+': [^{}\n]*'epoch': [^{}\n]*\}")
_METRIC = re.compile(r"'([\w/]+)': '?([-+]?(?:nan|inf|[\d.]+(?:e[-+]?\d+)?))'?")
"""The trainer prints each logged step as a Python dict, its numbers as text since transformers 5; `nan` is no literal."""

_EVERY_S = 1.0
"""Between two looks at the log: a step takes about as long, and a look at what is new costs next to nothing."""

_LONGEST = 10_000
"""Bytes of a step's line that may be waited for; what is longer is progress bars."""


def metrics(text: str) -> monitor.History:
    """The steps that a piece of the engine's output holds, oldest first; progress bars and all else are passed over."""
    return [{name: float(value) for name, value in _METRIC.findall(said)} for said in _LOGGED.findall(text)]


@contextlib.contextmanager
def watched(log: Path) -> Iterator[list[str]]:
    """Print to standard error what `launch.monitor` finds wrong in what is appended to a log inside the block.

    Gives the list of all that was said, which is whole when the block is left.
    """
    said: list[str] = []
    begin = log.stat().st_size if log.is_file() else 0
    ended = threading.Event()
    follower = threading.Thread(target=_follow, args=(log, begin, ended, said), daemon=True)
    follower.start()
    try:
        yield said
    finally:
        ended.set()
        follower.join()


def _follow(log: Path, begin: int, ended: threading.Event, said: list[str]) -> None:
    watch, history, rest = monitor.Watch(monitor.SFT), [], b""
    is_last = False
    while not is_last:
        is_last = ended.wait(_EVERY_S)
        if not log.is_file():
            continue
        with log.open("rb") as lines:
            lines.seek(begin)
            new = lines.read()
        begin += len(new)
        whole, _, rest = (rest + new).rpartition(b"}")  # a step that is half written is read with the next look
        rest = rest[-_LONGEST:]
        for step in metrics((whole + b"}").decode("utf-8", "replace")):
            history.append(step)
            for sentence in watch.new(history):
                said.append(sentence)
                print(f"warning, epoch {step['epoch']:g}: {sentence}", file=sys.stderr, flush=True)
