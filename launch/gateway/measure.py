"""How often the routing rule is right, asked of HAProxy itself: the judge of a question is the one that routes it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from launch.gateway.rule import ROUTES
from launch.gateway.running import gateway
from launch.gateway.settings import LOOPBACK, GatewaySettings, Server
from launch.paths import KIT
from reward_plugins.agreement import wilson
from reward_plugins.errors import Refused

OURS = KIT / "datasets" / "routing" / "questions.jsonl"


def measure(settings: GatewaySettings, questions: Path = OURS) -> dict[str, Any]:
    """Accuracy of the recipe's rule on labelled questions, whole and by each of `half`, `lang`, `hard`, `label`.

    Args:
        settings: The recipe; its servers need not run and are not asked.
        questions: JSONL with `question` and `label` (finance or other) on each line.

    Returns:
        n, right, accuracy, its 95 % interval (Wilson), the same `by` group ("lang=zh"), and the misses.

    Raises:
        Refused: a line is not so, or HAProxy refuses the recipe.
    """
    rows = _rows(questions)
    found = ask_routes(settings, [row["question"] for row in rows])
    judged = [(row, route == row["label"]) for row, route in zip(rows, found, strict=True)]
    groups: dict[str, list[bool]] = {}
    for row, right in judged:
        for key in ("half", "lang", "script", "hard", "label"):
            if key in row:
                groups.setdefault(f"{key}={json.dumps(row[key]).strip(chr(34))}", []).append(right)
    return {
        **_share([right for _, right in judged]),
        "by": {name: _share(rights) for name, rights in sorted(groups.items())},
        "misses": [f"{row['label']}: {row['question']}" for row, right in judged if not right],
    }


def ask_routes(settings: GatewaySettings, questions: list[str]) -> list[str]:
    """The route that HAProxy gives each question: finance, other, or unsure.

    A gateway of its own is started for it, in a scratch folder, on two free ports.
    """
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="finr1-route-"))
        port, metrics_port = free_ports()
        nobody = Server(url=f"http://{LOOPBACK}:1/v1")
        changed = {"general": nobody, "host": LOOPBACK, "port": port, "metrics_port": metrics_port, "data": scratch}
        stack.enter_context(gateway(settings.model_copy(update=changed)))
        connection = stack.enter_context(closing(http.client.HTTPConnection(LOOPBACK, port, timeout=10)))
        headers = {"Authorization": f"Bearer {os.environ[settings.api_key_envs[0]]}"}
        routes = []
        for question in questions:
            body = json.dumps({"messages": [{"role": "user", "content": question}]})
            connection.request("POST", "/finr1/route", body, headers)
            answer = connection.getresponse()
            answer.read()
            routes.append(answer.headers.get("X-Gateway-Route", f"status {answer.status}"))
        return routes


def _rows(file: Path) -> list[dict[str, Any]]:
    rows = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Refused(f"{file} is not in UTF-8; save it so") from None
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or row.get("label") not in ROUTES or not isinstance(row.get("question"), str):
            raise Refused(f'{file}:{number}: a line is {{"question": "...", "label": "finance" or "other"}}')
        rows.append(row)
    if not rows:
        raise Refused(f"{file} holds no question")
    return rows


def _share(rights: list[bool]) -> dict[str, Any]:
    low, high = wilson(sum(rights), len(rights))
    accuracy = sum(rights) / len(rights)
    return {
        "n": len(rights),
        "right": sum(rights),
        "accuracy": round(accuracy, 3),
        "interval": [round(low, 3), round(high, 3)],
    }


def free_ports() -> list[int]:
    """Two ports of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in (first, second)]
