"""Where a registry is."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from reward_plugins.errors import Refused

CHAMPION, CHALLENGER = "champion", "challenger"
"""The aliases that the kit gives a meaning: the version that is served, and the one that is tried beside it."""

_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql")
"""Those of MLflow that hold a registry with aliases and are not one vendor's cloud."""


class RegistrySettings(BaseModel):
    """One line of versions of one model.

    `folder` is this machine's part: the database and the artifacts where there is no server, the lock, and `serving/`.
    `uri` is an MLflow server or database ("" for SQLite in the folder). `name` is the registered model's name there.
    """

    model_config = ConfigDict(extra="forbid")

    folder: Path
    uri: str = ""
    name: str = Field("finr1", pattern=r"^[\w.-]+$")

    @property
    def is_local(self) -> bool:
        """Whether the records are files of this folder, so that nothing else can write them."""
        return not self.uri

    @property
    def store(self) -> str:
        """What MLflow calls the tracking and registry URI."""
        return self.uri or f"sqlite:///{self.folder.absolute() / 'mlflow.db'}"

    def need_fit_uri(self) -> None:
        """Refuse an address that holds a password (it would show in the list of processes), or no registry."""
        address = urlsplit(self.uri)
        if address.password:
            raise Refused(
                "the registry's address holds a password: leave it out and set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD (a server) or the database's own password file"
            )
        if self.uri and address.scheme.partition("+")[0] not in _SCHEMES:
            raise Refused(
                f"{self.uri} is no registry that the kit can use; give an MLflow server (http://...), a database "
                "(sqlite:///FILE, postgresql://...), or nothing for SQLite in the registry's folder"
            )
