"""Where questions come from: the catalogue, and how an entry of it becomes a stream of questions.

A source is one function and one entry in `datasets/catalogue.yaml`. Most take a raw row and yield its questions; the
rows come from `path`, a file or folder, or with `from: home` from the set's home:

    def read(row: Row) -> Iterator[Question]:
        yield row.question(row.text("query"), row.text("answer"), task="calculation")

A source that makes its questions takes `split` instead, and yields a `LeftOut` for what makes none:

    def read(*, split: str, count: int) -> Iterator[Question | LeftOut]: ...

Further keyword parameters of either are the keys that a recipe may give.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from distill.question_type import question_type
from distill.records import Question
from distill.sources.files import DEFAULT_ENCODING, file_rows, files_of
from distill.sources.hub import Hub, hub_rows
from distill.sources.rows import BadRow, LeftOut, Row, each
from reward_plugins.errors import Refused, did_you_mean

__all__ = ["BadRow", "CatalogueEntry", "LeftOut", "Row", "Source", "catalogue"]

CATALOGUE = Path(__file__).resolve().parents[2] / "datasets" / "catalogue.yaml"

Read = Callable[..., Iterator[Question | LeftOut]]


class CatalogueEntry(BaseModel):
    """What the catalogue says of a source.

    `read` is the dotted path of its function, `home` where people find it, `hub` where the library `datasets` does
    (left out where it cannot). `splits` names, for each split, what is in the path of its files; for a source without
    files it says what the split is. `files` is the pattern of a folder's files.
    """

    model_config = ConfigDict(extra="forbid")

    title: str
    read: str
    home: str
    licence: str
    languages: list[Literal["zh", "en"]]
    task: str
    splits: dict[str, str]
    files: str = "**/*"
    hub: Hub | None = None
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

    A source of rows has these keys besides: `path`, a file or a folder, or `from: home`; `part`, what a file of the
    folder must have in its path (by default what the catalogue names for `split`, else all files are read, unless
    they say by their names that they are of several splits), or the hub's split (by default the one of the name);
    `encoding` of text files; `revision` of the hub's set.

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
        """The keys that stand beside those of every source, typed."""
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
        parameters = {key: getattr(model, key) for key in allowed.model_fields}
        if _of_rows(_function(self.name)):
            self._check_place(parameters)
        return parameters

    def questions(self) -> Iterator[Question | LeftOut]:
        """The rows of the source, good and bad; a question without `meta["type"]` is given one."""
        function, parameters = _function(self.name), self.parameters()
        if _of_rows(function):
            own = {key: value for key, value in parameters.items() if key not in _PLACE}
            found = each(self._rows(parameters), functools.partial(function, **own))
        else:
            found = function(split=self.split, **parameters)
        for row in found:
            if isinstance(row, Question):
                row.meta.setdefault("type", question_type(row))
            yield row

    def files(self) -> list[Path]:
        """The files that the source reads: its parameters that are paths, folders by the files in them."""
        files: list[Path] = []
        for key, path in self.parameters().items():
            if not isinstance(path, Path):
                continue
            if key == "path" and path.exists() and _of_rows(_function(self.name)):
                files += files_of(path, catalogue()[self.name].files, self._part())
            else:
                files += sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
        return files

    def _part(self) -> str | None:
        """What a file of a folder has in its path; None where neither recipe nor catalogue tells splits by files."""
        if given := (self.model_extra or {}).get("part"):
            return str(given)
        splits = catalogue()[self.name].splits
        return splits.get(self.split, "") if splits else None

    def _check_place(self, parameters: dict[str, Any]) -> None:
        entry = catalogue()[self.name]
        if (parameters["path"] is None) == (parameters["from"] is None):
            way = "path, a file or folder of its rows" + (", or from: home" if entry.hub else "")
            raise ValueError(f"source {self.name!r} is read from one place; give {way}")
        if parameters["from"] is None:
            return
        if entry.hub is None:
            raise ValueError(f"source {self.name!r} is on no hub; fetch it from its home ({entry.home}), give its path")
        if self.split not in entry.splits and not parameters["part"]:
            known = ", ".join(entry.splits)
            raise ValueError(f"source {self.name!r} has no split {self.split!r} at home (it has: {known}); give `part`")

    def _rows(self, parameters: dict[str, Any]) -> Iterator[Row]:
        entry = catalogue()[self.name]
        if parameters["from"]:
            assert entry.hub is not None  # checked as the recipe was read
            rows = hub_rows(entry.hub, parameters["part"] or self.split, parameters["revision"])
        else:
            rows = file_rows(parameters["path"], entry.files, self._part(), parameters["encoding"])
        lang = entry.languages[0] if len(entry.languages) == 1 else None
        in_folder = parameters["path"] is not None and parameters["path"].is_dir()
        for name, value in rows:
            yield Row(self.name, self.split, entry.licence, lang, name, value, in_folder)


_PLACE: dict[str, Any] = {
    "path": (Path | None, None),
    "from": (Literal["home"] | None, None),
    "part": (str | None, None),
    "encoding": (str, DEFAULT_ENCODING),
    "revision": (str | None, None),
}


@functools.cache
def _function(name: str) -> Read:
    entries = catalogue()
    if name not in entries:
        raise ValueError(f"the catalogue has no source {name!r}" + did_you_mean(name, entries))
    module, _, function = entries[name].read.rpartition(".")
    found: Read = getattr(importlib.import_module(module), function)
    return found


def _of_rows(function: Read) -> bool:
    """Whether a source takes raw rows, and does not make its questions."""
    return "row" in inspect.signature(function).parameters


@functools.cache
def _parameters(name: str) -> type[BaseModel]:
    """The keys that a source's function takes as a model, so that a recipe's values are checked and converted."""
    function = _function(name)
    hints = typing.get_type_hints(function)
    fields: dict[str, Any] = {
        key: (hints[key], ... if parameter.default is inspect.Parameter.empty else parameter.default)
        for key, parameter in inspect.signature(function).parameters.items()
        if key not in ("split", "row")
    }
    if _of_rows(function):
        fields = _PLACE | fields
    return create_model(f"{name}_parameters", __config__=ConfigDict(extra="forbid"), **fields)
