"""What a gateway recipe may say, and the configuration that comes of it, read by HAProxy itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from versions_behind import KEY, need_haproxy, recipe_for

from launch import recipe
from launch.gateway import running
from launch.gateway.render import PLACES, begins, configuration
from launch.gateway.rule import rule_map
from launch.gateway.settings import GatewaySettings
from launch.paths import KIT
from reward_plugins.errors import Refused

ONE = {"v1": {"url": "http://127.0.0.1:8011/v1", "weight": 1}}


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINR1_GATEWAY_KEY", KEY)


def test_the_shipped_recipe_is_accepted_by_haproxy(tmp_path: Path) -> None:
    need_haproxy()
    settings = recipe.settings(GatewaySettings, recipe.load(str(KIT / "recipes/gateway/ab.yaml"), []))
    with recipe_for({}, versions=settings.versions, general=settings.general, rule=settings.rule) as short:
        running.check(short)
        assert not list(Path(short.data).iterdir()), "a check leaves a gateway's files alone"
        config, config_id = running.written(short, Path(short.data))
        text = config.read_text(encoding="utf-8")
    assert config_id in text
    assert KEY not in text, "HAProxy takes keys from its environment"


def test_a_tls_server_with_a_key_and_a_path_is_accepted_by_haproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    need_haproxy()
    monkeypatch.setenv("GENERAL_KEY", "another-key")
    general = {"url": "https://localhost/openai/v1", "api_key_env": "GENERAL_KEY", "health": None}
    with recipe_for({"v1": ("http://127.0.0.1:8011/v1", 1)}, general=general, unsure="general") as settings:
        text = running.written(settings, Path(settings.data))[0].read_text(encoding="utf-8")
    assert "ssl verify required" in text
    assert "another-key" not in text


def test_what_haproxy_refuses_leaves_the_configuration_in_place(tmp_path: Path) -> None:
    need_haproxy()
    bad = tmp_path / "bad.rule"
    bad.write_text("finance (unclosed\n", encoding="utf-8")
    with recipe_for({"v1": ("http://127.0.0.1:8011/v1", 1)}) as settings:
        written = running.written(settings, Path(settings.data))[0]
        before = written.read_text(encoding="utf-8")
        broken = settings.model_copy(update={"general": settings.versions["v1"], "rule": str(bad)})
        with pytest.raises(Refused, match=r"HAProxy refuses.*\(unclosed' is invalid .*missing"):
            running.written(broken, Path(settings.data))
        assert not list(Path(settings.data).glob("*.tried"))
        assert written.read_text(encoding="utf-8") == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": {"gateway": ONE["v1"]}}, "uses that name itself"),
        ({"versions": {"v1": {**ONE["v1"], "weight": 0}}}, "nobody would answer"),
        ({"versions": {"v1": {"url": "http://user:word@127.0.0.1/v1", "weight": 1}}}, "without a name or key"),
        ({"versions": {"v1": {"url": "http://127.0.0.1:8011", "weight": 1}}}, "/v1"),
        ({"versions": {"v 1": ONE["v1"]}}, "pattern"),
        ({"unsure": "general"}, "needs a general model"),
        ({"api_key_envs": []}, "at least 1"),
        ({"wieghts": 1}, "unknown key 'wieghts'"),
        ({"split": "a b"}, "pattern"),
        ({"versions": {"v1": {"url": "http://127.0.0.1:99999/v1", "weight": 1}}}, "1 to 65535"),
        ({"metrics_port": 8020}, "must differ"),
        ({"watch": {"port": 8021}}, "must differ"),
    ],
)
def test_recipes_that_cannot_be(change: dict[str, object], said: str) -> None:
    with pytest.raises(Refused, match=said):
        recipe.settings(GatewaySettings, {"versions": ONE, **change})


@pytest.mark.parametrize("key", ["", "two words", 'a"b', "a)b", "a,b"])
def test_a_key_that_is_missing_or_no_token_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINR1_GATEWAY_KEY", key)
    with (
        recipe_for({"v1": ("http://127.0.0.1:8011/v1", 1)}) as settings,
        pytest.raises(Refused, match="FINR1_GATEWAY_KEY") as told,
    ):
        running.check(settings)
    assert not key or key not in str(told.value)


def test_haproxy_itself_stops_at_an_empty_key() -> None:
    """A reload reads the environment of the running gateway, which this process cannot see."""
    import subprocess

    need_haproxy()
    with recipe_for({"v1": ("http://127.0.0.1:8011/v1", 1)}) as settings:
        written = running.written(settings, Path(settings.data))[0]
        env = {name: value for name, value in os.environ.items() if name != "FINR1_GATEWAY_KEY"}
        done = subprocess.run([running.program(), "-c", "-f", written], env=env, capture_output=True, text=True)
    assert done.returncode != 0
    assert "FINR1_GATEWAY_KEY is not set" in done.stderr


def test_a_data_folder_too_deep_for_a_socket_is_refused() -> None:
    need_haproxy()
    with recipe_for({"v1": ("http://127.0.0.1:8011/v1", 1)}) as settings, pytest.raises(Refused, match="too long"):
        running.reload(settings.model_copy(update={"data": settings.data + "/x" * 60}))


def test_weights_divide_all_places() -> None:
    settings = GatewaySettings.model_validate(
        {
            "versions": {
                name: {**ONE["v1"], "weight": weight} for name, weight in (("a", 1), ("b", 0), ("c", 1), ("d", 1))
            }
        }
    )
    assert begins(settings) == {"a": 0, "c": round(PLACES / 3), "d": round(2 * PLACES / 3)}


def test_the_configuration_is_a_function_of_the_recipe() -> None:
    settings = GatewaySettings.model_validate({"versions": ONE})
    assert configuration(settings, Path("m")) == configuration(settings, Path("m"))
    other = settings.model_copy(update={"split": "2"})
    assert configuration(settings, Path("m"))[1] != configuration(other, Path("m"))[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("finanse bonds", "a line is"),
        ("finance", "a line is"),
        ("finance [元亿]", r"\(元\|亿\)"),
        ("finance 元?", r"\(元\)\?"),
        ("# nothing", "no pattern"),
        (b"finance \xd3\xaa\xca\xd5", "not in UTF-8"),
    ],
)
def test_a_rule_that_cannot_be(line: str | bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "a.rule"
    file.write_bytes(line if isinstance(line, bytes) else line.encode())
    with pytest.raises(Refused, match=said):
        rule_map(file)


def test_a_rule_is_spelt_in_traditional_characters_too(tmp_path: Path) -> None:
    file = tmp_path / "a.rule"
    file.write_text("# ours\nfinance 债券|net  profit\n\nother 软件\n", encoding="utf-8")
    lines = rule_map(file).splitlines()
    assert lines[:2] == [r"(?i)债券|net\s+profit finance", r"(?i)債券|net\s+profit finance"]
    assert [line for line in lines if line.endswith(" other")][:2] == ["(?i)软件 other", "(?i)軟件 other"]
    assert "(?i)軟體 other" in lines, "Taiwan's own word"


def test_a_rule_as_editors_write_it(tmp_path: Path) -> None:
    """A mark at the start, lines that end as Windows ends them, tabs, a comment that is set in."""
    file = tmp_path / "a.rule"
    file.write_bytes(b"\xef\xbb\xbffinance\tnet\tprofit\r\n  # ours\r\nother poem\r\n")
    assert rule_map(file) == "(?i)net\\s+profit finance\n(?i)poem other\n"
