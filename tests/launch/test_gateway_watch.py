"""The watcher on a real gateway, and its board and alarms in a real Prometheus."""

from __future__ import annotations

import http.client
import json
import re
import socket
import sqlite3
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_clients import Client, log_rows
from prometheus_client.parser import text_string_to_metric_families
from prometheus_from_debian import program
from speaker import NO_HTTP, TORN_CHUNK, saying
from versions_behind import KEY, QUESTION, chat, need_haproxy, recipe_for, version

from launch.gateway import running
from launch.gateway.settings import GatewaySettings
from launch.paths import KIT
from launch.watch.exporter import Watch, watch
from launch.watch.probes import probe, questions
from launch.watch.request_log import RequestLog
from launch.watch.settings import WatchSettings
from launch.watch.thumbs import UNKNOWN
from reward_plugins.errors import Refused

RECIPES = KIT / "recipes" / "gateway"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)


def samples(watching: Watch) -> dict[tuple[str, ...], float]:
    """What the watcher tells: {(name, label values in the order of their names): value}."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in watching.registry.collect()
        for sample in family.samples
    }


def webui_database(folder: Path, votes: list[tuple[str, str, int, float]]) -> None:
    """A feedback table as Open WebUI makes it, with (id, user, rating, time of the message) in it."""
    with closing(sqlite3.connect(folder / "webui.db")) as connection, connection:
        connection.execute(
            "CREATE TABLE feedback (id TEXT NOT NULL PRIMARY KEY, user_id TEXT, version BIGINT, type TEXT, data JSON,"
            " meta JSON, snapshot JSON, created_at BIGINT, updated_at BIGINT)"
        )
        for name, user, rating, when in votes:
            message = {"timestamp": int(when), "content": "an answer"}
            row = (
                json.dumps({"rating": rating, "model_id": "fin"}),
                json.dumps({"message_id": f"m-{name}"}),
                json.dumps({"chat": {"chat": {"history": {"messages": {f"m-{name}": message}}}}}),
            )
            connection.execute("INSERT INTO feedback VALUES (?, ?, 0, 'rating', ?, ?, ?, 0, 0)", (name, user, *row))


def test_requests_are_counted_by_version_and_thumbs_find_theirs(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first, second = (stack.enter_context(version(name, hold_s=0.2)) for name in ("v1", "v2"))
        weights = {"v1": (first.url, 50), "v2": (second.url, 50)}
        settings = stack.enter_context(recipe_for(weights, watch={"chat": str(tmp_path)}))
        stack.enter_context(running.gateway(settings))
        client = Client(settings)
        told = {}
        for number in range(8):
            _, headers, _ = client.ask(chat(QUESTION), **{"X-OpenWebUI-User-Id": f"u{number}"})
            told[f"u{number}"] = headers["X-Model-Version"]
        Client(settings, "wrong").ask(chat(QUESTION))
        now = time.time()
        late, never = now - 3600, now
        votes = [(f"f{user}", user, 1 if number % 2 else -1, now) for number, user in enumerate(told)]
        votes += [("late", "u0", 1, late), ("never", "somebody-else", -1, never), ("back", "u1", 0, now)]
        webui_database(tmp_path, votes)
        log_rows(settings, len(told) + 1)
        watching = Watch(settings)
        watching.look()
        watching.look()  # nothing is counted twice
        found = samples(watching)
    for name in ("v1", "v2"):
        mine = [number for number, user in enumerate(told) if told[user] == name]
        assert found["finr1_requests_total", "none", "200", name] == len(mine) > 0
        assert found["finr1_first_byte_seconds_count", name] == len(mine)
        # Seconds, and no milliseconds; a machine under full load takes longer.
        assert 0.19 * len(mine) <= found["finr1_request_seconds_sum", name] < 20 * len(mine)
        for rating, odd in (("up", 1), ("down", 0)):
            expected = sum(number % 2 == odd for number in mine)
            assert found.get(("finr1_thumbs", rating, name), 0) == expected
    assert found["finr1_thumbs", "up", UNKNOWN] == found["finr1_thumbs", "down", UNKNOWN] == 1
    assert found["finr1_requests_total", "none", "401", "none"] == 1
    assert found["finr1_thumbs_readable",] == 1


def test_a_database_of_another_kind_is_said_and_not_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(tmp_path / "webui.db")) as connection, connection:
        connection.execute("CREATE TABLE feedback (id TEXT)")
    with recipe_for({"v1": ("http://127.0.0.1:1/v1", 1)}, watch={"chat": str(tmp_path)}) as settings:
        watching = Watch(settings)
        watching.look()
    assert samples(watching)["finr1_thumbs_readable",] == 0
    assert "no such column" in capsys.readouterr().err


def test_the_database_is_opened_for_reading_alone(tmp_path: Path) -> None:
    webui_database(tmp_path, [("a", "u", 1, 0.0)])
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with recipe_for({"v1": ("http://127.0.0.1:1/v1", 1)}, watch={"chat": str(tmp_path)}) as settings:
        Watch(settings).look()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_log_is_read_as_it_grows_and_from_its_start_when_it_was_emptied(tmp_path: Path) -> None:
    def line(version: str, end: str = "--", status: int = 200) -> str:
        row = {"begin_ms": 1000, "version": version, "route": "none", "bucket": 5, "status": status}
        return json.dumps({**row, "first_byte_ms": -1, "total_ms": 250, "bytes": 1, "end": end}) + "\n"

    file = tmp_path / "requests.log"
    log = RequestLog(file)
    assert list(log.new()) == []
    file.write_text("$ haproxy\n[NOTICE] up\n" + line("a") + line("b")[:20], encoding="utf-8")
    assert [request.version for request in log.new()] == ["a"]
    with file.open("a", encoding="utf-8") as more:
        more.write(line("b")[20:] + line("c", end="SD") + line("d", end="CD") + line("e", end="SC", status=503))
    assert [(request.version, request.cut) for request in log.new()] == [
        ("b", ""),
        ("c", "server"),
        ("d", "client"),
        ("e", ""),
    ]
    file.write_text(line("f"), encoding="utf-8")
    (request,) = log.new()
    assert (request.version, request.begin, request.total_s, request.first_byte_s) == ("f", 1.0, 0.25, None)


def test_probes_tell_right_wrong_no_answer_and_error_apart() -> None:
    rows = questions(WatchSettings(probes=str(KIT / "datasets/demo/test/finmath.jsonl"), probe_count=3))
    assert len(rows) == 3
    with version("v1") as server, recipe_for({"v1": (server.url, 1)}) as settings:
        target = settings.versions["v1"]
        for said, state in ((rows[0]["gold"], "right"), ("12345678", "wrong"), ("", "no_answer")):
            server.name = said  # what stands between <answer> and </answer>
            assert probe(target, rows[0], settings.watch).state == state
        assert server.seen[0][1]["messages"][0]["role"] == "system"
        server.stop()
        failed = probe(target, rows[0], settings.watch)
        assert (failed.state, failed.tokens) == ("error", None)


@pytest.mark.parametrize("said", [NO_HTTP, TORN_CHUNK])
def test_a_server_that_speaks_no_http_is_an_error_and_no_end_of_the_probes(said: bytes) -> None:
    rows = questions(WatchSettings(probes=str(KIT / "datasets/demo/test/finmath.jsonl"), probe_count=1))
    with saying(said) as url, recipe_for({"v1": (url, 1)}) as settings:
        assert probe(settings.versions["v1"], rows[0], settings.watch).state == "error"


def test_probes_that_are_none_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "probes.jsonl"
    for text in ("", '{"question": "a"}\n', "no json\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(Refused, match="holds no probes"):
            questions(WatchSettings(probes=str(file)))


def test_alarms_and_scraping_are_valid_and_fire_when_they_should(tmp_path: Path) -> None:
    """`promtool` reads the shipped files, then runs the alarms over series made up for them."""
    promtool = program("promtool")
    done = subprocess.run([promtool, "check", "config", RECIPES / "prometheus.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

    def requests(status: str, more: str) -> dict[str, str]:
        return {"series": f'finr1_requests_total{{version="v2",route="none",status="{status}"}}', "values": more}

    def probes(state: str, good: int, bad: int) -> dict[str, str]:
        # An answer every 15 minutes for eight days as before, then for six hours otherwise.
        values = f"0+{good}x768 {768 * good + bad}+{bad}x24"
        return {"series": f'finr1_probes_total{{version="v2",state="{state}"}}', "values": values}

    def fires(name: str, at: str, labels: dict[str, str] | None) -> dict[str, Any]:
        expected = [] if labels is None else [{"exp_labels": labels}]
        return {"eval_time": at, "alertname": name, "exp_alerts": expected}

    v2 = {"version": "v2"}
    cases = [
        (
            "1m",
            [
                requests("200", "0+97x60"),
                requests("503", "0+3x60"),
                {"series": 'haproxy_backend_active_servers{proxy="v2"}', "values": "1x30 0x30"},
            ],
            [fires("Errors", "40m", v2), fires("NoServer", "20m", None), fires("NoServer", "40m", {"proxy": "v2"})],
        ),
        ("1m", [requests("200", "0+995x60"), requests("503", "0+5x60")], [fires("Errors", "40m", None)]),
        (
            "15m",
            [probes("right", 9, 4), probes("wrong", 1, 1), probes("no_answer", 0, 5)],
            [
                fires("ProbesLessOftenRight", "190h", None),
                fires("ProbesLessOftenRight", "197h45m", v2),
                fires("ProbesMoreOftenWithoutAnswer", "197h45m", v2),
            ],
        ),
        (
            "1m",
            [
                {"series": f'finr1_thumbs{{version="{name}",rating="{rating}"}}', "values": f"{count}x10"}
                for name, rating, count in (("v1", "up", 20), ("v1", "down", 5), ("v2", "up", 5), ("v2", "down", 20))
            ],
            [fires("MoreThumbsDown", "5m", v2)],
        ),
    ]
    alarms = yaml.safe_load((RECIPES / "alarms.yml").read_text(encoding="utf-8"))
    for rule in (rule for group in alarms["groups"] for rule in group["rules"]):
        rule.pop("annotations", None)  # their wording is no part of when they fire
    (tmp_path / "alarms.yml").write_text(yaml.safe_dump(alarms), encoding="utf-8")
    files = []
    for number, (step, series, rules) in enumerate(cases):
        test = {"interval": step, "input_series": series, "alert_rule_test": rules}
        file = tmp_path / f"case-{number}.yml"
        spec = {"rule_files": ["alarms.yml"], "evaluation_interval": step, "tests": [test]}
        file.write_text(yaml.safe_dump(spec), encoding="utf-8")
        files.append(file)
    done = subprocess.run([promtool, "test", "rules", *files], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_board_and_alarms_find_their_metrics_in_a_real_prometheus(tmp_path: Path) -> None:
    """Every expression is asked of Prometheus after it scraped a gateway with traffic; all but vLLM's find something."""
    with ExitStack() as stack:
        settings = stack.enter_context(_busy_gateway(stack, tmp_path))
        ask = stack.enter_context(_prometheus(settings, tmp_path))
        deadline = time.monotonic() + 90
        missing = expressions = _expressions()
        while missing and time.monotonic() < deadline:
            time.sleep(1)
            _traffic(settings)
            missing = {name: each for name, each in expressions.items() if "vllm:" not in each and not ask(each)}
        names = {name for each in expressions.values() for name in re.findall(r"\b(?:finr1|haproxy)_\w+", each)}
        exported = set(_exported(settings))
    assert not missing, f"Prometheus has nothing for {missing}"
    assert len(expressions) > 20 and names <= exported, names - exported


def _expressions() -> dict[str, str]:
    """The board's and the alarms' expressions, an alarm's without its limit, and with a range that a test can wait for."""
    board = json.loads((RECIPES / "grafana.json").read_text(encoding="utf-8"))
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in board["panels"]
        for target in panel["targets"]
    }
    alarms = yaml.safe_load((RECIPES / "alarms.yml").read_text(encoding="utf-8"))
    for rule in (rule for group in alarms["groups"] for rule in group["rules"]):
        if "alert" in rule and "finr1:" not in rule["expr"]:
            found[rule["alert"]] = re.split(r"\s(?:==|>=|<|>)\s", rule["expr"])[0].strip()
    return {name: re.sub(r"\[\w+\]", "[20s]", re.sub(r" offset \w+", "", each)) for name, each in found.items()}


@contextmanager
def _busy_gateway(stack: ExitStack, folder: Path) -> Iterator[GatewaySettings]:
    first, second = (stack.enter_context(version(name)) for name in ("v1", "v2"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    webui_database(folder, [("a", "u", 1, time.time()), ("b", "w", -1, time.time())])
    probes = {"probes": str(KIT / "datasets/demo/test/finmath.jsonl"), "probe_count": 1, "probe_every_s": 1}
    more = {"general": {"url": second.url}, "watch": {"port": port, "chat": str(folder), **probes}}
    weights = {"v1": (first.url, 50), "v2": (second.url, 50)}
    with recipe_for(weights, **more) as settings, running.gateway(settings):
        up, ended = threading.Event(), threading.Event()
        watcher = threading.Thread(target=watch, args=(settings, lambda _: up.set(), ended))
        watcher.start()
        assert up.wait(60)
        try:
            yield settings
        finally:
            ended.set()
            watcher.join(20)


def _traffic(settings: GatewaySettings) -> None:
    """Answers, an error, an answer that the server breaks off, and one that the client does not wait for."""
    client = Client(settings)
    for number in range(10):
        client.ask(chat(QUESTION, user=f"user-{number}"))
    for user in "uw":  # whose thumbs stand in the database
        client.ask(chat(QUESTION), **{"X-OpenWebUI-User-Id": user})
    client.ask(chat(QUESTION, fault="status"))
    with suppress(http.client.HTTPException):
        Client(settings).ask(chat(QUESTION, stream=True, fault="cut"))
    impatient = Client(settings).connection
    impatient.request("POST", "/v1/chat/completions", json.dumps(chat(QUESTION, stream=True)), client.headers)
    impatient.close()


def _exported(settings: GatewaySettings) -> Iterator[str]:
    for port in (settings.metrics_port, settings.watch.port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            for family in text_string_to_metric_families(answer.read().decode()):
                yield from {sample.name for sample in family.samples}


@contextmanager
def _prometheus(settings: GatewaySettings, folder: Path) -> Iterator[Any]:
    """The shipped configuration with this test's ports; yields a function that asks an expression."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = (RECIPES / "prometheus.yml").read_text(encoding="utf-8")
    for shipped, ours in ((8021, settings.metrics_port), (8022, settings.watch.port)):
        text = text.replace(f'"127.0.0.1:{shipped}"', f'"127.0.0.1:{ours}"')
    config = yaml.safe_load(text)
    config["global"]["scrape_interval"] = "1s"
    config["rule_files"] = [str(RECIPES / "alarms.yml")]
    config["scrape_configs"] = [each for each in config["scrape_configs"] if each["job_name"] != "vllm"]
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    words = [
        f"--config.file={file}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([program("prometheus"), *words], stdout=log, stderr=log)

    def ask(expression: str) -> list[Any]:
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=10) as answer:
                return list(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{expression}: {error.read().decode()}") from None
        except OSError:
            return []  # not up yet

    try:
        yield ask
    finally:
        process.terminate()
        process.wait(60)
