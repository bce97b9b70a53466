"""A change of a registry by a process that ends itself, as `kill -9` would end it, before one of its writes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any


def run(folder: Path, change: str, last: int) -> int:
    """Promote version 2 or roll back, killed before write number `last`; returns the exit code: 0, -9, or 1.

    The process comes from a fork server that has MLflow loaded, and no database open.
    """
    context = multiprocessing.get_context("forkserver")
    stores = ["mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store"]
    context.set_forkserver_preload(["mlflow", *stores, "launch.registry.changes"])
    process = context.Process(target=_change, args=(folder, change, last))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def _change(folder: Path, change: str, last: int) -> None:
    from mlflow import MlflowClient

    from launch.registry import changes, serving
    from launch.registry.settings import RegistrySettings
    from launch.registry.store import Registry

    registry = Registry(RegistrySettings(folder=folder))
    writes = 0

    def fragile(place: Any, name: str) -> None:
        true = getattr(place, name)

        def call(*words: Any, **named: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return true(*words, **named)

        setattr(place, name, call)

    for of_alias in ("set_registered_model_alias", "delete_registered_model_alias"):
        fragile(MlflowClient, of_alias)
    for of_tag in ("set_registered_model_tag", "delete_registered_model_tag", "set_model_version_tag"):
        fragile(MlflowClient, of_tag)
    fragile(Path, "symlink_to")
    fragile(serving, "write_whole")
    if change == "promote":
        changes.promote(registry, "2")
    else:
        changes.roll_back(registry)
