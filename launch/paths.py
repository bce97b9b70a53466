"""Where things are: the kit's own files, and the folder that a user works in."""

from __future__ import annotations

import os
from pathlib import Path

KIT = Path(__file__).resolve().parent.parent
"""The checkout: recipes, stacks, packages, and (ignored by git) `.venvs` and `.cache`."""

# A variable that is set to nothing names nothing.
STACKS = Path(os.environ.get("FINR1_STACKS") or KIT / ".venvs")
CACHE = Path(os.environ.get("FINR1_CACHE") or KIT / ".cache")

STARTED_IN = Path.cwd()
"""The folder that the command was given in; recipes named on its line are found from there."""


def home() -> Path:
    """The folder that relative paths in a recipe start from, and where `dataset_info.json` and `runs/` are.

    It is the checkout, as in every README, unless `FINR1_HOME` names another one.
    """
    return Path(os.environ.get("FINR1_HOME") or KIT).resolve()
