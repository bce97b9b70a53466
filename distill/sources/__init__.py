"""Where questions come from: the catalogue, and how an entry of it becomes a stream of questions.

A source is one function and one entry in `datasets/catalogue.yaml`. The function takes `split` and keyword parameters
of its own, which are the keys that a recipe may give, and yields a `Question` for each good row and a `LeftOut` for
each bad one:

    def read(path: Path, *, split: str) -> Iterator[Question | LeftOut]: ...
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from distill.records import Question
from reward_plugins.errors import Refused

CATALOGUE = Path(__file__).resolve().parents[2] / "datasets" / "catalogue.yaml"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that makes no question: which one, and why, as a phrase that is the same for all rows of its kind."""

    row: str
    reason: str


Read = Callable[..., Iterator[Question | LeftOut]]


class CatalogueEntry(BaseModel):
    """What the catalogue says of a source. `read` is the dotted path of its function."""

    model_config = ConfigDict(extra="forbid")

    title: str
    read: str
    home: str
    licence: str
    languages: list[str]
    task: str
    splits: dict[str, str]
    note: str = ""


@functools.cache
def catalogue() -> dict[str, CatalogueEntry]:
    """The catalogue by source name. Raises `Refused` where the file is missing or breaks the contract."""
    try:
        raw = yaml.safe_load(CATALOGUE.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(f"{CATALOGUE}: no such file; the kit runs from its checkout") from None
    except yaml.YAMLError as error:
        raise Refused(f"{CATALOGUE}: not YAML ({' '.join(str(error).split())})") from None
    try:
        return TypeAdapter(dict[str, CatalogueEntry]).validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{CATALOGUE}: {where}: {first['msg'].lower()}") from None


class Source(BaseModel):
    """A source in a recipe: its `name` in the catalogue, the `split` its rows go to, at most `limit` questions, and
    the keys of its function, which stand beside these.

    Raises `ValueError` (so that it is found as the recipe is read) for an unknown name, an unknown or missing key, or
    a value of the wrong type.
    """

    model_config = ConfigDict(extra="allow")

    name: str
    split: str = Field(default="train", pattern=r"^[a-z][a-z0-9_]*$")
    limit: int | None = Field(default=None, ge=1)

    def model_post_init(self, _: Any) -> None:
        self.parameters()

    def parameters(self) -> dict[str, Any]:
        """The function's keyword arguments, typed."""
        given = self.model_extra or {}
        allowed = _parameters(self.name)
        for key in given:
            if key not in allowed.model_fields:
                raise ValueError(f"source {self.name!r} knows no key {key!r}" + did_you_mean(key, allowed.model_fields))
        try:
            model = allowed.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise ValueError(f"source {self.name!r}, key {key!r}: {first['msg'].lower()}") from None
        return {key: getattr(model, key) for key in allowed.model_fields}

    def questions(self) -> Iterator[Question | LeftOut]:
        """The rows of the source, good and bad."""
        yield from _function(self.name)(split=self.split, **self.parameters())

    def files(self) -> list[Path]:
        """The files that the source reads: its parameters that are paths, folders by the files in them."""
        paths = [value for value in self.parameters().values() if isinstance(value, Path)]
        files: list[Path] = []
        for path in paths:
            files += sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        return files


def did_you_mean(name: str, known: typing.Iterable[str]) -> str:
    """A suggestion to append to a sentence; "" if nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f" (it has: {', '.join(sorted(known))})"


@functools.cache
def _function(name: str) -> Read:
    entries = catalogue()
    if name not in entries:
        raise ValueError(f"the catalogue has no source {name!r}" + did_you_mean(name, entries))
    module, _, function = entries[name].read.rpartition(".")
    found: Read = getattr(importlib.import_module(module), function)
    return found


@functools.cache
def _parameters(name: str) -> type[BaseModel]:
    """The keyword parameters of a source function as a model, so that a recipe's values are checked and converted."""
    function = _function(name)
    hints = typing.get_type_hints(function)
    fields: dict[str, Any] = {
        key: (hints[key], ... if parameter.default is inspect.Parameter.empty else parameter.default)
        for key, parameter in inspect.signature(function).parameters.items()
        if key != "split"
    }
    return create_model(f"{name}_parameters", __config__=ConfigDict(extra="forbid"), **fields)
