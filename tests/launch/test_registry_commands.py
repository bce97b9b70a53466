"""`finr1 models` as a person runs it; killed between any two of its steps; and with its records on a server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import finr1
from small_versions import Bench

from launch.paths import KIT
from launch.registry import link, served
from launch.registry.changes import promote, roll_back
from launch.registry.settings import RegistrySettings
from launch.registry.store import Registry

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")

# Ends itself, as kill -9 would, just before the n-th call that writes; "done" when there were fewer.
KILLED = """
import os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from launch.registry import changes, serving
from launch.registry.settings import RegistrySettings
from launch.registry.store import Registry

folder, change, last = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
registry = Registry(RegistrySettings(folder=folder))
writes = 0

def fragile(place, name):
    true = getattr(place, name)
    def call(*words, **named):
        global writes
        writes += 1
        if writes == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return true(*words, **named)
    setattr(place, name, call)

for name in ("set_registered_model_tag", "set_registered_model_alias", "delete_registered_model_alias",
             "delete_registered_model_tag", "set_model_version_tag"):
    fragile(MlflowClient, name)
fragile(Path, "symlink_to")
fragile(serving, "write_whole")
changes.promote(registry, "2") if change == "promote" else changes.roll_back(registry)
print("done")
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def consistent(registry: Registry) -> int:
    """The one champion, on which the registry, its history, the link and the file agree."""
    number = registry.aliases()["champion"]
    place = registry.settings.folder
    assert served(place) == {"champion": registry.version(number).served}
    assert link(place, "champion").resolve() == registry.version(number).folder
    assert registry.events()[-1].version == number
    return number


@pytest.mark.parametrize("change", ["promote", "rollback"])
def test_killed_between_any_two_steps_there_is_one_champion(bench: Bench, tmp_path: Path, change: str) -> None:
    registry = bench.registry(tmp_path / "registry")
    bench.add(registry, "base", "sft")
    promote(registry, "1")
    before, after = (1, 2) if change == "promote" else (2, 1)
    champions = []
    for last in range(1, 9):
        if registry.aliases()["champion"] != before:
            promote(registry, "2") if change == "rollback" else roll_back(registry)
        words = [sys.executable, "-c", KILLED, str(registry.settings.folder), change, str(last)]
        done = subprocess.run(words, cwd=KIT, capture_output=True, text=True, timeout=120)
        number = registry.aliases()["champion"]
        champions.append(number)
        if done.stdout.strip() == "done":
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert link(registry.settings.folder, "champion").resolve() in (bench.models["base"], bench.models["sft"])
        assert registry.mend() == []
        assert consistent(registry) == number
    else:
        pytest.fail("the command never came to its end")
    # Killed before the alias moved nothing has happened; after it, everything has.
    assert champions == sorted(champions, reverse=before > after) and champions[0] == before and champions[-1] == after
    assert champions.count(before) == 2 and len(champions) >= 5


def test_the_commands_as_a_person_runs_them(bench: Bench, tmp_path: Path) -> None:
    bench.registry(tmp_path / "runs" / "registry")

    def models(*words: str | Path) -> str:
        done = finr1("models", *words, home=tmp_path, MLFLOW_TRACKING_URI="")
        assert done.returncode == 0, done.stderr
        return done.stdout

    models("register", bench.models["base"], "--report", bench.evaluations)
    assert "version 2 is registered" in models("register", bench.models["sft"], "--report", bench.evaluations)
    said = models("promote", "1")
    assert "version 1 is the champion now" in said and "servers of runs/registry/serving/champion" in said
    assert "+35.0 points" in models("promote", "2")
    models("alias", "challenger", "1")
    listed = models("list")
    assert "champion" in listed and "challenger" in listed and "finmath 45.0% of 40" in listed
    assert [each["aliases"] for each in json.loads(models("list", "--json"))] == [["challenger"], ["champion"]]
    shown = models("show", "champion")
    assert "promoted: champion is 2 (was 1)" in shown and "finmath: +35.0 points" in shown
    assert "version 1 is the champion again" in models("rollback", "--reason", "a trial")
    for words, said in (
        (("promote", "7"), "no version '7' is registered"),
        (("alias", "champion", "2"), "made by finr1 models promote"),
        (("register", tmp_path / "none"), "no folder at"),
        (("rollback",), "is the first champion"),
    ):
        done = finr1("models", *words, home=tmp_path, MLFLOW_TRACKING_URI="")
        assert done.returncode == 2 and said in done.stderr, done.stderr


@contextmanager
def mlflow_server(place: Path) -> Iterator[str]:
    """MLflow's own server on a free port of this machine, with its records below `place`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{place}/server.db", "--artifacts-destination", f"{place}/artifacts"]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (place / "server.log").open("w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=log, env={**os.environ, **quiet}, start_new_session=True)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(180):
            assert server.poll() is None, (place / "server.log").read_text(encoding="utf-8")
            try:
                with urllib.request.urlopen(f"{url}/health", timeout=2):
                    break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_with_the_records_on_a_server(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with mlflow_server(tmp_path / "server") as url:
        registry = Registry(RegistrySettings(folder=tmp_path / "here", uri=url))
        bench.add(registry, "base", "sft")
        promote(registry, "1")
        promote(registry, "2")
        # A second machine, with the same folders and a registry folder of its own.
        there = Registry(RegistrySettings(folder=tmp_path / "there", uri=url))
        assert there.mend() == [] and consistent(there) == 2
        assert roll_back(there).version == 1
        assert registry.mend() == [] and consistent(registry) == 1
        place = registry.artifacts(registry.version(2))
        assert place.startswith("mlflow-artifacts:") and not (tmp_path / "here" / "mlflow.db").exists()
    assert list((tmp_path / "server" / "artifacts").rglob("report.json"))
