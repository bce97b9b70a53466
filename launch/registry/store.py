"""The versions in MLflow: each a model version and a run, whose artifacts are the version's parts.

The weights stay where they are; a version names their folder and their hash. MLflow loads nothing of a model here, so
nothing is ever unpickled.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval_adapters.identity import model_hash
from launch.registry import champions, serving
from launch.registry.outcomes import Outcomes
from launch.registry.parts import Parts, Training, write_evaluated, write_training
from launch.registry.settings import CHALLENGER, CHAMPION, RegistrySettings
from launch.registry.version import TAG, Version, version_of
from reward_plugins.errors import Refused
from reward_plugins.files import write_whole

if TYPE_CHECKING:
    from mlflow import MlflowClient

_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # Its own are seven tries of 120 s each: a server that is away would be told of after a quarter of an hour.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Put in before MLflow is imported, where the user did not set them."""


class Registry:
    """A registry that is there. The methods that change it are called inside `alone`."""

    def __init__(self, settings: RegistrySettings) -> None:
        """Open the registry; its folder and database are made where they are missing.

        Raises:
            Refused: the address is none of a registry, or the folder belongs to another one.
        """
        settings.need_fit_uri()
        prepare()
        from mlflow import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        self.settings = settings
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.client: MlflowClient = MlflowClient(settings.store, settings.store)
        self._need_own_folder()
        known = self._known_experiment() if self._note.is_file() else None
        if known is None:
            with self.alone(wait=True):
                known = self._made()
        self._experiment = known

    @contextmanager
    def alone(self, wait: bool = False) -> Iterator[None]:
        """Keep every other `finr1 models` command that changes this folder's registry out.

        Raises:
            Refused: another one is at work, and `wait` is false.
        """
        with (self.settings.folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Refused(
                    f"another finr1 models command is changing the registry in {self.settings.folder}; nothing was changed "
                    "by this one: look at `finr1 models list` and run it again"
                ) from None
            yield

    def versions(self) -> list[Version]:
        """All versions, the oldest first."""
        from mlflow.store.entities import PagedList

        aliases = self.aliases()
        found: list[Version] = []
        token: str | None = None
        while True:
            page: PagedList[Any] = self.client.search_model_versions(
                f"name='{self.settings.name}'", max_results=1000, page_token=token
            )
            found += [version_of(each, aliases) for each in page if f"{TAG}sha256" in each.tags]
            token = page.token
            if not token:
                return sorted(found, key=lambda version: version.number)

    def version(self, word: str | int) -> Version:
        """A version by its number or alias; `Refused` where there is none."""
        versions = self.versions()
        found = next((each for each in versions if str(word) in (str(each.number), *each.aliases)), None)
        if found is None:
            known = ", ".join([str(each.number) for each in versions] + sorted(self.aliases()))
            raise Refused(f"no version {word!r} is registered; there are {known or 'none yet'} (finr1 models list)")
        return found

    def aliases(self) -> dict[str, int]:
        """The version of each alias."""
        return {alias: int(number) for alias, number in self._model().aliases.items()}

    def events(self) -> list[champions.Event]:
        """The history of the champion, the oldest event first."""
        return champions.read(self._model().tags)

    def outcomes(self, version: Version) -> Outcomes | None:
        """A version's evaluation, None where it has none."""
        place = version.tags.get("evaluation")
        if place is None:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            file = self.client.download_artifacts(version.run_id, f"{place}/outcomes.json", scratch)
            return Outcomes.model_validate_json(Path(file).read_text(encoding="utf-8"))

    def artifacts(self, version: Version) -> str:
        """Where MLflow keeps a version's parts."""
        return str(self.client.get_run(version.run_id).info.artifact_uri)

    def find(self, sha256: str) -> Version | None:
        """The version with these weights."""
        return next((each for each in self.versions() if each.sha256 == sha256), None)

    def parent_of(self, training: Training) -> Version | None:
        """The newest version whose weights the run read."""
        for version in reversed(self.versions()):
            if version.weights and set(version.weights.values()) <= training.read_weights:
                return version
        return None

    def add(self, parts: Parts, tags: dict[str, str]) -> Version:
        """Make a version of parts; it is there with all of them or not at all."""
        run_id = self.client.create_run(self._experiment, tags={f"{TAG}sha256": parts.sha256}).info.run_id
        tags = {
            "sha256": parts.sha256,
            "folder": str(parts.folder),
            "weights": json.dumps(parts.weights),
            **self.carry(run_id, parts),
            **tags,
        }
        source = self.client.get_run(run_id).info.artifact_uri
        self.client.set_terminated(run_id)
        made = self.client.create_model_version(
            self.settings.name,
            source,
            run_id,
            tags={TAG + name: value for name, value in tags.items()},
            await_creation_for=0,
        )
        return self.version(int(made.version))

    def carry(self, run_id: str, parts: Parts) -> dict[str, str]:
        """Store a run and an evaluation, each in a folder of its own name; returns the tags that point there."""
        tags: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as scratch:
            if parts.training:
                tags["run"] = f"training-{parts.training.digest}"
                (place := Path(scratch, tags["run"])).mkdir()
                write_training(parts.training, place)
                if parts.training.curves:
                    tags["curves"] = ", ".join(parts.training.curves.points)
                    self._draw(run_id, parts.training)
            if parts.evaluated:
                tags["evaluation"] = f"evaluation-{parts.evaluated.digest}"
                tags["scores"] = parts.evaluated.outcomes.scores()
                (place := Path(scratch, tags["evaluation"])).mkdir()
                write_evaluated(parts.evaluated, place)
            self.client.log_artifacts(run_id, scratch)
        return tags

    def note(self, number: int, tags: dict[str, str]) -> None:
        """Put tags on a version."""
        for name, value in tags.items():
            self.client.set_model_version_tag(self.settings.name, str(number), TAG + name, value)

    def need_same_weights(self, version: Version) -> None:
        """Refuse a version whose folder does not hold what was registered; takes as long as reading the weights."""
        if not version.folder.is_dir():
            raise Refused(
                f"version {version.number}: its folder {version.folder} is not on this machine; put it back, or register the "
                "same weights where they are now"
            )
        if model_hash(version.folder) != version.sha256:
            raise Refused(
                f"version {version.number}: {version.folder} was changed since it was registered; put the old files back, or "
                "register what is there now as a version of its own: finr1 models register FOLDER"
            )

    def set_alias(self, alias: str, version: Version) -> None:
        """Let an alias stand for a version, in one step."""
        self.client.set_registered_model_alias(self.settings.name, alias, str(version.number))

    def drop_alias(self, alias: str) -> None:
        """Take an alias away."""
        self.client.delete_registered_model_alias(self.settings.name, alias)

    def crown(self, version: Version, event: champions.Event) -> list[str]:
        """Make a version (whose weights were looked at) the champion: the event, the alias, then what follows it.

        Returns what could not be followed, as `mend` does.
        """
        tag = champions.key(len(self.events()) + 1)
        self.client.set_registered_model_tag(self.settings.name, tag, event.model_dump_json())
        self.set_alias(CHAMPION, version)
        if (stands := self.aliases().get(CHAMPION)) != version.number:
            raise Refused(f"another machine made version {stands} the champion meanwhile; see `finr1 models list`")
        return self.mend(sure={version.number})

    def mend(self, sure: Set[int] = frozenset()) -> list[str]:
        """Bring the history, the challenger and the serving links in line with the champion's alias.

        That is the end of every change, and it finishes or takes back what a killed command left. Returns what could
        not be followed here. `sure`: versions whose weights were looked at just now.
        """
        events, aliases = self.events(), self.aliases()
        champion = aliases.get(CHAMPION)
        if champion is not None and champion != (events[-1].version if events else None):
            self._mend_history(events, champion)
        elif champion is None and len(events) == 1:  # the first promotion was cut off
            self._drop_event(1)
        if champion is not None and aliases.get(CHALLENGER) == champion:
            self.drop_alias(CHALLENGER)
        return self._follow(sure)

    def _mend_history(self, events: list[champions.Event], champion: int) -> None:
        if events and events[-1].was == champion:
            self._drop_event(len(events))
            return
        was = events[-1].version if events else None
        event = champions.Event(event="set elsewhere", version=champion, was=was, at=now())
        self.client.set_registered_model_tag(
            self.settings.name, champions.key(len(events) + 1), event.model_dump_json()
        )

    def _drop_event(self, place: int) -> None:
        self.client.delete_registered_model_tag(self.settings.name, champions.key(place))

    def _follow(self, sure: Set[int]) -> list[str]:
        known = serving.served(self.settings.folder)
        wanted: dict[str, serving.Served] = {}
        notes: list[str] = []
        versions = {version.number: version for version in self.versions()}
        for alias, number in sorted(self.aliases().items()):
            version = versions.get(number)
            if version is None:
                notes.append(
                    f"{alias} stands for version {number}, which finr1 models did not register; it is not followed"
                )
                continue
            try:
                if number not in sure and known.get(alias) != version.served:
                    self.need_same_weights(version)
            except Refused as trouble:
                left = known.get(alias)
                if left:
                    wanted[alias] = left
                stays = f"stays at version {left.version}" if left else "is not there"
                notes.append(f"{serving.link(self.settings.folder, alias)} {stays}: {trouble}")
            else:
                wanted[alias] = version.served
        serving.follow(self.settings.folder, wanted)
        return notes

    def _draw(self, run_id: str, training: Training) -> None:
        """The curves as MLflow's own metrics, so that its page draws them, too."""
        from mlflow.entities import Metric

        points = training.curves.points if training.curves else {}
        metrics = [Metric(name, value, 0, int(step)) for name, curve in points.items() for step, value in curve]
        for start in range(0, len(metrics), 1000):  # the most that MLflow takes at once
            self.client.log_batch(run_id, metrics=metrics[start : start + 1000])

    @property
    def _note(self) -> Path:
        """Says whose folder it is; written when everything there is made."""
        return self.settings.folder / "registry.json"

    def _known_experiment(self) -> str | None:
        known = self.client.get_experiment_by_name(self.settings.name)
        return None if known is None else str(known.experiment_id)

    def _made(self) -> str:
        """Make the registered model and the experiment where they are missing; returns the experiment's id."""
        settings = self.settings
        if not self.client.search_registered_models(f"name='{settings.name}'"):
            self.client.create_registered_model(settings.name)
        # SQLite's artifacts lie beside it; a server or database says itself where its own are.
        place = (settings.folder.absolute() / "artifacts").as_uri() if settings.is_local else None
        known = self._known_experiment() or str(self.client.create_experiment(settings.name, artifact_location=place))
        write_whole(self._note, json.dumps({"uri": settings.uri, "name": settings.name}) + "\n")
        return known

    def _need_own_folder(self) -> None:
        """A folder's links belong to one name of one registry: two would move each other's champion."""
        if not self._note.is_file():
            return
        try:
            said = dict(json.loads(self._note.read_text(encoding="utf-8")))
        except ValueError:
            raise Refused(f"{self._note} is broken: delete it, the next command writes it anew") from None
        if said != {"uri": self.settings.uri, "name": self.settings.name}:
            raise Refused(
                f"{self.settings.folder} belongs to {said.get('name')} at {said.get('uri') or 'its own database'}; give this registry "
                "a folder of its own with --folder"
            )

    def _model(self) -> Any:
        return self.client.get_registered_model(self.settings.name)


@contextmanager
def opened(settings: RegistrySettings) -> Iterator[Registry]:
    """A registry for a command.

    Raises:
        Refused: what MLflow complains of, such as a server that is away or wants a password, in its first words.
    """
    prepare()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    place = settings.uri or settings.folder
    try:
        yield Registry(settings)
    except (MlflowException, SQLAlchemyError) as error:
        if settings.uri.startswith("http") and isinstance(
            error.__context__, OSError
        ):  # of requests: no connection, or no answer in time
            raise Refused(f"nothing answers at {place}: start the MLflow server, or see --uri") from None
        said = " ".join(str(error).split())[:300]
        raise Refused(f"the registry at {place} cannot be used: {said}") from None


def prepare() -> None:
    """Set what MLflow reads from the environment when it is imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def now() -> str:
    """The time for a record, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")
