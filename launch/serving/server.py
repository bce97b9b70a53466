"""Serve a model behind the OpenAI protocol: `transformers serve` on a CPU, vLLM where there is a GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from launch import engine, listening
from launch.paths import home
from launch.serving.command import command, objections
from launch.serving.settings import ServeSettings, has_gpu
from reward_plugins.errors import Refused

__all__ = ["Endpoint", "ServeSettings", "has_gpu", "serving"]


@dataclass(frozen=True)
class Endpoint:
    """Where a served model answers: `url` ends in /v1, `model_id` goes into a request's `model`."""

    url: str
    model_id: str
    pid: int


@contextlib.contextmanager
def serving(settings: ServeSettings, starting: Callable[[], None] = lambda: None) -> Iterator[Endpoint]:
    """Start the server, wait until it is healthy, and stop it when the block is left.

    `starting` is called once nothing speaks against the start.

    Raises:
        Refused: the recipe cannot work (see `objections`), the port is taken, or the model is not there.
        EngineFailed: the server ended, or was not healthy in time.
    """
    for objection in objections(settings, settings.kind):
        raise Refused(objection)
    log = home() / settings.log
    listening.need_free_port(settings.host, settings.port, log)
    start = command(settings, log)
    starting()
    with engine.started(
        start.words, name="server", log=log, env=start.env, inherit=start.inherit, folder=start.folder
    ) as process:
        health = f"{settings.base}/health"
        listening.wait_until_answers(health, process, name="server", log=log, seconds=settings.start_s)
        yield Endpoint(f"{settings.base}/v1", start.name, process.pid)
