"""HAProxy as the recipe configures it, before servers that say which version they are."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest
import xxhash
from command import FINR1, finr1
from gateway_clients import CLIENTS, Client, Talk, known_to_be_down, log_rows, one_worker, wait_until, weighed, workers
from versions_behind import KEY, QUESTION, Behind, chat, need_haproxy, recipe_for, version

from launch.engine import _birth
from launch.gateway import running
from launch.gateway.render import PLACES, begins


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)


@pytest.fixture
def two() -> Iterator[tuple[Behind, Behind]]:
    with version("v1") as first, version("v2") as second:
        yield first, second


def test_without_a_key_it_answers_401_and_no_server_is_asked(two: tuple[Behind, Behind]) -> None:
    with recipe_for({"v1": (two[0].url, 1)}) as settings, running.gateway(settings):
        for key in (None, "", "wrong", KEY + "x", KEY[:-1]):
            status, headers, body = Client(settings, key).ask(chat(QUESTION))
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert "key" in json.loads(body)["error"]["message"]
        assert Client(settings, None).ask(None, "/v1/models")[0] == 401
        assert Client(settings, None).ask(chat(QUESTION), "/finr1/route")[0] == 401
    assert not two[0].seen


def test_only_the_models_own_paths_are_open(two: tuple[Behind, Behind]) -> None:
    with recipe_for({"v1": (two[0].url, 1)}) as settings, running.gateway(settings):
        client = Client(settings)
        assert client.ask(None, "/v1/models")[0] == 200
        for path in ("/metrics", "/v1/load_lora_adapter", "/sleep", "/v1/chat/completions/../../metrics", "/"):
            assert client.ask(chat(QUESTION), path)[0] == 404


def test_a_server_sees_neither_the_gateways_key_nor_who_asks(
    two: tuple[Behind, Behind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVERS_KEY", "the-servers-own")
    versions = {
        "v1": {"url": two[0].url, "weight": 1, "health": None},
        "v2": {"url": two[1].url, "weight": 1, "health": None, "api_key_env": "SERVERS_KEY"},
    }
    told = {"X-OpenWebUI-User-Id": "u1", "X-OpenWebUI-User-Email": "a@b.c", "X-OpenWebUI-User-Name": "A"}
    with recipe_for({}, versions=versions) as settings, running.gateway(settings):
        client = Client(settings)
        for number in range(20):
            assert client.ask(chat(QUESTION), **{**told, "X-OpenWebUI-User-Id": f"u{number}"})[0] == 200
        environment = Path(f"/proc/{workers(settings)[0]}/environ").read_bytes()
    for headers, _ in two[0].seen:
        assert not {name for name in headers if name.lower().startswith(("x-openwebui", "authorization"))}
    assert {headers["Authorization"] for headers, _ in two[1].seen} == {"Bearer the-servers-own"}
    assert {part.partition(b"=")[0] for part in environment.split(b"\0") if part} <= {
        b"PATH", b"TZ", b"PYTHONUNBUFFERED", b"TOKENIZERS_PARALLELISM", b"FINR1_GATEWAY_KEY", b"SERVERS_KEY",
        b"HAPROXY_MWORKER", b"HAPROXY_CFGFILES", b"HAPROXY_MASTER_CLI", b"HAPROXY_PROCESSES", b"HAPROXY_LOCALPEER",
        b"HAPROXY_CLI", b"HAPROXY_MWORKER_REEXEC", b"HAPROXY_MWORKER_WAIT_ONLY",
    }  # fmt: skip


def test_nothing_listens_beyond_loopback(two: tuple[Behind, Behind]) -> None:
    with recipe_for({"v1": (two[0].url, 1)}) as settings, running.gateway(settings) as up:
        listening = [address for pid in (up.pid, *workers(settings)) for address in _listeners(pid)]
        master = Path(settings.data) / "master.sock"
        assert master.stat().st_mode & 0o077 == 0
        assert Path(settings.data).stat().st_mode & 0o077 == 0
    assert sorted(set(listening)) == sorted([("127.0.0.1", settings.port), ("127.0.0.1", settings.metrics_port)])


def test_users_are_dealt_by_weight_and_the_answer_names_its_version(two: tuple[Behind, Behind]) -> None:
    """2000 users at 80 : 20; the bounds are four standard deviations of a binomial draw, passed by chance once in 16 000."""
    users, share = 2000, 0.2
    with recipe_for({"v1": (two[0].url, 80), "v2": (two[1].url, 20)}) as settings, running.gateway(settings):
        client = Client(settings)
        dealt = Counter(client.version_for(f"user-{number}") for number in range(users))
        for number in range(40):
            _, headers, body = client.ask(chat(QUESTION, user=f"user-{number}"))
            assert f"<answer>{headers['X-Model-Version']}</answer>" in body.decode()
            assert headers["X-Model-Version"] == client.version_for(f"user-{number}")
    assert abs(dealt["v2"] - users * share) < 4 * (users * share * (1 - share)) ** 0.5
    assert dealt.total() == dealt["v1"] + dealt["v2"] == users


def test_a_users_place_is_what_the_documentation_says(two: tuple[Behind, Behind]) -> None:
    with recipe_for({"v1": (two[0].url, 70), "v2": (two[1].url, 30)}, split="s") as settings, running.gateway(settings):
        client, begin = Client(settings), begins(settings)["v2"]
        for user in ("用户甲", "u-2", "a b"):
            place = xxhash.xxh32(f"s {user}".encode()).intdigest() % PLACES
            assert client.version_for(user) == ("v2" if place >= begin else "v1")
        # The header counts before the body's `user`, and the address where there is neither.
        for user in map(str, range(10)):
            _, headers, _ = client.ask(chat(QUESTION, user="x"), "/finr1/route", **{"X-OpenWebUI-User-Id": user})
            assert headers["X-Model-Version"] == client.version_for(user)
        place = xxhash.xxh32(b"s 127.0.0.1").intdigest() % PLACES
        _, headers, _ = client.ask(chat(QUESTION), "/finr1/route")
        assert headers["X-Model-Version"] == ("v2" if place >= begin else "v1")


def test_a_user_stays_through_a_reload_and_a_heavier_challenger_only_gains(two: tuple[Behind, Behind]) -> None:
    users = [f"user-{number}" for number in range(300)]
    with recipe_for({"v1": (two[0].url, 90), "v2": (two[1].url, 10)}) as settings, running.gateway(settings):
        before = {user: Client(settings).version_for(user) for user in users}
        running.reload(settings)
        assert {user: Client(settings).version_for(user) for user in users} == before
        running.reload(weighed(settings, v1=50, v2=50))
        after = {user: Client(settings).version_for(user) for user in users}
    moved = {user for user in users if before[user] != after[user]}
    assert moved and all(before[user] == "v1" for user in moved)


def test_promote_and_roll_back_while_32_clients_talk() -> None:
    """v1 alone; v2 promoted and v1's server gone; v1 back and v2's server gone. Nothing fails, each answer says who."""
    with ExitStack() as stack:
        first = stack.enter_context(version("v1", hold_s=0.02))
        second = stack.enter_context(version("v2", hold_s=0.02))
        settings = stack.enter_context(recipe_for({"v1": (first.url, 100), "v2": (second.url, 0)}))
        stack.enter_context(running.gateway(settings))
        with Talk(settings) as talk:
            talk.on(1.0)
            running.reload(weighed(settings, v1=0, v2=100))
            promoted = one_worker(settings)
            first.stop()
            ended = talk.on(1.0)
            again = stack.enter_context(version("v1", hold_s=0.02))
            back = settings.versions["v1"].model_copy(update={"url": again.url})
            running.reload(
                weighed(settings.model_copy(update={"versions": {**settings.versions, "v1": back}}), v1=100, v2=0)
            )
            rolled_back = one_worker(settings)
            second.stop()
            talk.on(1.0)
    assert talk.failures == []
    assert {said for begun, said in talk.answers if promoted < begun < ended + 1.0} == {"v2"}
    assert {said for begun, said in talk.answers if begun > rolled_back} == {"v1"}
    assert len(talk.answers) > 10 * CLIENTS


def test_a_server_killed_under_load_costs_clear_retryable_errors_alone() -> None:
    with ExitStack() as stack:
        first = stack.enter_context(version("v1", hold_s=0.05))
        second = stack.enter_context(version("v2", hold_s=0.05))
        settings = stack.enter_context(recipe_for({"v1": (first.url, 50), "v2": (second.url, 50)}))
        stack.enter_context(running.gateway(settings))
        with Talk(settings) as talk:
            talk.on(1.0)
            first.stop()
            calm = known_to_be_down(settings, "v1")
            talk.on(1.0)
        second.stop()
        status, headers, body = Client(settings).ask(chat(QUESTION))
        known_to_be_down(settings, "v2")
        down, retry, _ = Client(settings, None).ask(None, "/health")
    assert talk.failures and not [failure for failure in talk.failures if failure[0] > calm]
    assert {status for _, status, _ in talk.failures} <= {502, 503}
    assert {retry for _, _, retry in talk.failures} == {"5"}
    assert {said for begun, said in talk.answers if begun > calm} == {"v2"}
    assert (status, headers["Retry-After"]) == (503, "5") and "again" in json.loads(body)["error"]["message"]
    assert (down, retry["Retry-After"]) == (503, "5")


def test_a_server_that_says_it_is_not_well_is_asked_nothing(two: tuple[Behind, Behind]) -> None:
    versions = {"v1": {"url": two[0].url, "weight": 1}, "v2": {"url": two[1].url, "weight": 1, "health": None}}
    with recipe_for({}, versions=versions) as settings, running.gateway(settings):

        def answering() -> set[str | None]:
            asked = [Client(settings).ask(chat(QUESTION, user=f"user-{number}")) for number in range(20)]
            return {headers["X-Model-Version"] for _, headers, _ in asked}

        two[0].well = False
        known_to_be_down(settings, "v1")
        assert answering() == {"v2"}
        two[0].well = True
        wait_until(lambda: answering() == {"v1", "v2"})


def test_a_stream_comes_as_it_is_written() -> None:
    """The server writes a word once the client has the one before: who holds a word back waits for ever."""
    with version("v1") as only, recipe_for({"v1": (only.url, 1)}) as settings, running.gateway(settings):
        only.go_on = threading.Semaphore(0)
        connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=60)
        with closing(connection):
            connection.request(
                "POST", "/v1/chat/completions", json.dumps(chat(QUESTION, stream=True)), Client(settings).headers
            )
            answer = connection.getresponse()
            words = []
            with suppress(http.client.IncompleteRead):
                while line := answer.readline():
                    if line.strip():
                        words.append(line)
                        only.go_on.release()
    assert len(words) == 4 and b"[DONE]" in words[-1], "a word waited for the next one"


def test_a_long_body_is_unsure_and_goes_where_the_recipe_says(two: tuple[Behind, Behind]) -> None:
    long, broken = chat("cats " * 80_000), b'{"messages": [{"role": "us'
    general = {"url": two[1].url}
    for unsure, expected in (("tuned", "v1"), ("general", "general")):
        with recipe_for({"v1": (two[0].url, 1)}, general=general, unsure=unsure) as settings, running.gateway(settings):
            client = Client(settings)
            for body in (long, broken):
                _, headers, _ = client.ask(body, "/finr1/route")
                assert (headers["X-Gateway-Route"], headers["X-Model-Version"]) == ("unsure", expected)
            status, headers, _ = client.ask(long)
            assert (status, headers["X-Model-Version"]) == (200, expected)
    assert len(two[0].seen[-1][1]["messages"][0]["content"]) == 400_000, "it reaches the server whole"


def test_the_log_holds_no_text_and_no_one(two: tuple[Behind, Behind]) -> None:
    secret, user = "Zimtstern-Umsatz", "somebody@example.com"
    with recipe_for({"v1": (two[0].url, 1)}, general={"url": two[1].url}) as settings, running.gateway(settings):
        client = Client(settings)
        assert client.ask(chat(secret, user=user))[0] == 200
        assert client.ask(chat(f"{secret} revenue"), **{"X-OpenWebUI-User-Email": user})[0] == 200
        client.ask(chat(secret), f"/v1/{secret}")
        client.ask(b"{" + secret.encode())
        running.reload(settings)
        rows = log_rows(settings, 4)
        files = {file.name: file.read_bytes() for file in Path(settings.data).iterdir() if file.is_file()}
    assert [row["version"] for row in rows] == ["general", "v1", "none", "v1"]
    assert [row["route"] for row in rows] == ["other", "finance", "none", "unsure"]
    assert [row["status"] for row in rows][:3] == [200, 200, 404]
    for name, content in files.items():
        assert not any(word.encode() in content for word in (secret, user, KEY)), name


def test_a_follow_up_goes_where_the_talk_went(two: tuple[Behind, Behind]) -> None:
    def turns(*said: str) -> dict[str, Any]:
        system = {"role": "system", "content": "You answer questions on finance, stocks and bonds."}
        users = [{"role": "user", "content": text} for text in said]
        return {"messages": [system, *users]}

    parts = {"messages": [{"role": "user", "content": [{"type": "text", "text": "公司的净利润"}]}]}
    with recipe_for({"v1": (two[0].url, 1)}, general={"url": two[1].url}) as settings, running.gateway(settings):
        client = Client(settings)

        def route(body: dict[str, Any]) -> str:
            return str(client.ask(body, "/finr1/route")[1]["X-Gateway-Route"])

        assert route(turns("你好")) == "other", "a system prompt does not decide"
        assert route(turns("公司的净利润是多少？", "那第二季呢？")) == "finance"
        assert route(turns("公司的净利润是多少？", "写一首诗")) == "other"
        assert route(parts) == "finance"
        raw = json.dumps(turns("營業收入"), ensure_ascii=False).encode()
        assert client.ask(raw, "/finr1/route")[1]["X-Gateway-Route"] == "finance", "as UTF-8 and as \\u escapes"


def test_a_finance_question_never_goes_to_the_general_model(two: tuple[Behind, Behind]) -> None:
    """With the tuned model down it is told to ask again; the other way round the tuned model stands in."""
    with recipe_for({"v1": (two[0].url, 1)}, general={"url": two[1].url}) as settings, running.gateway(settings):
        client = Client(settings)
        two[0].stop()
        known_to_be_down(settings, "v1")
        assert _status(client, chat(QUESTION)) == (503, "5", None)
        assert client.ask(chat("你好"))[0] == 200
    with version("v1") as tuned:
        nobody = {"url": "http://127.0.0.1:1/v1"}
        with recipe_for({"v1": (tuned.url, 1)}, general=nobody) as settings, running.gateway(settings):
            known_to_be_down(settings, "general")
            assert _status(Client(settings), chat("你好")) == (200, None, "v1")


def test_the_command_runs_reloads_and_is_not_started_twice(two: tuple[Behind, Behind], tmp_path: Path) -> None:
    with recipe_for({"v1": (two[0].url, 1), "v2": (two[1].url, 0)}) as settings:
        file = tmp_path / "ab.yaml"
        file.write_text(json.dumps(settings.model_dump(mode="json")), encoding="utf-8")
        assert "start it first" in finr1("gateway", file, "reload", home=tmp_path).stderr
        started = subprocess.Popen([FINR1, "gateway", file], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        try:
            assert started.stdout is not None
            assert f"http://127.0.0.1:{settings.port}/v1" in started.stdout.readline()
            assert Client(settings).version_for("somebody") == "v1"
            again = finr1("gateway", file, home=tmp_path)
            assert again.returncode == 2 and "is running already" in again.stderr
            swapped = finr1(
                "gateway",
                file,
                "reload",
                "--set",
                "versions.v1.weight=0",
                "--set",
                "versions.v2.weight=1",
                home=tmp_path,
            )
            assert swapped.returncode == 0, swapped.stderr
            assert Client(settings).version_for("somebody") == "v2"
        finally:
            started.terminate()
            code = started.wait(30)
        assert code == 143
        with pytest.raises(ConnectionRefusedError):
            Client(settings).ask(None, "/health")


def test_nothing_is_left_when_it_stops(two: tuple[Behind, Behind]) -> None:
    with recipe_for({"v1": (two[0].url, 1)}) as settings:
        with running.gateway(settings) as up:
            pids = [up.pid, *workers(settings)]
        assert len(pids) > 1 and not any(_birth(pid) for pid in pids)


def _status(client: Client, body: dict[str, Any]) -> tuple[int, str | None, str | None]:
    """Status, when to ask again, and who answered."""
    status, headers, _ = client.ask(body)
    return status, headers["Retry-After"], headers["X-Model-Version"]


def _listeners(pid: int) -> list[tuple[str, int]]:
    """Addresses on which a process listens by TCP, from the kernel's tables."""
    sockets = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # a check's connection, closed meanwhile
            sockets.add(str(link.readlink()))
    found = []
    for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
            address, port = words[1].split(":")
            found.append((".".join(str(byte) for byte in reversed(bytes.fromhex(address))), int(port, 16)))
    found += [
        ("tcp6", int(line.split()[1].split(":")[1], 16))
        for line in Path(f"/proc/{pid}/net/tcp6").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in sockets
    ]
    return found
