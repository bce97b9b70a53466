"""`finr1 serve` on real engines: a plain name, no secret in sight, a killed engine comes back, a stop leaves nothing.

vLLM takes part where FINR1_VLLM_PYTHON names the Python of one that runs here, such as a build for CPUs.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from command import FINR1, finr1
from places import free_port

from launch import stacks
from launch.engine import environment
from launch.listening import why_not_free
from launch.serving.command import OWN_VLLM

CLIENTS = 16
KEY = "sk-of-this-server"
SECRETS = {"OPENAI_API_KEY": "sk-of-a-teacher", "HF_TOKEN": "hf-of-a-person", "DATABASE_URL": "sql://ada:pw@host"}

Kind = Literal["transformers", "vllm"]


@dataclass
class Served:
    """The running command, and what it wrote."""

    kind: Kind
    home: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def events(self) -> list[dict[str, Any]]:
        path = self.home / "runs/server.events.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []

    def wait_for(self, state: str, times: int, seconds: float) -> dict[str, Any]:
        """The event of that state for the n-th time."""
        deadline = time.monotonic() + seconds
        while True:
            found = [event for event in self.events if event["state"] == state]
            if len(found) >= times:
                return found[times - 1]
            said = (self.home / "out").read_text("utf-8")
            assert self.process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.1)

    def group(self) -> list[int]:
        """The processes of the engine that runs now."""
        leader = (self.home / "runs/server.pid").read_text("utf-8").split()[0]
        listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
        rows = [line.split() for line in listed.stdout.splitlines()]
        return [int(pid) for pid, group, state in rows if group == leader and not state.startswith("Z")]

    def ask(self, model: str = "finr1", key: str | None = KEY, timeout: float = 120.0) -> dict[str, Any]:
        messages = [{"role": "user", "content": "What is 12% of 250?"}]
        body = {"model": model, "messages": messages, "max_tokens": 12, "temperature": 0}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(f"{self.url}/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return dict(json.load(answer))

    def outcome(self) -> str:
        """How a request of a client ends; anything but these words is no clean end."""
        try:
            assert self.ask()["choices"][0]["finish_reason"] in ("length", "stop")
        except urllib.error.HTTPError as error:
            return f"status {error.code}"
        except TimeoutError:
            return "hung"
        except (OSError, http.client.RemoteDisconnected):
            return "no connection"  # refused, reset, or closed before a reply began
        return "answered"


@contextmanager
def served(kind: Kind, model: Path, home: Path) -> Iterator[Served]:
    """The real command until the server was asked its question; ended outright if a test has not ended it."""
    port = free_port()
    (home / "runs").mkdir(parents=True)
    options = {
        "transformers": "dtype: float32\nflags: {transformers: {cb-num-blocks: 64}}\n",
        "vllm": "api_key_env: THE_KEY\nmax_model_len: 1024\nflags: {vllm: {enforce-eager: true}}\nstart_s: 400\n",
    }
    recipe = f"model: {model}\nengine: {kind}\nport: {port}\nserved_name: finr1\nlog: runs/server.log\n{options[kind]}"
    (home / "serve.yaml").write_text(recipe, encoding="utf-8")
    env = {**environment(None), **SECRETS, "THE_KEY": KEY, "FINR1_HOME": str(home), "VLLM_CPU_KVCACHE_SPACE": "1"}
    with (home / "out").open("w") as out:
        process = subprocess.Popen(
            [FINR1, "serve", "serve.yaml", "--restart"], cwd=home, env=env, stdout=out, stderr=out, text=True
        )
    server = Served(kind, home, port, process)
    try:
        server.wait_for("asked", 1, 500)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module", params=["transformers", "vllm"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of each engine, with a restart policy. The tests below use it in their order; the last one stops it."""
    kind: Kind = request.param
    if kind == "vllm" and not os.environ.get(OWN_VLLM):
        pytest.skip(f"{OWN_VLLM} names no vLLM that runs here")
    if kind == "transformers":
        stacks.python("rl")  # made first where it is missing, so that the wait below is for the start alone
    # vLLM's attention on a CPU has no kernel for heads as small as the tiny model's.
    model = request.getfixturevalue("tiny_model" if kind == "transformers" else "real_model")
    with served(kind, model, tmp_path_factory.mktemp(kind) / "home") as started:
        yield started


@pytest.mark.timeout(900)
def test_it_answers_to_its_plain_name_and_to_no_other(server: Served) -> None:
    assert server.ask()["model"].split("@")[0] == "finr1"  # transformers serve adds a revision
    with pytest.raises(urllib.error.HTTPError) as refusal:
        server.ask(model=str(server.home))
    assert refusal.value.code in (400, 404)
    if server.kind == "vllm":
        with pytest.raises(urllib.error.HTTPError) as refusal:
            server.ask(key=None)
        assert refusal.value.code == 401


def test_it_says_whether_it_is_well(server: Served) -> None:
    """A model of random words gives no answer: that is told apart from an error, and from being well."""
    done = finr1("health", "serve.yaml", home=server.home, THE_KEY=KEY)
    assert (done.returncode, done.stderr) in ((0, ""), (4, ""))
    assert re.match(r"(answered|no answer): ", done.stdout)
    assert done.stdout.splitlines()[1].startswith("up since 20")
    if server.kind == "vllm":
        done = finr1("health", server.url, home=server.home)
        assert done.returncode == 1
        assert done.stdout.startswith("error: it answered with status 401; it asks for a key")


def test_it_holds_no_secret_but_its_own_key(server: Served) -> None:
    """Read as anybody on the machine with its rights could; vLLM's workers have written their titles over theirs."""
    seen = {pid: Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace") for pid in server.group()}
    assert "HF_HUB_OFFLINE=1\0" in seen[min(seen)]
    for pid, variables in seen.items():
        assert not [value for value in SECRETS.values() if value in variables]
        holders = [pair.split("=")[0] for pair in variables.split("\0") if KEY in pair]
        assert set(holders) <= ({"VLLM_API_KEY"} if server.kind == "vllm" else set())
        assert KEY not in Path(f"/proc/{pid}/cmdline").read_bytes().decode()


@pytest.mark.timeout(900)
def test_killed_under_load_it_comes_back(server: Served) -> None:
    """Every request ends, in an answer or in an error that a client may try again; health says when and why."""
    outcomes: list[Counter[str]] = [Counter() for _ in range(CLIENTS)]
    stop = threading.Event()

    def talk(counts: Counter[str]) -> None:
        while not stop.is_set():
            counts[server.outcome()] += 1
            time.sleep(0.2)

    talkers = [threading.Thread(target=talk, args=(counts,)) for counts in outcomes]
    for talker in talkers:
        talker.start()
    try:
        before: Counter[str] = Counter()
        while sum(before.values()) < 2 * CLIENTS:
            time.sleep(0.5)
            before = sum(outcomes, Counter())
        os.kill(_engine(server), signal.SIGKILL)
        down = server.wait_for("down", 1, 120)
        up = server.wait_for("up", 2, 400)
        time.sleep(3)
    finally:
        stop.set()
        for talker in talkers:
            talker.join(150)
    server.wait_for("asked", 2, 300)
    counts = sum(outcomes, Counter())
    print(f"\n{server.kind}: {dict(counts)}; up again after {up['seconds']} s")
    assert not any(talker.is_alive() for talker in talkers)
    assert before["answered"] and set(before) == {"answered"}
    assert set(counts) <= {"answered", "no connection", "status 500", "status 502", "status 503"}
    assert counts["answered"] > before["answered"]
    assert server.kind == "vllm" or down["why"] == "it was killed by SIGKILL"
    assert [server.outcome() for _ in range(3)] == ["answered"] * 3
    told = finr1("health", "serve.yaml", home=server.home, THE_KEY=KEY).stdout.splitlines()[1]
    assert told == f"up since {up['at']}; went down 1 times since its start, last at {down['at']}: {down['why']}"


def _engine(server: Served) -> int:
    """The process that computes: vLLM's engine core, or the one process of `transformers serve`."""
    names = {pid: Path(f"/proc/{pid}/comm").read_text("utf-8").strip() for pid in server.group()}
    return next((pid for pid, name in names.items() if name.startswith("VLLM::Engine")), min(names))


def test_a_stop_leaves_no_process_and_no_port(server: Served) -> None:
    processes = server.group()
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(60) == 0
    assert not [pid for pid in processes if Path(f"/proc/{pid}").exists()]
    assert why_not_free("127.0.0.1", server.port) == ""
    assert server.events[-1]["state"] == "stopped"


@pytest.mark.timeout(900)
def test_a_killed_command_takes_its_server_along(tiny_model: Path, tmp_path: Path) -> None:
    with served("transformers", tiny_model, tmp_path / "home") as server:
        processes = server.group()
        server.process.kill()
        server.process.wait()
        deadline = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in processes):
            assert time.monotonic() < deadline, processes
            time.sleep(0.1)
        assert why_not_free("127.0.0.1", server.port) == ""
