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

import killed
import pytest
from command import finr1
from small_versions import Bench
from typer.testing import CliRunner

from launch.paths import KIT
from launch.registry import link, served
from launch.registry.changes import promote, roll_back
from launch.registry.commands import app
from launch.registry.settings import RegistrySettings
from launch.registry.store import Registry, opened
from reward_plugins.errors import Refused

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


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
    registry = bench.registry(tmp_path / "registry", full=True)
    promote(registry, "1")
    before, after = (1, 2) if change == "promote" else (2, 1)
    champions = []
    for last in range(1, 12):
        if registry.aliases()["champion"] != before:
            promote(registry, "2") if change == "rollback" else roll_back(registry)
        code = killed.run(registry.settings.folder, change, last)
        number = registry.aliases()["champion"]
        champions.append(number)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert link(registry.settings.folder, "champion").resolve() in (bench.models["base"], bench.models["sft"])
        assert registry.mend() == []
        assert consistent(registry) == number
    else:
        pytest.fail("the command never came to its end")
    # Killed before the alias moved, nothing has happened; after it, everything has.
    assert champions[:3] == [before, before, after] and set(champions[2:]) == {after} and len(champions) >= 5


def test_the_commands_as_a_person_runs_them(bench: Bench, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    bench.registry(home / "runs" / "registry")

    def models(*words: str | Path) -> str:
        done = CliRunner().invoke(app, [*map(str, words)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
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
    assert json.loads(models("show", "2", "--json"))["events"][0]["was"] == 1
    monkeypatch.setenv("COLUMNS", "80")
    narrow = models("list")
    hashes = [each["sha256"][:12] for each in json.loads(models("list", "--json"))]
    assert all(each in narrow for each in [*hashes, "champion", "challenger", "finmath 45.0% of 40"])
    assert max(map(len, narrow.splitlines())) <= 80
    assert "version 1 is the champion again" in models("rollback", "--reason", "a trial")
    for words, why in (
        (("promote", "7"), "no version '7' is registered"),
        (("alias", "champion", "2"), "made by finr1 models promote"),
        (("alias", "challenger"), "give a version for the alias"),
        (("register", home / "none"), "no folder at"),
        (("rollback",), "is the first champion"),
        (("promote", "2", "--gateway", home / "none.yaml"), "no recipe at"),
    ):
        with pytest.raises(Refused, match=why):
            models(*words)
    assert served(home / "runs" / "registry")["champion"].version == 1, "what is refused has changed nothing"
    done = finr1("models", "promote", "2", "--force", home=home, MLFLOW_TRACKING_URI="")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("finr1: --force and --reason TEXT go")


def test_no_usage_is_reported_and_no_model_code_is_loaded(bench: Bench, tmp_path: Path) -> None:
    folder = bench.registry(tmp_path / "registry", full=True).settings.folder
    code = (
        "import sys; from pathlib import Path\n"
        "from launch.registry.changes import promote; from launch.registry.store import Registry\n"
        "from launch.registry.settings import RegistrySettings\n"
        f"promote(Registry(RegistrySettings(folder=Path({str(folder)!r}))), '1')\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled\n"
        "print(is_telemetry_disabled(), 'mlflow.pyfunc.model' in sys.modules, 'torch' in sys.modules)"
    )
    bare = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_") and key != "CI"}
    done = subprocess.run([sys.executable, "-c", code], cwd=KIT, capture_output=True, text=True, env=bare, timeout=300)
    assert done.stdout.split() == ["True", "False", "False"], done.stderr


@contextmanager
def mlflow_server(place: Path) -> Iterator[str]:
    """MLflow's own server on a free port of this machine, with its records below `place`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Bounded, so that it does not outlive tests that were killed.
    words = [
        "timeout",
        "300",
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
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


def test_a_registry_that_cannot_be_used_is_told_in_words(home: Path, tmp_path: Path) -> None:
    """No database but other bytes; a folder's note that is broken."""
    (tmp_path / "mlflow.db").write_bytes(bytes(range(256)) * 20)
    with pytest.raises(Refused, match=r"cannot be used: .*not a database"), opened(RegistrySettings(folder=tmp_path)):
        pass
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "registry.json").write_text("{", encoding="utf-8")
    broken = RegistrySettings(folder=tmp_path / "broken")
    with pytest.raises(Refused, match=r"registry.json is broken: delete it"), opened(broken):
        pass


def test_a_broken_file_of_what_is_served_is_written_anew(bench: Bench, tmp_path: Path) -> None:
    registry = bench.registry(tmp_path / "registry", full=True)
    promote(registry, "1")
    file = tmp_path / "registry" / "serving" / "serving.json"
    before = file.read_bytes()
    file.write_bytes(before[: len(before) // 2])
    assert served(tmp_path / "registry") == {}
    with registry.alone():
        registry.mend()
    assert file.read_bytes() == before
