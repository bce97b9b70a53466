"""HAProxy's configuration from a gateway recipe, a pure function of it."""

from __future__ import annotations

import hashlib
import json
from itertools import accumulate
from pathlib import Path

import jinja2

from launch.gateway.settings import GatewaySettings

PLACES = 10_000
"""Users are dealt to so many places, so a weight holds to a hundredth of a percent."""
BUFFER = 256 * 1024
"""Bytes of a request's body that the rule may see; a longer body is `unsure`. A pasted annual report of 100 pages fits."""
_CONNECTIONS = 1000
"""At once; each may hold two buffers, so half a gigabyte at the very most."""
_ERRORS = {
    400: "this is no request that HTTP knows",
    408: "the request did not arrive in time",
    500: "the gateway failed",
    502: "the model broke off before it answered; ask again",
    503: "no model is up right now; ask again",
    504: "the model said nothing for too long",
}
_RETRYABLE = (502, 503)


def configuration(settings: GatewaySettings, rule_map: Path) -> tuple[str, str]:
    """The configuration's text, and the id by which a running gateway tells that it has this one.

    No key is in it: HAProxy takes each from its own environment.
    """
    place = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(place), undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False
    )
    values = {
        **dict(settings),
        "servers": settings.servers,
        "key_variables": settings.key_variables,
        "begins": begins(settings),
        "stand_ins": _stand_ins(settings),
        "rule_map": rule_map,
        "lua": place / "question.lua",
        "places": PLACES,
        "bufsize": BUFFER,
        "maxconn": _CONNECTIONS,
        "errors": _ERRORS,
        "retryable": _RETRYABLE,
        "error": _error,
    }
    template = environment.get_template("haproxy.cfg.j2")
    config_id = hashlib.sha256(template.render(values, config_id="").encode()).hexdigest()[:12]
    return template.render(values, config_id=config_id), config_id


def begins(settings: GatewaySettings) -> dict[str, int]:
    """At which place the users of each version begin; a version of weight 0 has none."""
    weights = {name: version.weight for name, version in settings.versions.items() if version.weight}
    total = sum(weights.values())
    ends = [round(PLACES * reached / total) for reached in accumulate(weights.values())]
    return dict(zip(weights, [0, *ends[:-1]], strict=True))


def _stand_ins(settings: GatewaySettings) -> list[tuple[str, str]]:
    """Who answers for whom, in order: no question of the tuned model's goes to the general one."""
    weighty = [name for name, version in settings.versions.items() if version.weight]
    heaviest = sorted(weighty, key=lambda name: -settings.versions[name].weight)
    return [
        (name, other)
        for name in [*weighty, *settings.servers.keys() - settings.versions]
        for other in heaviest
        if other != name
    ]


def _error(message: str) -> str:
    """An error as the OpenAI protocol words it."""
    return json.dumps({"error": {"message": message, "type": "gateway_error", "param": None, "code": None}})
