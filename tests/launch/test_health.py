"""A served model is well when it answers a finance question; wrong, no answer and error stay apart."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from aiohttp import web
from command import finr1
from mock_server import Drip, Reply, completion, serve

from launch.serving import health
from launch.serving.events import Events, events_path, history
from reward_plugins.errors import Refused


def of(reply: Reply, **asked: object) -> health.Health:
    with serve(lambda _: reply) as server:
        return health.ask(server.url, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reply", "state", "why"),
    [
        (completion("<think>30 / 200</think><answer>15%</answer>"), "answered", "'15%', which is correct"),
        (completion("<think>30 / 230</think><answer>13%</answer>"), "answered", "'13%', which is wrong"),
        (completion("<answer>15%</answer>", reasoning_content="30 / 200"), "answered", "which is correct"),
        (completion("It grew, I believe."), "no answer", "no final answer is marked"),
        (completion("<think>30 / 200 is", finish="length"), "no answer", "(cut at 512 tokens)"),
        (completion(""), "no answer", "there is nothing"),
        ({"object": "list", "data": []}, "error", "what it sent is no completion"),
        (web.Response(text="<html>Welcome</html>", content_type="text/html"), "error", "an HTML page"),
        (web.Response(status=503, text="the engine is dead"), "error", "status 503"),
        (web.Response(status=401), "error", "it asks for a key"),
        (Drip("{", cut_after=1), "error", "broke off"),
        (Drip("{" * 1000, every_s=0.3), "error", "no answer within 1 s"),
        (5.0, "error", "no answer within 1 s"),
    ],
)
def test_the_three_states(reply: Reply, state: str, why: str) -> None:
    found = of(reply, timeout_s=1.0 if "within 1 s" in why else 30.0)
    assert found.state == state, found
    assert why in found.why


def test_a_port_that_accepts_is_not_well() -> None:
    """The connection is made by the kernel before any program looks at it."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        found = health.ask(f"http://127.0.0.1:{silent.getsockname()[1]}/v1", timeout_s=0.5)
    assert (found.state, found.why) == ("error", "no answer within 0 s")


def test_a_port_that_nobody_holds_is_an_error() -> None:
    found = health.ask("http://127.0.0.1:9/v1")
    assert found.state == "error"
    assert found.why.startswith("nothing answers there")


def test_the_question_names_the_model_and_carries_the_key() -> None:
    with serve(lambda _: completion("<answer>15%</answer>")) as server:
        found = health.ask(server.url, "finr1", "sk-1")
        health.ask(server.url)
    assert found.model == "mock"
    assert server.requests[0]["model"] == "finr1"
    assert server.headers[0]["Authorization"] == "Bearer sk-1"
    assert "model" not in server.requests[1]
    assert "Authorization" not in server.headers[1]


@pytest.mark.parametrize("address", ["http://", "http://a b/v1", "http://127.0.0.1:port"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="is no address"):
        health.look(address, None, None, 1.0)


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("<answer>15%</answer>", 0, "answered: '15%'"),
        ("Well.", 4, "no answer: "),
        (None, 1, "error: "),
    ],
)
def test_the_command_says_it_by_its_exit_code(home: Path, text: str | None, code: int, said: str) -> None:
    reply = web.Response(status=500) if text is None else completion(text)
    with serve(lambda _: reply) as server:
        done = finr1("health", server.url.removesuffix("/v1"), home=home)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith(said)


def test_a_recipe_also_tells_its_history(home: Path) -> None:
    (home / "model").mkdir()
    (home / "model/config.json").touch()
    with serve(lambda _: completion("<answer>15%</answer>")) as server:
        port = server.url.split(":")[2].split("/")[0]
        (home / "serve.yaml").write_text(f"model: model\nport: {port}\nlog: runs/s.log\n", encoding="utf-8")
        events = Events(home / "runs/s.log", lambda _: None)
        events.note("starting", "")
        events.note("up", "")
        events.note("down", "", why="it was killed by SIGKILL")
        events.note("up", "")
        events.note("asked", "", health="answered")
        done = finr1("health", "serve.yaml", home=home)
    assert done.returncode == 0, done.stderr
    assert server.requests[0]["model"] == "model"
    first, second = done.stdout.splitlines()
    lines = [json.loads(line) for line in events_path(home / "runs/s.log").read_text("utf-8").splitlines()]
    assert first.startswith("answered")
    assert second == (
        f"up since {lines[3]['at']}; went down 1 times since its start, last at {lines[2]['at']}: it was killed by SIGKILL"
    )


def test_a_history_with_a_torn_line_is_read(tmp_path: Path) -> None:
    assert history(tmp_path / "none") == ""
    (tmp_path / "torn").write_text('{"at": "1", "state": "up"}\n{"at": "2", "sta', encoding="utf-8")
    assert history(tmp_path / "torn") == "up since 1"
