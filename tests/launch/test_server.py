"""What a serving recipe is refused for before any model is loaded, and the command that is made of one that is not."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from launch import recipe
from launch.paths import KIT
from launch.serving import options as known_options
from launch.serving.command import OWN_VLLM, Command, command, objections
from launch.serving.server import serving
from launch.serving.settings import ServeSettings, name_of
from reward_plugins.errors import Refused


def refused(settings: ServeSettings) -> str:
    with pytest.raises(Refused) as refusal, serving(settings):
        pass
    return str(refusal.value)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def vllm(home: Path, monkeypatch: pytest.MonkeyPatch, **asked: Any) -> Command:
    """The command for a model folder by a vLLM of one's own."""
    python = home / "vllm/bin/python"
    for file in (python, home / "model/config.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    monkeypatch.setenv(OWN_VLLM, str(python))
    settings = recipe.settings(ServeSettings, {"model": "model", "engine": "vllm", **asked})
    assert list(objections(settings, "vllm")) == []
    return command(settings, home / "runs/server.log")


def option(words: list[str | Path], name: str) -> str:
    return str(words[words.index(name) + 1])


def test_a_port_in_use_is_named(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} on 127.0.0.1 is in use" in refused(ServeSettings(model="x/y", port=port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "a-name"])
def test_an_open_address_demands_a_key(home: Path, host: str) -> None:
    said = refused(ServeSettings(model="x/y", host=host, engine="vllm"))
    assert said.startswith(f"host {host} can be reached from other machines: name a key's environment variable")


@pytest.mark.parametrize("key", [None, "MY_KEY"])
def test_an_engine_that_checks_no_key_stays_behind_the_gateway(home: Path, key: str | None) -> None:
    said = refused(ServeSettings(model="x/y", host="0.0.0.0", engine="transformers", api_key_env=key))
    assert "can be reached from other machines" in said
    assert "transformers serve checks no key" in said
    assert "finr1 gateway" in said


def test_a_key_that_nobody_checks_is_refused(home: Path) -> None:
    said = refused(ServeSettings(model="x/y", engine="transformers", api_key_env="MY_KEY"))
    assert said.startswith("transformers serve checks no key")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_machine_alone_needs_no_key(host: str) -> None:
    assert list(objections(ServeSettings(model="x/y", host=host, engine="vllm"), "vllm")) == []


def test_a_key_that_is_not_set_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(Refused, match="the environment variable MY_KEY is not set"):
        vllm(home, monkeypatch, host="0.0.0.0", api_key_env="MY_KEY")


def test_a_folder_that_is_no_model_is_refused(home: Path) -> None:
    (home / "empty").mkdir()
    assert "is no model folder" in refused(ServeSettings(model="empty", port=free_port()))
    assert "no model at" in refused(ServeSettings(model="runs/none", port=free_port()))


def test_vllm_without_a_gpu_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OWN_VLLM, raising=False)
    monkeypatch.setattr("launch.serving.command.has_gpu", lambda: False)
    assert "needs a GPU, and there is none here" in refused(ServeSettings(model="x/y", engine="vllm", port=free_port()))


@pytest.mark.parametrize(
    "name", ["", "/finr1", "finr1/", "a/b/c", "..", "fin r1", "模型", "finr1@main", "a:b", "-x", "a\n"]
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=r"served_name: .*a served name is letters, digits"):
        recipe.settings(ServeSettings, {"model": "x/y", "served_name": name})
    with pytest.raises(Refused, match=r"lora: .*a served name is letters, digits"):
        recipe.settings(ServeSettings, {"model": "x/y", "lora": {name: "runs/lora"}})


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("runs/quickstart/grpo", "quickstart/grpo"),
        ("runs/quickstart/grpo/checkpoint-20", "grpo/checkpoint-20"),
        ("runs/mine", "mine"),
        (".cache/models/SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct"),
        ("runs/我的模型/sft 2", "model/sft-2"),
    ],
)
def test_a_folder_gives_a_plain_name(home: Path, folder: str, name: str) -> None:
    settings = recipe.settings(ServeSettings, {"model": folder})
    assert name_of(settings, str(home.resolve() / folder)) == name
    # What is made is what the recipe would have been allowed to say.
    assert recipe.settings(ServeSettings, {"model": folder, "served_name": name}).served_name == name


def test_a_named_model_keeps_its_name(home: Path) -> None:
    assert name_of(ServeSettings(model="runs/a/b", served_name="finr1"), str(home / "runs/a/b")) == "finr1"
    assert name_of(ServeSettings(model="Qwen/Qwen3-4B"), "Qwen/Qwen3-4B") == "Qwen/Qwen3-4B"


def test_vllm_gets_the_recipe_in_its_own_words(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-in-the-environment")
    for adapter, rank in (("one", 8), ("two", 48)):
        (home / adapter).mkdir()
        (home / adapter / "adapter_config.json").write_text(json.dumps({"r": rank}), encoding="utf-8")
    start = vllm(
        home,
        monkeypatch,
        served_name="finr1",
        host="0.0.0.0",
        api_key_env="MY_KEY",
        tensor_parallel_size=2,
        max_model_len=16384,
        reasoning_parser="deepseek_r1",
        enable_prefix_caching=False,
        quantization="fp8",
        lora={"finr1-a": "one", "finr1-b": "two"},
        flags={"vllm": {"gpu-memory-utilization": 0.8, "enforce-eager": True}},
    )
    words = start.words
    assert (option(words, "--model"), option(words, "--served-model-name")) == (str(home / "model"), "finr1")
    assert (option(words, "--tensor-parallel-size"), option(words, "--max-model-len")) == ("2", "16384")
    assert (option(words, "--reasoning-parser"), option(words, "--quantization")) == ("deepseek_r1", "fp8")
    assert option(words, "--gpu-memory-utilization") == "0.8"
    assert {"--no-enable-prefix-caching", "--enforce-eager", "--enable-lora"} <= set(words)
    assert option(words, "--max-lora-rank") == "64"  # the least that vLLM takes which is not below 48
    at = words.index("--lora-modules")
    assert words[at + 1 : at + 3] == [f"finr1-a={home / 'one'}", f"finr1-b={home / 'two'}"]
    assert start.env["VLLM_API_KEY"] == "sk-in-the-environment"
    assert not any("sk-in-the-environment" in str(word) for word in words)
    # Each option that the kit itself writes is one that vLLM has.
    options, _ = known_options.known("vllm", None)
    assert [
        str(word) for word in words if str(word).startswith("--") and not known_options.is_known(str(word)[2:], options)
    ] == []


def test_a_folder_without_an_adapter_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match="is no LoRA adapter"):
        vllm(home, monkeypatch, lora={"finr1-a": "nowhere"})
    (home / "wide").mkdir()
    (home / "wide/adapter_config.json").write_text('{"r": 1024}', encoding="utf-8")
    with pytest.raises(Refused, match="has rank 1024"):
        vllm(home, monkeypatch, lora={"finr1-a": "wide"})


@pytest.mark.parametrize(
    ("kind", "flags", "said"),
    [
        ("vllm", {"max-num-seq": 8}, "vllm 0.30.0 knows no option 'max-num-seq'; did you mean 'max-num-seqs'?"),
        ("vllm", {"max_model_len": 8}, "the recipe's own key, or the kit, sets that"),
        ("vllm", {"no-enable-prefix-caching": True}, "the recipe's own key, or the kit, sets that"),
        ("vllm", {"api-key": "sk"}, "it would show in the list of processes"),
        ("vllm", {"trust-remote-code": True}, "code that comes with a model is never run"),
        ("transformers", {"trust_remote_code": True}, "code that comes with a model is never run"),
        ("transformers", {"cb-num-block": 8}, "did you mean 'cb-num-blocks'?"),
        ("transformers", {"device": "cuda"}, "the recipe's own key, or the kit, sets that"),
    ],
)
def test_an_option_is_looked_up(monkeypatch: pytest.MonkeyPatch, kind: Any, flags: dict[str, Any], said: str) -> None:
    monkeypatch.setattr("launch.serving.command._installed_python", lambda kind: None)
    settings = ServeSettings(model="x/y", flags={kind: flags})
    (objection,) = objections(settings, kind)
    assert said in objection
    assert not any(str(value) in objection for value in flags.values() if value == "sk")


def test_what_only_vllm_knows_is_refused_elsewhere() -> None:
    settings = ServeSettings(model="x/y", quantization="fp8", lora={"a": Path("b")}, max_model_len=10)
    (objection,) = objections(settings, "transformers")
    assert objection.startswith("max_model_len, quantization, lora: only vLLM knows that")
    assert list(objections(settings, "vllm")) == []


def test_two_models_under_one_name_are_refused() -> None:
    settings = ServeSettings(model="x/y", served_name="finr1", lora={"finr1": Path("b")})
    (objection,) = objections(settings, "vllm")
    assert "are both called 'finr1'" in objection


def test_the_pinned_options_are_of_the_pinned_engines() -> None:
    pinned = json.loads(known_options.PINNED.read_text(encoding="utf-8"))
    for kind, stack in (("transformers", "rl"), ("vllm", "rl-vllm")):
        pins = (KIT / "stacks" / f"{stack}.txt").read_text(encoding="utf-8")
        assert f"\n{kind}=={pinned[kind]['version']} " in pins


def test_an_engine_sees_no_secret(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("OPENAI_API_KEY", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "VLLM_API_KEY", "HF_HUB_TOKEN", "MY_PASSWORD")
    for variable in (*secrets, "SOMETHING_ELSE", "CUDA_VISIBLE_DEVICES", "VLLM_CPU_KVCACHE_SPACE", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "1")
    start = vllm(home, monkeypatch)
    assert not start.inherit & {*secrets, "SOMETHING_ELSE", "HTTPS_PROXY"}
    assert {"PATH", "CUDA_VISIBLE_DEVICES", "VLLM_CPU_KVCACHE_SPACE"} <= start.inherit
    assert start.env == {"HF_HUB_OFFLINE": "1"}
    of_the_hub = vllm(home, monkeypatch, model="Qwen/Qwen3-4B")
    assert "HTTPS_PROXY" in of_the_hub.inherit and not of_the_hub.inherit & set(secrets)
