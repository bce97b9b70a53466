"""Each version is asked the same questions with known answers, again and again: what users' answers cannot tell.

Neither tokens nor a missing answer can be seen without reading what people were told, and a gateway does not. A probe
is nobody's text, and works with every engine.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from distill.prompts import read_prompt
from distill.reply import Unusable, read_reply
from launch.gateway.settings import Server
from launch.paths import home
from launch.watch.settings import WatchSettings
from reward_plugins import verify
from reward_plugins.errors import Refused

State = Literal["right", "wrong", "no_answer", "undecided", "error"]


@dataclass(frozen=True)
class Probed:
    """One probe: how it ended, the tokens that the server says it wrote (None: it does not say), the seconds it took."""

    state: State
    tokens: int | None
    seconds: float


def questions(settings: WatchSettings) -> list[dict[str, Any]]:
    """The first questions of the probe file: objects with `question`, `gold`, and what the verifier may use.

    Raises:
        Refused: the file is not there, or a line holds no question with a gold.
    """
    if settings.probes is None:
        return []
    file = home() / settings.probes
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not rows or not all(isinstance(row["question"], str) and isinstance(row["gold"], str) for row in rows):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"{file} holds no probes: each line needs `question` and `gold`") from None
    return rows[: settings.probe_count]


def probe(server: Server, row: dict[str, Any], settings: WatchSettings) -> Probed:
    """Ask one version one question, past the gateway, so that it counts as nobody's request."""
    body = {
        "messages": [
            {"role": "system", "content": read_prompt(home() / Path(settings.prompt))},
            {"role": "user", "content": "\n\n".join(filter(None, (row.get("context"), row["question"])))},
        ],
        "max_tokens": settings.probe_max_tokens,
        "temperature": 0,
        **({"model": settings.probe_model} if settings.probe_model else {}),
    }
    headers = {"Content-Type": "application/json"}
    if server.api_key_env:
        headers["Authorization"] = f"Bearer {os.environ[server.api_key_env]}"
    begin = time.monotonic()
    try:
        request = urllib.request.Request(f"{server.url}/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=settings.probe_timeout_s) as answer:
            reply = read_reply(answer.read())
    except (OSError, http.client.HTTPException, Unusable):
        return Probed("error", None, time.monotonic() - begin)
    verdict = verify(reply.response, row["gold"], question=row["question"], meta=row.get("meta"))
    state: State = "right" if verdict.status == "correct" else verdict.status
    return Probed(state, reply.usage.completion_tokens, time.monotonic() - begin)
