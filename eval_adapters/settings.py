"""What an evaluation recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""A name that is a folder, too."""


class Settings(BaseModel):
    """A part of a recipe: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


class ModelSpec(Settings):
    """A model to evaluate: a folder that a local server will serve, or the address of a running endpoint.

    `model_id` is what requests call the model (default: `name`); `api_key_env` names the environment variable that
    holds the key, which is never written anywhere.
    """

    name: str = Field(pattern=_NAME)
    path: Path | None = None
    api_url: str | None = None
    model_id: str | None = None
    api_key_env: str | None = None

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if (self.path is None) == (self.api_url is None):
            raise ValueError(f"model {self.name}: give either path (a folder) or api_url (a running endpoint)")
        return self


class SetSpec(Settings):
    """A test set: `path/<subset>.jsonl`, evaluated by `benchmark`, its first `limit` rows or all (None)."""

    benchmark: Literal["finr1_finmath", "finr1_finqa"]
    path: Path
    subset: str = Field(pattern=_NAME)
    limit: int | None = Field(default=None, ge=1)
    name: str = Field(default="", pattern=r"^$|" + _NAME)

    @property
    def label(self) -> str:
        """The set's name in results: `name`, or else the subset."""
        return self.name or self.subset


class Generation(Settings):
    """How completions are sampled; what is None is not sent, so the server's default holds."""

    max_tokens: int = Field(default=1024, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    seed: int | None = None
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = None
    repetition_penalty: float | None = Field(default=None, gt=0)
    stop: list[str] | None = None
    extra_body: dict[str, Any] | None = None


class EvalSettings(Settings):
    """An evaluation: every model on every set, results under `out/<model>/<set>/`.

    `batch`: requests at once. `timeout_s`: seconds without an answer until an attempt is given up. `attempts`: in
    all, for one row. `seed`: EvalScope's own (the sampling seed of the server is `generation.seed`).
    """

    out: Path
    models: list[ModelSpec] = Field(min_length=1)
    sets: list[SetSpec] = Field(min_length=1)
    generation: Generation = Generation()
    batch: int = Field(default=8, ge=1)
    timeout_s: float = Field(default=600.0, gt=0)
    attempts: int = Field(default=3, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _distinct(self) -> EvalSettings:
        for what, names in (("model", [m.name for m in self.models]), ("set", [s.label for s in self.sets])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two entries for the {what} {twice[0]}: give each a name of its own")
        return self
