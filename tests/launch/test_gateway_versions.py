"""A gateway that follows the registry: promoted and rolled back by command while 32 clients talk."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command import finr1
from gateway_clients import Client, Talk, one_worker
from small_versions import Bench
from versions_behind import KEY, need_haproxy, recipe_for, version

from launch.gateway import running
from launch.gateway.aliases import followed
from launch.gateway.settings import GatewaySettings
from launch.registry.changes import name, promote
from reward_plugins.errors import Refused

pytestmark = pytest.mark.filterwarnings("ignore:The inplace keyword")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)


def test_promoted_and_rolled_back_in_one_command_each_while_32_clients_talk(
    bench: Bench, home: Path, tmp_path: Path
) -> None:
    registry = bench.registry(tmp_path / "registry", full=True)
    promote(registry, "1")
    with version("v1") as first, version("v2") as second:
        servers = {"v1": {"url": first.url, "health": None}, "v2": {"url": second.url, "health": None}}
        keys = {"registry": str(registry.settings.folder), "weights": {"champion": 100, "challenger": 0}}
        with recipe_for({}, versions=servers, **keys) as settings:
            recipe = tmp_path / "gateway.yaml"
            recipe.write_text(yaml.safe_dump(settings.model_dump(exclude_none=True)), encoding="utf-8")
            models = ("models", "--folder", str(registry.settings.folder))
            with running.gateway(followed(settings)), Talk(settings) as talk:
                asked = talk.on(1.0) + 1.0
                done = finr1(*models, "promote", "2", "--gateway", str(recipe), home=home, FINR1_GATEWAY_KEY=KEY)
                assert done.returncode == 0, done.stderr
                promoted = one_worker(settings)
                rolled = talk.on(1.0) + 1.0
                done = finr1(*models, "rollback", "--gateway", str(recipe), home=home, FINR1_GATEWAY_KEY=KEY)
                assert done.returncode == 0, done.stderr
                back = one_worker(settings)
                talk.on(1.0)
    assert not talk.failures
    assert {who for begun, who in talk.answers if begun < asked} == {"v1"}
    assert {who for begun, who in talk.answers if promoted < begun < rolled} == {"v2"}
    assert {who for begun, who in talk.answers if begun > back} == {"v1"}


def test_a_challenger_has_its_share_and_without_one_the_champion_has_all(bench: Bench, tmp_path: Path) -> None:
    registry = bench.registry(tmp_path / "registry", full=True)
    promote(registry, "2")
    with version("v2") as champion, version("v3") as challenger:
        servers = {"v2": {"url": champion.url, "health": None}, "v3": {"url": challenger.url, "health": None}}
        keys = {"registry": str(registry.settings.folder), "weights": {"champion": 50, "challenger": 50}}
        with recipe_for({}, versions=servers, **keys) as settings, running.gateway(followed(settings)):
            client = Client(settings)
            users = [f"user-{number}" for number in range(40)]
            assert {client.version_for(user) for user in users} == {"v2"}
            name(registry, "challenger", "3")
            running.reload(followed(settings))
            assert {Client(settings).version_for(user) for user in users} == {"v2", "v3"}


def test_what_cannot_be_followed_is_refused(bench: Bench, tmp_path: Path) -> None:
    registry = bench.registry(tmp_path / "registry", full=True)
    keys = {"registry": str(registry.settings.folder), "weights": {"champion": 1}}
    asked = GatewaySettings.model_validate({"versions": {"v1": {"url": "http://127.0.0.1:9/v1"}}, **keys})
    with pytest.raises(Refused, match="has no champion yet"):
        followed(asked)
    promote(registry, "2")
    with pytest.raises(Refused, match=r"champion is version 2 .* names no server for it: serve .* and add v2"):
        followed(asked)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"registry": "runs/registry"}, "registry and weights"),
        ({"weights": {"champion": 1}}, "registry and weights"),
        ({"registry": "r", "weights": {"champion": 0}}, "nobody would answer"),
        ({"registry": "r", "weights": {"champion": 1}, "versions": {"new": {"url": "http://127.0.0.1:9/v1"}}}, "'new'"),
        (
            {
                "registry": "r",
                "weights": {"champion": 1},
                "versions": {"v1": {"url": "http://127.0.0.1:9/v1", "weight": 1}},
            },
            "a weight of its own",
        ),
    ],
)
def test_half_a_recipe_that_follows_is_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GatewaySettings.model_validate({"versions": {"v1": {"url": "http://127.0.0.1:9/v1"}}, **keys})
