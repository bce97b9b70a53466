"""A teacher behind an OpenAI-compatible endpoint: one question in, one answer or one reason out."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import os
import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import to_json

from distill.prompts import Message
from distill.reply import Reply, Unusable, read_reply
from distill.throttle import Stop, Throttle
from reward_plugins.errors import Refused

log = logging.getLogger(__name__)

# The first wait after a failure; each further one doubles it, up to the longest. A server that restarts is back
# within minutes, and six attempts then wait for about one minute in all.
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
# A server that asks for more patience than this gets a new request after it all the same.
_LONGEST_RETRY_AFTER_S = 900.0
# A 429 is no failure of the request, so it does not count as an attempt; but a spent quota looks the same and never
# ends. 40 waits of up to a minute ride out any limit per minute or per hour that is meant to be met.
_MOST_RATE_LIMITS = 40
# Opening a connection takes milliseconds; half a minute covers a distant proxy.
_CONNECT_S = 30.0
# A time-out is paid with patience, not with tokens alone: an endpoint that has never answered gets two, not all attempts.
_ATTEMPTS_BEFORE_ANY_ANSWER = 2
# These concern the endpoint, its key or the model, so every other request would end the same way.
_FATAL = frozenset({301, 302, 303, 307, 308, 401, 402, 403, 404, 405})
# These concern one request (too long, a parameter, its content): asking the same again gives the same.
_NEVER_AGAIN = frozenset({400, 406, 410, 411, 413, 414, 415, 422, 451})


class Teacher(BaseModel):
    """Who answers, and how it is asked.

    `kind`: "endpoint" asks `model` at `base_url`; "reference" takes the worked solution of each question and sends no
    request. `serve` names a serving recipe: the command starts that server first and fills in `base_url` and `model`.
    `api_key_env` is the *name* of an environment variable. `samples` answers to each question, `concurrency` requests
    at once at most, `limit` asks about the first so many questions only. `attempts` for a request that times out
    (after `timeout_s` seconds) or fails; what a key left at null means is for the endpoint to say. `extra_body` goes
    into each request as it stands.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Literal["endpoint", "reference"] = "endpoint"
    serve: Path | None = None
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    system_prompt: Path | None = None
    samples: int = Field(default=1, ge=1)
    limit: int | None = Field(default=None, ge=1)
    concurrency: int = Field(default=16, ge=1, le=4096)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=600.0, gt=0)
    attempts: int = Field(default=6, ge=1)
    extra_body: dict[str, Any] = Field(default_factory=dict)

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("base_url must look like http://host:port/v1")
        if parts.username or parts.password or parts.query:
            raise ValueError("base_url must hold no user, password or query: keys come from api_key_env")
        return url.rstrip("/").removesuffix("/chat/completions")

    @field_validator("extra_body")
    @classmethod
    def _not_ours(cls, body: dict[str, Any]) -> dict[str, Any]:
        for key in ("model", "messages", "stream", "n"):
            if key in body:
                raise ValueError(f"extra_body must not set {key!r}: the kit sends whole answers, one a request")
        return body

    @model_validator(mode="after")
    def _makes_sense(self) -> Teacher:
        if self.kind == "reference":
            if idle := sorted(self.model_fields_set - {"name", "kind", "system_prompt", "limit"}):
                raise ValueError(f"teacher {self.name!r} is of kind reference and asks nobody; take out {idle[0]!r}")
        elif self.serve is None and not (self.base_url and self.model):
            raise ValueError(f"teacher {self.name!r} needs base_url and model, or serve")
        return self

    def identity(self) -> dict[str, Any]:
        """What the answers depend on; not where, how fast and with which patience they were fetched."""
        away = {"base_url", "api_key_env", "concurrency", "timeout_s", "attempts"} | (
            {"model"} if self.serve else set()
        )
        return self.model_dump(mode="json", exclude=away)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request gave no answer. `reason` holds no content; `detail` is the endpoint's own words, if harmless.

    `again`: whether asking once more may help. `after_s`: how long the endpoint asks to wait. `limited`: it was a 429;
    `hung`: a time-out. `blame`: whether the request or the endpoint is at fault.
    """

    reason: str
    detail: str = ""
    again: bool = True
    after_s: float = 0.0
    limited: bool = False
    hung: bool = False
    blame: Literal["request", "endpoint"] = "endpoint"


class Endpoint:
    """An open line to one teacher; an asynchronous context manager.

    Raises `Refused` on opening where the key is missing, and from `ask` for what concerns all requests: a wrong key,
    address or model, or a server that is not there when the run starts.
    """

    def __init__(self, teacher: Teacher, stop: Stop) -> None:
        if teacher.base_url is None or teacher.model is None:
            raise Refused(
                f"teacher {teacher.name!r} has no server yet: run the stage by its command, which starts "
                "`serve` first, or give base_url and model"
            )
        self.teacher = teacher
        self.url = teacher.base_url + "/chat/completions"
        self._key = _key(teacher)
        self._stop = stop
        self._throttle = Throttle(teacher.concurrency, stop)
        self._reached = self._answered = False
        self._settings = {
            "model": teacher.model,
            **{
                key: value
                for key in ("temperature", "top_p", "max_tokens")
                if (value := getattr(teacher, key)) is not None
            },
            **teacher.extra_body,
        }

    async def __aenter__(self) -> Endpoint:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),  # the throttle is the limit
            timeout=aiohttp.ClientTimeout(total=self.teacher.timeout_s, sock_connect=_CONNECT_S),
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=not _is_local(self.url),  # proxies of the environment, except to this machine
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._session.close()

    async def ask(self, prompt: list[Message]) -> tuple[Reply | Failure, float] | None:
        """The outcome of one request and the seconds that its last attempt took; None if stopped before there is one.

        Fails only after all attempts, or where another attempt cannot help. Raises `Refused`.
        """
        body = to_json({**self._settings, "messages": prompt})
        loop = asyncio.get_running_loop()
        failures = rate_limits = 0
        while True:
            async with self._throttle:
                if self._stop:
                    return None
                started = loop.time()
                outcome = await self._attempt(body)
                latency = loop.time() - started
                if isinstance(outcome, Reply):
                    self._answered = True
                    self._throttle.went_well()
                    return outcome, latency
                if outcome.limited:
                    rate_limits += 1
                    self._throttle.limited(outcome.after_s or _wait(rate_limits), started)
                else:
                    failures += 1
            if not outcome.again or failures >= self._attempts(outcome) or rate_limits >= _MOST_RATE_LIMITS:
                return outcome, latency
            log.debug("teacher %s: %s, asking again", self.teacher.name, outcome.reason)
            if not outcome.limited:
                await self._stop.sleep(max(outcome.after_s, _wait(failures)))

    def _attempts(self, outcome: Failure) -> int:
        if outcome.hung and not self._answered:
            return min(self.teacher.attempts, _ATTEMPTS_BEFORE_ANY_ANSWER)
        return self.teacher.attempts

    async def _attempt(self, body: bytes) -> Reply | Failure:
        try:
            async with self._session.post(self.url, data=body, allow_redirects=False) as response:
                self._reached = True
                payload = await response.read()
                if response.status == 200:
                    return read_reply(payload)
                return self._turned_down(response, payload, body)
        except Unusable as reason:
            return Failure(str(reason))
        except aiohttp.ClientSSLError:
            return self._no_connection("its certificate is not accepted")
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            return self._no_connection(os.strerror(number).lower() if number and number > 0 else "no such host")
        except aiohttp.ConnectionTimeoutError:
            return self._no_connection(f"no connection within {_CONNECT_S:g} s")
        except TimeoutError:
            return Failure(f"no answer within {self.teacher.timeout_s:g} s", hung=True)
        except (aiohttp.ClientError, OSError):
            return Failure("connection cut")

    def _no_connection(self, why: str) -> Failure:
        if self._reached:
            return Failure("cannot connect")
        raise Refused(
            f"teacher {self.teacher.name!r}: nothing answers at {self.url} ({why}); start the server or mend base_url"
        )

    def _turned_down(self, response: aiohttp.ClientResponse, payload: bytes, body: bytes) -> Failure:
        status = response.status
        reason = f"http {status}"
        if status in _FATAL:
            raise Refused(f"teacher {self.teacher.name!r}: {self._fatal(status)} ({reason} from {self.url})")
        if status in _NEVER_AGAIN:
            return Failure(reason, _harmless_words(payload, body, self._key), again=False, blame="request")
        return Failure(reason, after_s=_retry_after(response.headers.get("Retry-After")), limited=status == 429)

    def _fatal(self, status: int) -> str:
        teacher = self.teacher
        if status in (401, 403):
            if teacher.api_key_env is None:
                return "the endpoint asks for a key; name the environment variable that holds it in api_key_env"
            return f"the endpoint refuses the key in {teacher.api_key_env}; put a valid one into that variable"
        if status == 402:
            return "the endpoint asks for payment; top up the account and run the same command again"
        if status in (404, 405):
            return (
                f"the endpoint knows no such address or no model {teacher.model!r}; "
                "check model, and base_url (it usually ends in /v1)"
            )
        return "the endpoint has moved; put its new address into base_url"


def _key(teacher: Teacher) -> str:
    if teacher.api_key_env is None:
        return ""
    key = os.environ.get(teacher.api_key_env, "").strip()
    if not key:
        raise Refused(f"teacher {teacher.name!r}: the environment variable {teacher.api_key_env} is not set")
    if not key.isascii() or not key.isprintable():
        raise Refused(f"teacher {teacher.name!r}: {teacher.api_key_env} holds characters that no key has")
    return key


def _wait(failures: int) -> float:
    """Seconds before the next attempt: doubling; half is random, so that failed requests do not come back together."""
    longest = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 32))
    return longest * random.uniform(0.5, 1.0)


def _retry_after(value: str | None) -> float:
    """The header in seconds (RFC 9110: a number of seconds, or a date); 0.0 without one, or with one out of reason."""
    if value is None:
        return 0.0
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return 0.0
        seconds = (date.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), _LONGEST_RETRY_AFTER_S) if seconds == seconds else 0.0


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# Endpoints quote what they were sent. Twelve characters in a row are more than chance and less than a phrase.
_QUOTED = 12
_LONGEST_WORDS = 200


def _harmless_words(payload: bytes, body: bytes, key: str) -> str:
    """The message of an error answer, cut to 200 characters; "" where it repeats a piece of the request or the key."""
    try:
        data = json.loads(payload)
        error = data.get("error", data)
        words = str(error.get("message", "") if isinstance(error, dict) else error)
    except (ValueError, AttributeError, RecursionError):
        return ""
    words = re.sub(r"\s+", " ", words)[:_LONGEST_WORDS]
    prompt = "\n".join(message["content"] for message in json.loads(body)["messages"])
    pieces = (words[at : at + _QUOTED] for at in range(max(1, len(words) - _QUOTED + 1)))
    if (key and key in words) or any(piece in prompt for piece in pieces if len(piece) == _QUOTED):
        return ""
    return words
