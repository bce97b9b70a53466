"""Is a served model well? It is asked a finance question, and what comes back is read as a completion is read.

A port that accepts, and a `/health` that says 200, tell nothing of the model behind them.
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from distill.prompts import read_prompt
from distill.reply import Unusable, read_reply
from launch import models, recipe
from launch.paths import KIT, home
from launch.serving.events import events_path, history
from launch.serving.settings import ServeSettings, key_of, name_of
from reward_plugins import verify
from reward_plugins.errors import Refused

QUESTION = (
    "A company's revenue was 200 million yuan last year and is 230 million yuan this year. "
    "By how many percent did it grow?"
)
GOLD = "15%"
_MAX_TOKENS = 512
"""A trained model ends far below on one division; one that rambles is not waited for."""
TIMEOUT_S = 180.0
"""512 tokens at 3 a second: slower than that is no service."""

State = Literal["answered", "no answer", "error"]

EXIT_CODES: dict[State, int] = {"answered": 0, "error": 1, "no answer": 4}
"""Of `finr1 health`; 2 is bad input and 3 a cost cap, as of every command."""


@dataclass(frozen=True)
class Health:
    """How a model took the question.

    `state`: "answered" (it gave a final answer in a form that the verifier reads, right or not), "no answer" (it spoke,
    and there is no final answer in it), "error" (nobody spoke: refused, timed out, no completion). `why` is one
    sentence, `model` what the endpoint says answered, `seconds` the time of the request.
    """

    state: State
    why: str
    model: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.state}: {self.why} ({self.seconds:.1f} s{', by ' + self.model if self.model else ''})"


def look(target: str, model: str | None, api_key_env: str | None, timeout_s: float) -> tuple[Health, str]:
    """(health, history) of what is served at an address or by a recipe; an address has no history.

    Raises:
        Refused: there is no such recipe, or the key is not set.
    """
    if target.startswith(("http://", "https://")):
        url = target.rstrip("/") + ("" if urlsplit(target).path.strip("/") else "/v1")
        return ask(url, model, key_of(api_key_env), timeout_s), ""
    served = recipe.settings(ServeSettings, recipe.load(target), target)
    name = model or name_of(served, models.resolve(served.model, home()))
    found = ask(f"{served.base}/v1", name, key_of(api_key_env or served.api_key_env), timeout_s)
    return found, history(events_path(home() / served.log))


def ask(url: str, model: str | None = None, key: str = "", timeout_s: float = TIMEOUT_S) -> Health:
    """Ask the model at `url` (ending in /v1); without `model` the endpoint's own choice answers.

    Raises:
        Refused: the address is none.
    """
    if not _is_address(url):
        raise Refused(f"{url} is no address; give one such as http://127.0.0.1:8011/v1")
    body: dict[str, object] = {
        "messages": [
            {"role": "system", "content": read_prompt(KIT / "recipes/prompts/think_answer.txt")},
            {"role": "user", "content": QUESTION},
        ],
        "max_tokens": _MAX_TOKENS,
        "temperature": 0,
    }
    if model:
        body["model"] = model
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    begin = time.monotonic()

    def told(state: State, why: str, by: str = "") -> Health:
        return Health(state, why, by, time.monotonic() - begin)

    try:
        request = urllib.request.Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            raw = _read(answer, begin + timeout_s)
        reply = read_reply(raw)
    except urllib.error.HTTPError as error:
        asks = "; it asks for a key: name its environment variable with --api-key-env" if error.code == 401 else ""
        return told("error", f"it answered with status {error.code}{asks}")
    except Unusable as unusable:
        return told("error", f"what it sent is no completion: {unusable}")
    except http.client.HTTPException:
        return told("error", "what it sent broke off, or was no HTTP")
    except OSError as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return told("error", f"no answer within {timeout_s:.0f} s")
        return told("error", f"nothing answers there: {reason}")
    by = str(json.loads(raw).get("model") or "")
    verdict = verify(reply.response, GOLD, question=QUESTION)
    if verdict.status == "no_answer":
        cut = f" (cut at {_MAX_TOKENS} tokens)" if reply.finish_reason == "length" else ""
        return told("no answer", f"{verdict.reason}{cut}", by)
    return told("answered", f"{verdict.extracted!r}, which is {verdict.status} (the gold is {GOLD})", by)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0 and not any(map(str.isspace, url))
    except ValueError:
        return False


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    """The whole body; `TimeoutError` for one that drips in for longer than the deadline."""
    body = b""
    while chunk := answer.read1(1 << 16):
        body += chunk
        if time.monotonic() > deadline:
            raise TimeoutError
    if answer.length:
        raise http.client.IncompleteRead(body, answer.length)
    return body
