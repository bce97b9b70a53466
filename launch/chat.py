"""Open WebUI, from its own stack: people talk to the tuned models, signed in, on this machine and offline."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from distill.prompts import read_prompt
from launch import engine, listening, models, recipe, stacks
from launch.paths import KIT, home
from launch.serving.server import ServeSettings, serving
from launch.serving.settings import key_of, name_of
from launch.webui import Page
from reward_plugins.errors import Refused

LOG = "open_webui.log"
"""Inside the data folder."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START_S = 300.0
"""It imports torch and makes its tables: 20 s of processor time, and many times that on a busy machine."""
_LIST_S = 10.0
"""An endpoint that does not list its models within this time is taken for absent."""

_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""All that Open WebUI sees of our environment; a key that some other program needs is not among it."""

_SETTINGS = {
    "FROM_INIT_PY": "true",  # its files lie as its package has them, not as its repository does
    # What the recipe says holds after each start: a switch that somebody turned in the page is not kept.
    "ENABLE_PERSISTENT_CONFIG": "false",
    # Sign-up makes the first account, the administrator's, whatever this says; it makes no other one.
    "ENABLE_SIGNUP": "false",
    "WEBUI_AUTH": "true",
    "BYPASS_MODEL_ACCESS_CONTROL": "true",  # who may sign in may talk to each model
    "ENABLE_PASSWORD_VALIDATION": "true",
    "PASSWORD_VALIDATION_REGEX_PATTERN": r"^.{8,}$",
    "PASSWORD_VALIDATION_HINT": "at least 8 characters",
    # Nothing that a model or a visitor writes is run, here or in the browser.
    "ENABLE_PLUGINS": "false",
    "ENABLE_CODE_EXECUTION": "false",
    "ENABLE_CODE_INTERPRETER": "false",
    "ENABLE_PIP_INSTALL_FRONTMATTER_REQUIREMENTS": "false",
    "ENABLE_DIRECT_CONNECTIONS": "false",
    "ENABLE_AUTOMATIONS": "false",
    "ENABLE_CALENDAR": "false",
    "ENABLE_MEMORIES": "false",
    # Nothing leaves the machine but questions to the models that the recipe names.
    "OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "true",
    "SCARF_NO_ANALYTICS": "true",
    "ANONYMIZED_TELEMETRY": "false",
    "ENABLE_VERSION_UPDATE_CHECK": "false",
    "ENABLE_COMMUNITY_SHARING": "false",
    "ENABLE_WEB_SEARCH": "false",
    "ENABLE_IMAGE_GENERATION": "false",
    "ENABLE_OLLAMA_API": "false",
    # No model but the ones to talk to: uploaded reports go into the question as they are.
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
    "RAG_EMBEDDING_MODEL_AUTO_UPDATE": "false",
    "DEFAULT_INTERFACE_SETTINGS": json.dumps({"showChangelog": False, "showUpdateToast": False}),
    # Each of these would be a second request to the model for every question; a model that reasons first is slow at it.
    "ENABLE_TITLE_GENERATION": "false",
    "ENABLE_TAGS_GENERATION": "false",
    "ENABLE_FOLLOW_UP_GENERATION": "false",
    "ENABLE_AUTOCOMPLETE_GENERATION": "false",
    # Tools would be described to the model in a prompt that it has not seen in training.
    "DEFAULT_MODEL_METADATA": json.dumps(
        {
            "capabilities": dict.fromkeys(
                ("builtin_tools", "code_interpreter", "web_search", "image_generation", "vision", "terminal"), False
            )
        }
    ),
}


class ChatModel(BaseModel):
    """Where to talk: `model` is the URL of an OpenAI-compatible endpoint, a serving recipe, or a model folder.

    `ids` are the names of an endpoint's models (by default all that it lists), `system_prompt` is the file with what
    the model was trained with, `params` are Open WebUI's own (`temperature`, `max_tokens` ...).
    """

    model_config = ConfigDict(extra="forbid")

    model: str
    ids: list[str] = []
    api_key_env: str | None = None
    system_prompt: Path | None = None
    params: dict[str, JsonValue] = {}

    @field_validator("model")
    @classmethod
    def _no_secret_in_an_address(cls, model: str) -> str:
        parts = urlsplit(model)
        if parts.scheme in ("http", "https") and (parts.username or parts.query):
            raise ValueError("an address must hold no user, password or query: keys come from api_key_env")
        return model.rstrip("/") if parts.scheme in ("http", "https") else model


class ChatSettings(BaseModel):
    """One chat page. `data` keeps accounts, talks and the secret; `serve` serves a model given as a folder.

    `origins` are further addresses under which browsers open the page, such as that of a proxy with TLS;
    `suggestions` is a YAML file of prompts that a new chat offers. With `forward_user` each request tells the model's
    endpoint who asks, by headers; `finr1 gateway` needs it to keep a user with one version, and passes it on to nobody.
    """

    model_config = ConfigDict(extra="forbid")

    models: list[ChatModel] = Field(min_length=1)
    host: str = "127.0.0.1"
    port: int = Field(8080, ge=1, le=65535)
    origins: list[str] = []
    data: Path = Path("runs/chat")
    serve: str = "recipes/serve/local.yaml"
    suggestions: Path | None = None
    forward_user: bool = False
    start_s: float = Field(_START_S, gt=0)


class Suggestion(BaseModel):
    """A prompt that a new chat offers: a title, a line under it, and what is asked."""

    model_config = ConfigDict(extra="forbid")

    title: tuple[str, str]
    content: str


@dataclass(frozen=True)
class _Connection:
    """An endpoint as Open WebUI is told of it."""

    url: str
    ids: list[str]
    key: str
    of: ChatModel


def load(path: str, overrides: list[str], tuned: list[str], general: list[str]) -> ChatSettings:
    """The settings of a chat recipe, with the models named on the command line.

    Each of `tuned` takes the place, the prompt and the parameters of the recipe's first model; each of `general` is
    added as it is, without a system prompt.
    """
    settings = recipe.settings(ChatSettings, recipe.load(path, overrides), path)
    # The recipe's ids are those of its own endpoint, the command's those of the one that the command names.
    ids = settings.models[0].ids if any(each.startswith("models.0.ids=") for each in overrides) else []
    named = [{**settings.models[0].model_dump(), "model": model, "ids": ids} for model in tuned]
    rest = [model.model_dump() for model in (settings.models[1:] if tuned else settings.models)]
    added = [{"model": model} for model in general]
    return recipe.settings(ChatSettings, {**settings.model_dump(), "models": [*named, *rest, *added]}, path)


@contextlib.contextmanager
def chatting(settings: ChatSettings) -> Iterator[Page]:
    """Start Open WebUI and the servers it needs, wait until it answers, and stop what was started at the block's end.

    A serving recipe whose address already answers is not started a second time.

    Raises:
        Refused: the port is taken, an endpoint does not answer, a key is missing, or the address is open to others
            before there is an account.
        EngineFailed: Open WebUI or a server did not start.
    """
    data = home() / settings.data
    origins = _origins(settings)
    if settings.host not in _LOOPBACK and not accounts(data):
        raise Refused(
            f"host {settings.host} can be reached from other machines, and who signs up first becomes the "
            "administrator: start it on 127.0.0.1 once and sign up"
        )
    suggestions = _suggestions(settings.suggestions)
    log = data / LOG
    listening.need_free_port(settings.host, settings.port, log)
    with contextlib.ExitStack() as servers:
        connections = [_connect(model, settings.serve, servers) for model in settings.models]
        rows = [row for connection in connections for row in _rows(connection)]
        python = stacks.python("chat")
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = {
            "host": settings.host,
            "port": settings.port,
            "models": rows,
            "settings": {
                **_SETTINGS,
                "ENABLE_FORWARD_USER_INFO_HEADERS": str(settings.forward_user).lower(),
                "DATA_DIR": str(data),
                "STATIC_DIR": str(data / "static"),
                "CORS_ALLOW_ORIGIN": ";".join(origins),
                "DEFAULT_MODELS": connections[0].ids[0],
                "DEFAULT_PROMPT_SUGGESTIONS": json.dumps([each.model_dump() for each in suggestions]),
                "OPENAI_API_BASE_URLS": ";".join(connection.url for connection in connections),
                "OPENAI_API_CONFIGS": json.dumps(
                    {str(place): {"model_ids": connection.ids} for place, connection in enumerate(connections)}
                ),
            },
            # These two leave the process's environment as soon as they are read.
            "secrets": {
                "OPENAI_API_KEYS": ";".join(connection.key for connection in connections),
                "WEBUI_SECRET_KEY": session_secret(data / "secret_key"),
            },
        }
        page = servers.enter_context(
            engine.started(
                [python, KIT / "launch" / "inside" / "chat.py"],
                name="chat page",
                log=log,
                env={"HOME": str(data)},
                inherit=_INHERITED,
                told=json.dumps(told).encode(),
            )
        )
        listening.wait_until_answers(f"{origins[0]}/health", page, name="chat page", log=log, seconds=settings.start_s)
        yield Page(origins[0], page.pid)


def accounts(data: Path) -> int:
    """How many people have an account in a data folder."""
    database = data / "webui.db"
    if not database.is_file():
        return 0
    with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute('SELECT count(*) FROM "user"').fetchone()[0])
        except sqlite3.OperationalError:  # stopped before its tables were made
            return 0


def _origins(settings: ChatSettings) -> list[str]:
    """The addresses that browsers may open it under; the first one is where we reach it ourselves."""
    if settings.host in _LOOPBACK:
        names = ("127.0.0.1", "localhost") if settings.host != "::1" else ("[::1]", "localhost")
        own = [f"http://{name}:{settings.port}" for name in names]
    elif settings.host in ("0.0.0.0", "::"):
        if not settings.origins:
            raise Refused(
                f"host {settings.host} says not how browsers call it: name that in origins, such as "
                f"http://chat.example.com:{settings.port}"
            )
        own = [f"http://{'127.0.0.1' if settings.host == '0.0.0.0' else '[::1]'}:{settings.port}"]
    else:
        own = [f"http://{f'[{settings.host}]' if ':' in settings.host else settings.host}:{settings.port}"]
    return [*own, *(origin.rstrip("/") for origin in settings.origins)]


def _connect(model: ChatModel, serve: str, servers: contextlib.ExitStack) -> _Connection:
    """The endpoint that a model is to be had from; one of our own is started unless it answers already."""
    if model.model.startswith(("http://", "https://")):
        key = key_of(model.api_key_env)
        return _Connection(model.model, model.ids or _listed(model.model, key), key, model)
    if model.model.endswith((".yaml", ".yml")):
        served = recipe.settings(ServeSettings, recipe.load(model.model), model.model)
    else:
        served = recipe.settings(ServeSettings, {**recipe.load(serve), "model": model.model}, serve)
    key = key_of(served.api_key_env)
    if listening.answers(f"{served.base}/health"):
        name = name_of(served, models.resolve(served.model, home()))
        _need_served(f"{served.base}/v1", name, key)
        return _Connection(f"{served.base}/v1", [name], key, model)
    endpoint = servers.enter_context(serving(served))
    return _Connection(endpoint.url, [endpoint.model_id], key, model)


def _need_served(url: str, name: str, key: str) -> None:
    """Refuse a server that does not answer for this model, such as one that serves another; one that is busy may."""
    body = {"model": name, "messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)
    try:
        urllib.request.urlopen(request, timeout=_LIST_S).close()
    except urllib.error.HTTPError as error:
        if 400 <= error.code < 500:
            said = " ".join(error.read(300).decode("utf-8", "replace").split())
            raise Refused(
                f"{url} answers already, and not for {name} (status {error.code}: {said}): stop that server, or give "
                "this model a serving recipe with a port of its own"
            ) from None
    except OSError:
        pass


def _listed(url: str, key: str) -> list[str]:
    """The names of an endpoint's models, from `GET /models`."""
    request = urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=_LIST_S) as answer:
            listed = [str(model["id"]) for model in json.load(answer)["data"]]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise Refused(f"{url} asks for a valid key: name its environment variable in api_key_env") from None
        listed = []
    except (ValueError, KeyError, TypeError):
        listed = []
    except (OSError, http.client.HTTPException):
        raise Refused(f"nothing answers at {url}: start it first, such as by `finr1 serve`") from None
    if not listed:
        raise Refused(f"{url} does not list its models: name them in ids")
    return listed


def _rows(connection: _Connection) -> list[dict[str, Any]]:
    """What Open WebUI keeps of each model: its shown name and parameters."""
    prompt = connection.of.system_prompt
    system = {"system": read_prompt(home() / prompt)} if prompt else {}
    for model_id in connection.ids:
        if any(character.isspace() for character in model_id):
            raise Refused(f"model {model_id!r}: Open WebUI takes no name with white space; serve it under another one")
    return [
        {"id": model_id, "name": _shown(model_id), "params": {**system, **connection.of.params}}
        for model_id in connection.ids
    ]


def _shown(model_id: str) -> str:
    """A folder's last two names (`quickstart/grpo`) instead of its whole path."""
    return "/".join(Path(model_id).parts[-2:]) if model_id.startswith("/") else model_id


def _suggestions(path: Path | None) -> list[Suggestion]:
    if path is None:
        return []
    try:
        listed = yaml.safe_load((home() / path).read_text(encoding="utf-8"))
        return [Suggestion.model_validate(each) for each in listed]
    except FileNotFoundError:
        raise Refused(f"{path}: no such file; leave the key `suggestions` out to offer none") from None
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise Refused(
            f"{path} must be a list of title (two lines) and content: {' '.join(str(error).split())}"
        ) from None


def session_secret(path: Path) -> str:
    """What signs the sessions: made once, for its owner alone to read.

    Raises:
        Refused: somebody else may read it, or it is empty.
    """
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        pass
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise Refused(f"{path} can be read by others: delete it (a new one is made, and everybody signs in anew)")
    key = path.read_text(encoding="ascii").strip()
    if not key:
        raise Refused(f"{path} is empty: delete it (a new one is made, and everybody signs in anew)")
    return key
