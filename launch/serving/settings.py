"""What a serving recipe says: one model, where it answers, under which name, and how the engine runs it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from launch.paths import home
from reward_plugins.errors import Refused

Kind = Literal["transformers", "vllm"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
"""What clients, web pages, metrics labels and a folder's link can all carry; one slash, as in a hub id."""


class Restart(BaseModel):
    """How often a server that went down is brought back: `times` within `within_s` seconds, then it stays down."""

    model_config = ConfigDict(extra="forbid")

    times: int = Field(default=5, ge=1)
    within_s: float = Field(default=600.0, gt=0)


class ServeSettings(BaseModel):
    """One served model.

    `served_name` is what clients put into a request's `model` (default: see `name_of`). `lora` are vLLM's adapters,
    each a model of its own under its name. `tensor_parallel_size`, `max_model_len`, `reasoning_parser`,
    `enable_prefix_caching` and `quantization` are vLLM's own options. `flags` are further options by engine, in the
    engine's own names without the dashes; `true` stands for a bare flag. `start_s` bounds the loading of the model;
    `restart` is for `finr1 serve` alone, since a stage that started a server ends when that server does.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str
    engine: Literal["auto", "transformers", "vllm"] = "auto"
    host: str = "127.0.0.1"
    port: int = Field(8011, ge=1, le=65535)
    dtype: str = "bfloat16"
    served_name: str | None = None
    api_key_env: str | None = None
    tensor_parallel_size: int | None = Field(None, ge=1)
    max_model_len: int | None = Field(None, ge=1)
    reasoning_parser: str | None = None
    enable_prefix_caching: bool | None = None
    quantization: str | None = None
    lora: dict[str, Path] = Field(default_factory=dict)
    flags: dict[Kind, dict[str, Any]] = Field(default_factory=dict)
    restart: Restart | None = None
    log: str = "runs/serve/server.log"
    start_s: float = Field(180.0, gt=0)

    @field_validator("served_name")
    @classmethod
    def _served_name_is_a_name(cls, name: str | None) -> str | None:
        if name is not None:
            _need_name(name)
        return name

    @field_validator("lora")
    @classmethod
    def _adapters_have_names(cls, lora: dict[str, Path]) -> dict[str, Path]:
        for name in lora:
            _need_name(name)
        return lora

    @property
    def base(self) -> str:
        """The address under which this machine reaches the server, without a path."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def kind(self) -> Kind:
        """The engine that serves it here."""
        if self.engine != "auto":
            return self.engine
        return "vllm" if has_gpu() else "transformers"


def _need_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError("a served name is letters, digits, '.', '_' and '-', with at most one '/' between two parts")


def has_gpu() -> bool:
    """Whether the NVIDIA driver shows a device here."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def name_of(settings: ServeSettings, model: str) -> str:
    """What clients call the model: `served_name`, a hub model's id, or else a name made from its folder.

    `model` is what `models.resolve` gave. A folder below `runs/` is told by its last two names there
    (`runs/quickstart/grpo` is `quickstart/grpo`, which tells two runs apart), another one by its last name.
    """
    if settings.served_name:
        return settings.served_name
    if not Path(model).is_absolute():
        return model
    folder = Path(model)
    runs = home() / "runs"
    parts = folder.relative_to(runs).parts[-2:] if folder.is_relative_to(runs) else folder.parts[-1:]
    return "/".join(re.sub(r"[^A-Za-z0-9._-]+", "-", part).strip(".-_") or "model" for part in parts)


def key_of(variable: str | None) -> str:
    """The key that an environment variable holds, "" where none is named.

    Raises:
        Refused: it is not set, or holds what no HTTP header can carry or what divides keys where several are told.
    """
    if variable is None:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise Refused(f"the environment variable {variable} is not set; it is to hold the server's key")
    if not key.isascii() or not key.isprintable() or set(" ;") & set(key):
        raise Refused(f"{variable} holds characters that no key has")
    return key
