"""Versions of a model: what each was made of, which one is served, and the way back to the last good one.

The records are MLflow's (model registry, runs, artifacts); this package says what goes into them and what may become
the champion. Servers and gateways need no MLflow: `served` reads the file that follows the aliases.
"""

from launch.registry.serving import Served, link, served
from launch.registry.settings import CHALLENGER, CHAMPION, RegistrySettings

__all__ = ["CHALLENGER", "CHAMPION", "RegistrySettings", "Served", "link", "served"]
