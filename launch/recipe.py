"""A recipe is one YAML file that is one run: how it is read, overridden, and refused before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from launch.paths import KIT, home
from reward_plugins.errors import Refused, did_you_mean

S = TypeVar("S", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML as `safe_load` reads it, but a key given twice is an error and `1e-5` is a number."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue  # `<<: *common` takes over another mapping's keys; one's own win
        name = loader.construct_object(key)
        if not isinstance(name, Hashable):
            continue  # `construct_mapping` says where it stands
        if name in seen:
            raise Refused(f"key {name!r} stands twice (line {key.start_mark.line + 1}); leave one")
        seen.add(name)
    return loader.construct_mapping(node, deep=True)


# YAML 1.1 takes `1e-5` for a string, and a trainer would fail on it late; people mean a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def find(name: str | Path) -> Path:
    """The file of a recipe: from where the user stands, from the home folder, or from the kit.

    Raises:
        Refused: it is in none of them.
    """
    for base in (Path.cwd(), home(), KIT):
        path = base / name
        if path.is_file():
            return path.resolve()
    shipped = [str(path.relative_to(KIT)) for path in sorted((KIT / "recipes").rglob("*.yaml"))]
    raise Refused(f"no recipe at {name}{did_you_mean(str(name), shipped)}")


def load(name: str | Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """Read a recipe and apply `key=value` overrides; a dot in a key goes one level down (`generation.max_tokens=64`).

    Raises:
        Refused: no such file, no YAML mapping, a key twice, or an override that is not `key=value`.
    """
    path = find(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(f"{path} is not in UTF-8; save it so in the editor") from None
    try:
        recipe = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise Refused(f"{path} is not YAML: {_not_yaml(error, text.splitlines())}") from None
    except (Refused, ValueError) as error:  # a value in the form of a date that is none, for one
        raise Refused(f"{path}: {error}") from None
    if not isinstance(recipe, dict):
        raise Refused(f"{path} must be a YAML mapping of keys to values")
    return overridden(recipe, overrides)


def _not_yaml(error: yaml.YAMLError, lines: list[str]) -> str:
    """Where the text stops being YAML, and why where it is one of the usual slips."""
    # The line that the parser was in the middle of says more than the one at which it gave up.
    mark = getattr(error, "context_mark", None) or getattr(error, "problem_mark", None)
    if mark is None or mark.line >= len(lines):
        return " ".join(str(error).split())
    line = lines[mark.line]
    said = getattr(error, "problem", None) or "it cannot be read"
    if line.startswith("\t") or "\\t" in said:
        said = "a line begins with a tab; indent with spaces"
    elif re.match(r"\s*[\w.-]+\s*：", line):
        said = "the colon is a full-width one; write ': ', a plain colon and a space"
    elif re.match(r"\s*[\w.-]+:\S", line):
        said = "a space is missing after the colon"
    return f"line {mark.line + 1}, {line.strip()!r}: {said}"


def overridden(recipe: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """The recipe with `key=value` overrides put in; `Refused` for one that is not so."""
    for override in overrides:
        _override(recipe, override)
    return recipe


def settings(kind: type[S], recipe: dict[str, Any], where: str | Path = "the recipe") -> S:
    """Turn a recipe into a stage's settings.

    Raises:
        Refused: an unknown key (with a suggestion), a missing one, or a value of the wrong type.
    """
    try:
        return kind.model_validate(recipe)
    except ValidationError as error:
        raise Refused(f"{where}: {_another_kind(kind, recipe, error) or _complaints(kind, error)[0]}") from None


def complaints(kind: type[BaseModel], recipe: dict[str, Any]) -> list[str]:
    """All that makes a recipe unfit for a stage's settings, a sentence each; [] where it fits."""
    try:
        kind.model_validate(recipe)
    except ValidationError as error:
        return _complaints(kind, error)
    return []


def _another_kind(kind: type[BaseModel], recipe: dict[str, Any], error: ValidationError) -> str:
    """What to say of a recipe that was given to another command than its own; "" where it was not."""
    from launch.check.kinds import command_of  # which reads recipes itself, and imports all stages

    unknown = [str(each["loc"][0]) for each in error.errors() if each["type"] == "extra_forbidden"]
    command = command_of(recipe, kind) if unknown else None
    return f"it is a recipe for `finr1 {command}`; here nobody knows {', '.join(unknown[:4])}" if command else ""


# What is given under these, or as an address, may hold an API's key, where it must not be, and is not repeated.
_MAY_HOLD_A_KEY = re.compile(r"key|url|header|body", re.IGNORECASE)


def _complaints(kind: type[BaseModel], error: ValidationError) -> list[str]:
    said = []
    # An unknown key first: it explains the "missing" one that it was meant to be.
    for each in sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden"):
        *parents, key = [str(part) for part in each["loc"]] or [""]
        dotted = ".".join([*parents, key])
        if each["type"] == "extra_forbidden":
            known = _fields(kind, [part for part in parents if not part.isdigit()])
            said.append(f"unknown key {dotted!r}{did_you_mean(key, known)}")
        elif each["type"] == "missing":
            said.append(f"key {dotted!r} is missing")
        elif not each["loc"]:  # of the recipe as a whole: the input is all of it
            said.append(each["msg"].removeprefix("Value error, "))
        else:
            may_hold_a_key = _MAY_HOLD_A_KEY.search(dotted) or "://" in str(each["input"])
            got = "" if may_hold_a_key else f" (got {each['input']!r})"
            said.append(f"{dotted}: {each['msg'].removeprefix('Value error, ')}{got}")
    return said


def _override(recipe: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise Refused(f"--set takes key=value, not {override!r}")
    *parents, key = dotted.split(".")
    place: Any = recipe
    for parent in parents:
        place = place[_entry(place, parent, dotted)] if isinstance(place, list) else place.setdefault(parent, {})
        if not isinstance(place, dict | list):
            raise Refused(f"--set {dotted}: {parent!r} holds a value, not a mapping")
    try:
        value = yaml.load(text, Loader=_Loader) if text else None  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError):
        raise Refused(
            f"--set {dotted}: {text!r} is not YAML; a text with such marks goes into quotes: '\"...\"'"
        ) from None
    place[_entry(place, key, dotted) if isinstance(place, list) else key] = value


def _entry(place: list[Any], word: str, dotted: str) -> int:
    if word.isdecimal() and int(word) < len(place):
        return int(word)
    raise Refused(f"--set {dotted}: {word!r} is no entry of that list; it has {len(place)}, counted from 0")


def _fields(kind: type[BaseModel], parents: list[str]) -> list[str]:
    """The keys that are known at a place inside nested settings; unions offer the keys of all their members."""
    level: list[type[BaseModel]] = [kind]
    for parent in parents:
        level = [
            inner
            for model in level
            if parent in model.model_fields
            for inner in _models(model.model_fields[parent].annotation)
        ] or level
    return sorted({name for model in level for name in model.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models(part)]
