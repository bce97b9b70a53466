"""Past one machine: a stage's work as a pipeline of Ray Data over a cluster.

Only places in files go out and only verdicts come back, so the machines of the cluster see the same files under the
same paths (a shared folder), each reads its own part, and the command's own machine is no bottleneck. It alone writes.
Runs in the stack `ray`.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import distill
import reward_plugins
from distill.spread import BATCH, Done, Engine, Row, Shared, batches
from reward_plugins.errors import Refused

# Rows of one task: about a quarter of a second of work on traces, beside the milliseconds that Ray takes to place it.
_ROWS_A_TASK = 4 * BATCH
_PATIENCE_S = 5.0  # in which the head of a cluster takes a connection
_NOT_THERE = (
    "is not there on this machine of the cluster; put the recipe's files into a folder that all machines see under one "
    "path, and give that path in the recipe"
)


class Ray(Engine):
    """A Ray cluster: the one at `address` ("host:port", as `ray start` printed it), or one of this machine alone.

    Use it as a context manager. Raises `Refused` where the package is missing, where no cluster answers, and where a
    machine does not see the stage's files.
    """

    name = "ray"

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address is None:
            # Ray's own switch for "this machine alone": all its ports are then on the loopback address.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

    def __enter__(self) -> Ray:
        if self._address is not None:
            _need_listener(self._address)
        try:
            import ray
            import ray.data
        except ImportError:
            raise Refused(
                "the package ray is missing; `finr1 ... --engine ray` runs in the stack that holds it"
            ) from None
        try:
            ray.init(
                address=self._address or "local",
                include_dashboard=None if self._address else False,
                runtime_env={"py_modules": _packages()} if self._address else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError) as error:
            why = str(error).strip().splitlines()[0]
            raise Refused(f"no Ray cluster answers at {self._address or 'this machine'} ({why})") from None
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False  # the stages have their own
        context.log_internal_stack_trace_to_stdout = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is raised, and told once
        return self

    def __exit__(self, *exc: object) -> None:
        import ray

        ray.shutdown()

    def map(
        self, work: Callable[[Shared, list[Row]], list[Done]], shared: Shared, rows: Iterable[Row], count: int
    ) -> Generator[Done]:
        """See `Engine.map`. Memory here: the rows, and results of a few tasks."""
        import ray.data

        tasks = [{"rows": _Rows(batch)} for batch in batches(rows, _ROWS_A_TASK)]
        if not tasks:
            return
        processors = int(ray.cluster_resources().get("CPU", 1))
        done = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map(
            _Worker, fn_constructor_args=(work, shared), concurrency=(1, min(processors, len(tasks)))
        )
        for task in done.iter_rows():
            if isinstance(task["done"], Refused):
                raise task["done"]
            yield from task["done"].rows


def _need_listener(address: str) -> None:
    """Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise Refused(f"--address {address}: not HOST:PORT; give the address that `ray start --head` printed")
    try:
        socket.create_connection((host, int(port)), _PATIENCE_S).close()
    except OSError as error:
        raise Refused(f"no Ray cluster answers at {address} ({error}); start one by `ray start --head`") from None


class _Rows:
    """Rows of a task, as one value of a column: Ray would make arrays of a list and lose what its items are."""

    def __init__(self, rows: list[Any]) -> None:
        self.rows = rows


class _Worker:
    """A process of the cluster."""

    def __init__(self, work: Callable[[Any, list[Any]], list[Any]], shared: Any) -> None:
        self._work = work
        self._shared = shared

    def __call__(self, task: dict[str, _Rows]) -> dict[str, _Rows | Refused]:
        try:
            return {"done": _Rows(self._work(self._shared, task["rows"].rows))}
        except Refused as refused:  # told by the command; Ray would wrap it in a page of traceback
            return {"done": refused}
        except FileNotFoundError as missing:
            return {"done": Refused(f"{platform.node()}: {missing.filename} {_NOT_THERE}")}


def _packages() -> list[str]:
    """The packages that the workers import: sent along, so that all machines run this very code."""
    return [str(Path(package.__file__ or "").parent) for package in (distill, reward_plugins)]
