"""Weights by alias: a gateway whose versions are those of the registry follows its champion."""

from __future__ import annotations

from collections import Counter

from launch.gateway.settings import GatewaySettings
from launch.paths import home
from launch.registry import served
from launch.registry.settings import CHAMPION
from reward_plugins.errors import Refused


def followed(settings: GatewaySettings) -> GatewaySettings:
    """The recipe with the weights that the registry's aliases give now; as it is where it names no registry.

    An alias that stands for nothing has no users (without a challenger the champion has them all).

    Raises:
        Refused: there is no champion, or an alias stands for a version that the recipe names no server of.
    """
    if settings.registry is None or settings.weights is None:
        return settings
    aliases = served(home() / settings.registry)
    if CHAMPION not in aliases:
        raise Refused(f"the registry {settings.registry} has no champion yet: finr1 models promote VERSION makes one")
    shares: Counter[str] = Counter()
    for alias, weight in settings.weights.items():
        if weight and alias in aliases:
            name = f"v{aliases[alias].version}"
            if name not in settings.versions:
                raise Refused(
                    f"{alias} is version {aliases[alias].version} of the registry, and the recipe names no server for it: "
                    f"serve {aliases[alias].model} and add {name}: {{url: ...}} to versions"
                )
            shares[name] += weight
    if not shares:
        raise Refused(f"no alias of weights stands for a version in {settings.registry}; give the champion a weight")
    versions = {name: each.model_copy(update={"weight": shares[name]}) for name, each in settings.versions.items()}
    return settings.model_copy(update={"versions": versions, "registry": None, "weights": None})
