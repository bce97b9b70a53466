"""The gateway before real engines: two real servers change places under load, and a real Open WebUI's thumbs find theirs."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from places import HERE, free_port, new_home
from test_chat import EMAIL, PASSWORD, chatting

from launch import stacks
from launch.gateway import running
from launch.serving.server import ServeSettings, serving
from launch.watch.exporter import Watch
from launch.watch.thumbs import UNKNOWN, place

sys.path += [str(HERE.parent / "launch"), str(HERE.parent / "eval_adapters")]
from gateway_clients import Talk, log_rows, weighed
from versions_behind import KEY, need_haproxy, recipe_for, version

pytestmark = pytest.mark.timeout(1800)  # the first test of all makes its stack


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)


def test_two_real_servers_change_places_while_32_clients_talk(tiny_model: Path, home: Path) -> None:
    """v1 answers, v2 is promoted, v1 comes back; the server that left is stopped while they talk."""
    stacks.program("rl", "transformers")
    with ExitStack() as stack:
        servers = {name: stack.enter_context(ExitStack()) for name in ("v1", "v2")}
        urls = {}
        for name, own in servers.items():
            flags = {"transformers": {"cb-num-blocks": 96, "cb-max-batch-tokens": 512}}
            served = ServeSettings(
                model=str(tiny_model), served_name="fin", port=free_port(), log=f"runs/{name}.log", flags=flags
            )
            urls[name] = own.enter_context(serving(served)).url
        settings = stack.enter_context(recipe_for({"v1": (urls["v1"], 100), "v2": (urls["v2"], 0)}))
        stack.enter_context(running.gateway(settings))
        with Talk(settings, {"model": "fin", "max_tokens": 8, "temperature": 0}) as talk:
            talk.on(8.0)
            running.reload(weighed(settings, v1=0, v2=100))
            promoted = talk.on(12.0)
            running.reload(weighed(settings, v1=100, v2=0))
            rolled_back = talk.on(12.0)
            servers["v2"].close()
            talk.on(4.0)
        rows = log_rows(settings, len(talk.answers))
    assert talk.failures == []
    assert {said for begun, said in talk.answers if promoted + 8.0 < begun < rolled_back - 1.0} == {"v2"}
    assert {said for begun, said in talk.answers if begun > rolled_back + 8.0} == {"v1"}
    assert {row["status"] for row in rows} == {200} and len(rows) >= len(talk.answers) > 32


def test_a_thumb_in_open_webui_counts_for_the_version_that_answered(tmp_path: Path) -> None:
    with ExitStack() as stack:
        urls = {name: stack.enter_context(version(name)).url for name in ("v1", "v2")}
        own = new_home(tmp_path / "home", free_port())
        weights = {name: (url, 50) for name, url in urls.items()}
        settings = stack.enter_context(recipe_for(weights, watch={"chat": str(own / "runs" / "chat")}))
        up = stack.enter_context(running.gateway(settings))
        words = ("--model", up.url, "--set", "models.0.api_key_env=FINR1_GATEWAY_KEY", "--set", "forward_user=true")
        page = stack.enter_context(chatting(own, *words, FINR1_GATEWAY_KEY=KEY))
        person = {"name": "Ada", "email": EMAIL, "password": PASSWORD}
        user = _post(page.url, "/api/v1/auths/signup", person)
        asked = {"model": "fin", "messages": [{"role": "user", "content": "revenue?"}], "stream": False}
        begun = int(time.time())
        answer = _post(page.url, "/api/chat/completions", asked, user["token"])
        said = answer["choices"][0]["message"]["content"]
        message = {"id": "m1", "role": "assistant", "content": said, "timestamp": begun}
        rating = {
            "type": "rating",
            "data": {"rating": 1, "model_id": "fin"},
            "meta": {"message_id": "m1", "chat_id": "c1"},
            "snapshot": {"chat": {"id": "c1", "chat": {"history": {"messages": {"m1": message}}}}},
        }
        _post(page.url, "/api/v1/evaluations/feedback", rating, user["token"])
        rows = log_rows(settings, 1)
        watching = Watch(settings)
        watching.look()
        (row,) = [row for row in rows if row["status"] == 200 and row["bucket"] == place("1", user["id"])]
    thumbs = {
        (sample.labels["version"], sample.labels["rating"]): sample.value
        for family in watching.registry.collect()
        for sample in family.samples
        if sample.name == "finr1_thumbs"
    }
    assert f"<answer>{row['version']}</answer>" in said
    assert thumbs == {(row["version"], "up"): 1.0} and row["version"] != UNKNOWN


def _post(base: str, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(base + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return dict(json.load(answer))
