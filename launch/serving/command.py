"""A serving recipe as a command of its engine: refused early where it cannot work, started with no secret in sight."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launch import models, stacks
from launch.paths import home
from launch.serving import options as known_options
from launch.serving.settings import Kind, ServeSettings, has_gpu, key_of, name_of
from reward_plugins.addresses import is_loopback
from reward_plugins.errors import Refused, did_you_mean

OWN_VLLM = "FINR1_VLLM_PYTHON"
"""The environment variable that names the Python of a vLLM to use instead of the stack's, such as a build for CPUs."""

_VLLM_KEYS = ("tensor_parallel_size", "max_model_len", "reasoning_parser", "enable_prefix_caching", "quantization")
_SET_HERE: dict[Kind, tuple[str, ...]] = {
    "transformers": ("force-model", "host", "port", "dtype", "device", "continuous-batching"),
    "vllm": ("model", "host", "port", "dtype", "served-model-name", "enable-lora", "lora-modules", "max-lora-rank"),
}
"""Options that the recipe's own keys stand for; said twice, one of them would be wrong without a word."""
_NEVER = {
    "api-key": "it would show in the list of processes; name the key's environment variable in api_key_env",
    "trust-remote-code": "code that comes with a model is never run",
}

# An engine that is talked to by strangers sees what it needs to find its files and devices, and nothing else.
_SEEN = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|LD_PRELOAD|SSL_CERT_FILE|SSL_CERT_DIR|HF_HOME"
    r"|(XDG|CUDA|NVIDIA|VLLM|TORCH|TORCHINDUCTOR|PYTORCH|TRITON|OMP|MKL|KMP|NCCL|GLOO|HF_HUB)_\w+"
)
_SEEN_TO_FETCH = re.compile(r"HF_ENDPOINT|(https?|HTTPS?|no|NO)_(proxy|PROXY)")
"""Also seen where the model is a hub's: how to reach the hub."""
_SECRET = re.compile(r"(^|_)(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)(_|$)", re.IGNORECASE)

_LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values that vLLM's max_lora_rank takes; 16 unless told, which is too small for many adapters."""


@dataclass(frozen=True)
class Command:
    """What to start: `env` goes on top of the variables named in `inherit`; relative paths start in `folder`."""

    words: list[str | Path]
    name: str
    env: dict[str, str]
    inherit: frozenset[str]
    folder: Path


def objections(settings: ServeSettings, kind: Kind) -> Iterator[str]:
    """All that speaks against a recipe on this engine, a sentence each, before anything is loaded."""
    is_open = not is_loopback(settings.host)
    if kind == "transformers":
        if is_open or settings.api_key_env:
            where = f"host {settings.host} can be reached from other machines, and " if is_open else ""
            yield (
                f"{where}transformers serve checks no key: serve on 127.0.0.1 without api_key_env and put "
                "`finr1 gateway` in front of it, which checks keys, or use engine: vllm"
            )
        if foreign := [key for key in (*_VLLM_KEYS, "lora") if getattr(settings, key) not in (None, {})]:
            yield f"{', '.join(foreign)}: only vLLM knows that; leave it out, or use engine: vllm"
    elif is_open and not settings.api_key_env:
        yield (
            f"host {settings.host} can be reached from other machines: name a key's environment variable in "
            "api_key_env and set it, or serve on 127.0.0.1"
        )
    if settings.served_name in settings.lora:
        yield f"served_name and an adapter of lora are both called {settings.served_name!r}: give each its own name"
    yield from _flag_objections(settings.flags.get(kind, {}), kind)


def _flag_objections(flags: dict[str, Any], kind: Kind) -> Iterator[str]:
    options, version = known_options.known(kind, _installed_python(kind))
    own = (*_SET_HERE[kind], *(key.replace("_", "-") for key in _VLLM_KEYS if kind == "vllm"))
    for flag in flags:
        plain = flag.replace("_", "-")
        if plain in _NEVER:
            yield f"flags.{kind}.{flag}: {_NEVER[plain]}"
        elif plain.removeprefix("no-") in own:
            yield f"flags.{kind}.{flag}: the recipe's own key, or the kit, sets that; leave it out here"
        elif not known_options.is_known(flag, options):
            yield f"flags.{kind}: {version} knows no option {flag!r}{did_you_mean(plain, options)}"


def command(settings: ServeSettings, log: Path) -> Command:
    """The command that serves a recipe without objections; for `transformers serve` a link gives a folder its name.

    Raises:
        Refused: there is no such model, no GPU that vLLM needs, or the key is not set.
    """
    kind = settings.kind
    if kind == "vllm" and not has_gpu() and not os.environ.get(OWN_VLLM):
        raise Refused(
            f"engine: vllm needs a GPU, and there is none here: set engine: transformers, or name the Python of a "
            f"vLLM built for CPUs in {OWN_VLLM}"
        )
    model = models.resolve(settings.model, home())
    name = name_of(settings, model)
    is_folder = Path(model).is_absolute()
    if is_folder:  # a registry's champion is a link, which a promotion turns; a running server keeps its weights
        model = str(Path(model).resolve())
    env = {"HF_HUB_OFFLINE": "1"} if is_folder else {}
    inherit = frozenset(variable for variable in os.environ if _is_seen(variable, to_fetch=not is_folder))
    place = ["--host", settings.host, "--port", str(settings.port), "--dtype", settings.dtype]
    flags = [word for flag, value in settings.flags.get(kind, {}).items() for word in _flag(flag, value)]
    if kind == "vllm":
        if key := key_of(settings.api_key_env):
            env["VLLM_API_KEY"] = key  # by environment: an argument would show in the list of processes
        # The module that `vllm serve` runs; the script itself fails in builds whose distribution has another name.
        module = ["-m", "vllm.entrypoints.launchers.api_server.entry"]
        return Command(
            [_vllm_python(), *module, "--model", model, *place, *_vllm_words(settings, name), *flags],
            name,
            env,
            inherit,
            home(),
        )
    folder = _named_folder(model, name, log) if is_folder else home()
    if not is_folder and name != model:
        raise Refused(
            f"transformers serve answers for a hub model under its own id: leave served_name out, or download {model} "
            "to a folder and name that in model"
        )
    serve = ["serve", name, "--continuous-batching", "--device", "cuda" if has_gpu() else "cpu"]
    return Command([stacks.program("rl", "transformers"), *serve, *place, *flags], name, env, inherit, folder)


def _named_folder(model: str, name: str, log: Path) -> Path:
    """A folder in which `name` leads to the model.

    `transformers serve` answers to the very word that it was started with, and takes a relative path for one.
    """
    folder = log.with_suffix(".names")
    shutil.rmtree(folder, ignore_errors=True)
    link = folder / name
    link.parent.mkdir(parents=True)
    link.symlink_to(model, target_is_directory=True)
    return folder


def _vllm_words(settings: ServeSettings, name: str) -> list[str]:
    words = ["--served-model-name", name]
    for key in _VLLM_KEYS:
        words += _flag(key.replace("_", "-"), getattr(settings, key), is_switch=key == "enable_prefix_caching")
    if settings.lora:
        adapters = {adapter: _adapter(folder) for adapter, folder in settings.lora.items()}
        highest = max(rank for _, rank in adapters.values())
        words += ["--enable-lora", "--max-lora-rank", str(min(fit for fit in _LORA_RANKS if fit >= highest))]
        words += ["--lora-modules", *(f"{adapter}={folder}" for adapter, (folder, _) in adapters.items())]
    return words


def _adapter(path: Path) -> tuple[Path, int]:
    """(the adapter's folder, its rank)."""
    folder = home() / path
    try:
        rank = int(json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"lora: {folder} is no LoRA adapter: it has no adapter_config.json with a rank r") from None
    if rank > _LORA_RANKS[-1]:
        raise Refused(f"lora: {folder} has rank {rank}, and vLLM serves up to {_LORA_RANKS[-1]}; merge it instead")
    return folder, rank


def _flag(name: str, value: Any, is_switch: bool = False) -> list[str]:
    if value is True:
        return [f"--{name}"]
    if value in (False, None):
        return [f"--no-{name}"] if is_switch and value is False else []
    return [f"--{name}", json.dumps(value) if isinstance(value, dict | list) else str(value)]


def _is_seen(variable: str, to_fetch: bool) -> bool:
    if _SECRET.search(variable):
        return False
    return bool(_SEEN.fullmatch(variable) or (to_fetch and _SEEN_TO_FETCH.fullmatch(variable)))


def _vllm_python() -> Path:
    named = os.environ.get(OWN_VLLM)
    if not named:
        return stacks.python("rl-vllm")
    if not Path(named).is_file():
        raise Refused(f"{OWN_VLLM} names {named}, and there is no such file")
    return Path(named)


def _installed_python(kind: Kind) -> Path | None:
    """The engine's interpreter, if it is there already; nothing is installed for a look."""
    if kind == "vllm" and (named := os.environ.get(OWN_VLLM)):
        return Path(named)
    stack = "rl" if kind == "transformers" else "rl-vllm"
    return stacks.python(stack) if stacks.is_ready(stack) else None
