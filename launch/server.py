"""Serve a model behind the OpenAI protocol: `transformers serve` on a CPU, vLLM where there is a GPU."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from launch import engine, listening, models, stacks
from launch.paths import home
from reward_plugins.errors import Refused


class ServeSettings(BaseModel):
    """One served model.

    `flags` are further options by engine, in the engine's own names without the dashes; `true` stands for a bare flag. `start_s` bounds the loading of the model.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    engine: Literal["auto", "transformers", "vllm"] = "auto"
    host: str = "127.0.0.1"
    port: int = Field(8011, ge=1, le=65535)
    dtype: str = "bfloat16"
    served_name: str | None = None
    api_key_env: str | None = None
    log: str = "runs/serve/server.log"
    start_s: float = Field(180.0, gt=0)
    flags: dict[Literal["transformers", "vllm"], dict[str, Any]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """Where a served model answers: `url` ends in /v1, `model_id` goes into a request's `model`."""

    url: str
    model_id: str
    pid: int


def has_gpu() -> bool:
    """Whether the NVIDIA driver shows a device here."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


@contextlib.contextmanager
def serving(settings: ServeSettings) -> Iterator[Endpoint]:
    """Start the server, wait until it is healthy, and stop it when the block is left.

    Raises:
        Refused: the port is taken, the address is open to others without a key, or the model is not there.
        EngineFailed: the server ended, or was not healthy in time.
    """
    if settings.host not in ("127.0.0.1", "localhost", "::1") and not _key(settings):
        raise Refused(
            f"host {settings.host} can be reached from other machines: name a key's environment variable in "
            "api_key_env and set it, or serve on 127.0.0.1"
        )
    log = home() / settings.log
    listening.need_free_port(settings.host, settings.port, log)
    words, model_id = _command(settings)
    env = {"HF_HUB_OFFLINE": "1"} if Path(model_id).is_dir() else {}
    if key := _key(settings):
        env["VLLM_API_KEY"] = key  # by environment: an argument would show in the list of processes
    with engine.started(words, name="server", log=log, env=env) as process:
        base = f"http://{settings.host}:{settings.port}"
        listening.wait_until_answers(f"{base}/health", process, name="server", log=log, seconds=settings.start_s)
        yield Endpoint(f"{base}/v1", settings.served_name or model_id, process.pid)


def _command(settings: ServeSettings) -> tuple[list[str | Path], str]:
    model = models.resolve(settings.model, home())
    kind = settings.engine if settings.engine != "auto" else ("vllm" if has_gpu() else "transformers")
    place = ["--host", settings.host, "--port", str(settings.port), "--dtype", settings.dtype]
    flags = [word for name, value in settings.flags.get(kind, {}).items() for word in _flag(name, value)]
    if kind == "vllm":
        named = ["--served-model-name", settings.served_name] if settings.served_name else []
        return [stacks.program("rl-vllm", "vllm"), "serve", model, *place, *named, *flags], model
    if settings.served_name or settings.api_key_env:
        raise Refused("transformers serve knows neither served_name nor a key: leave them out, or use engine: vllm")
    serve = ["serve", model, "--continuous-batching", "--device", "cuda" if has_gpu() else "cpu"]
    return [stacks.program("rl", "transformers"), *serve, *place, *flags], model


def _flag(name: str, value: Any) -> list[str]:
    if value is True:
        return [f"--{name}"]
    if value in (False, None):
        return []
    return [f"--{name}", json.dumps(value) if isinstance(value, dict | list) else str(value)]


def _key(settings: ServeSettings) -> str | None:
    return os.environ.get(settings.api_key_env) if settings.api_key_env else None
