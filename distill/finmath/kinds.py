"""The register of problem kinds: one decorated function is one kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distill.finmath.draft import Draft, Problem
from distill.finmath.wording import Text

Make = Callable[[Draft], Problem]


@dataclass(frozen=True, slots=True)
class Kind:
    """A sort of problem: `field` is the field of finance, `make` draws one problem at the draft's level."""

    name: str
    field: str
    title: Text
    make: Make


KINDS: dict[str, Kind] = {}


def kind(field: str, en: str, zh: str) -> Callable[[Make], Make]:
    """Register a function as the kind of its own name, with a title in both languages."""

    def register(make: Make) -> Make:
        name = make.__name__
        if name in KINDS:
            raise ValueError(f"two kinds are called {name}")
        KINDS[name] = Kind(name, field, Text(en, zh), make)
        return make

    return register
