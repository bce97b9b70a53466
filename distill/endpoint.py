"""An open line to one teacher: one prompt in, one answer or one reason out."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal, NamedTuple

import aiohttp
from pydantic_core import to_json

from distill.ledger import Ledger, is_known
from distill.patience import Patience
from distill.prompts import Message
from distill.proxy import proxy_of
from distill.records import Usage
from distill.reply import Reply, Unusable, read_reply
from distill.teachers import Teacher, prompt_limit
from distill.throttle import Pace, Stop, Throttle
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
NEVER_AGAIN = frozenset({400, 406, 410, 411, 413, 414, 415, 422, 451})
# A gateway gave up on a model that may have done its work: what that costs is not known. Other errors are not billed.
_GAVE_UP = frozenset({408, 499, 502, 504, 524})
# How fast the estimate of a request's tokens follows what was billed: the last twenty requests weigh most.
_FOLLOWS = 0.05
# The estimate before the first answer, where nothing bounds a completion: a short chain of thought.
_TOKENS_UNTIL_KNOWN = 2048


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request gave no answer. `reason` holds no content; `detail` is the endpoint's own words, if harmless.

    `again`: whether asking once more may help. `after_s`: how long the endpoint asks to wait. `limited`: it was a 429;
    `hung`: a time-out. `blame`: whether the request or the endpoint is at fault. `billed`: whether it may cost money
    all the same, with `usage` as far as the endpoint told it.
    """

    reason: str
    detail: str = ""
    again: bool = True
    after_s: float = 0.0
    limited: bool = False
    hung: bool = False
    blame: Literal["request", "endpoint"] = "endpoint"
    billed: bool = False
    usage: Usage = field(default_factory=Usage)


class Outcome(NamedTuple):
    """How a request ended, and the seconds that its last attempt took."""

    result: Reply | Failure
    latency_s: float


class Endpoint:
    """An open line to one teacher; an asynchronous context manager.

    Raises `Refused` on opening where the key is missing, and from `ask` for what concerns all requests: a wrong key,
    address or model, or a server that is not there when the run starts.
    """

    def __init__(self, teacher: Teacher, stop: Stop, ledger: Ledger) -> None:
        if teacher.base_url is None or teacher.model is None:
            raise Refused(
                f"teacher {teacher.name!r} has no server yet: run the stage by its command, which starts "
                "`serve` first, or give base_url and model"
            )
        self.teacher = teacher
        self.url = teacher.base_url + "/chat/completions"
        self._key = _key(teacher)
        self._stop = stop
        self._ledger = ledger
        self._throttle = Throttle(teacher.concurrency, stop)
        self._requests = Pace(teacher.requests_per_minute, stop)
        self._tokens = Pace(teacher.tokens_per_minute, stop)
        self._is_paced = bool(teacher.requests_per_minute or teacher.tokens_per_minute)
        self._tokens_each: float | None = None
        self._reached = self._answered = self._told = self._told_limited = False
        self._sampling = teacher.sampling()
        self._completion_limit = teacher.completion_limit()
        self._proxy = proxy_of(self.url)
        self._prefill = teacher.prefill.text if teacher.prefill else ""
        self._patience = Patience(teacher.timeout_s)

    async def __aenter__(self) -> Endpoint:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),  # the throttle is the limit
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),  # the rest is `_patience`
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._patience.close()
        await self._session.close()

    async def ask(self, prompt: list[Message]) -> Outcome | None:
        """The outcome of one request; None if the run was stopped, or the cap on its cost reached, before there is one.

        Fails only after all attempts, or where another attempt cannot help. Raises `Refused`.
        """
        body = to_json({**self._sampling, "messages": self.teacher.wire(prompt)})
        most = Usage(prompt_tokens=prompt_limit(prompt), completion_tokens=self._completion_limit)
        failures = rate_limits = 0
        while True:
            async with self._throttle:
                outcome = await self._admitted(body, most, retry=failures + rate_limits > 0)
                if outcome is None:
                    return None
                result = outcome.result
                if isinstance(result, Reply):
                    self._answered = True
                    self._throttle.went_well()
                    return outcome
                if result.limited:
                    rate_limits += 1
                    self._say_limited(result)
                    started = asyncio.get_running_loop().time() - outcome.latency_s
                    self._throttle.limited(result.after_s or _wait(rate_limits), started)
                else:
                    failures += 1
            if not result.again or failures >= self._attempts(result) or rate_limits >= _MOST_RATE_LIMITS:
                return outcome
            log.debug("teacher %s: %s, asking again", self.teacher.name, result.reason)
            if not result.limited:
                await self._stop.sleep(max(result.after_s, _wait(failures)))

    async def _admitted(self, body: bytes, most: Usage, retry: bool) -> Outcome | None:
        """One attempt, once rates and cap allow it, and its bill."""
        taken = 0.0
        if self._is_paced:
            await self._requests.wait()
            taken = await self._tokens.wait(lambda: self._tokens_each or _estimate(most))
        if self._throttle.pauses:  # another request may have been turned down in the meantime
            await self._throttle.pause()
        if self._stop:
            return None
        teacher = self.teacher
        key = await self._ledger.admit(teacher, teacher.bill(most, most), self._stop)
        if key is None:
            return None
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            result = await self._attempt(body)
        except Refused:
            self._ledger.ended(key, teacher, Usage(), 0.0, failed="the endpoint does not work", retry=retry)
            raise
        latency = clock() - started
        usage = result.usage
        if isinstance(result, Failure) and not result.billed:
            self._ledger.ended(key, teacher, usage, 0.0, failed=result.reason, retry=retry)
            return Outcome(result, latency)
        failed = result.reason if isinstance(result, Failure) else ""
        cost = teacher.bill(usage, most)
        self._ledger.ended(key, teacher, usage, cost, failed=failed, known=is_known(usage), retry=retry)
        if is_known(usage):
            self._learn(usage, most, taken)
        return Outcome(result, latency)

    def _learn(self, usage: Usage, most: Usage, taken: float) -> None:
        """Let the estimate of a request's tokens follow what was billed."""
        prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
        self._tokens.correct(prompt + completion - taken)
        before = prompt + completion if self._tokens_each is None else self._tokens_each
        self._tokens_each = before + _FOLLOWS * (prompt + completion - before)
        beyond = prompt > (most.prompt_tokens or 0) or completion > (most.completion_tokens or completion)
        if beyond and not self._told:
            self._told = True
            log.warning(
                "teacher %s bills %d prompt and %d completion tokens for a request that was to be %d and %s at most, "
                "so a cap on its cost may be passed; set prices.completion_limit to what one answer can be billed",
                self.teacher.name, prompt, completion, most.prompt_tokens, most.completion_tokens,
            )  # fmt: skip

    def _say_limited(self, failure: Failure) -> None:
        """Once a run: a limit that is never lifted (a spent quota) looks like any other, and takes half an hour to tell."""
        if not self._told_limited:
            self._told_limited = True
            said = f" ({failure.detail})" if failure.detail else ""
            log.warning("teacher %s: %s%s; asking more slowly", self.teacher.name, failure.reason, said)

    def _attempts(self, outcome: Failure) -> int:
        if outcome.hung and not self._answered:
            return min(self.teacher.attempts, _ATTEMPTS_BEFORE_ANY_ANSWER)
        return self.teacher.attempts

    async def _attempt(self, body: bytes) -> Reply | Failure:
        try:
            with self._patience:
                response = await self._session.post(self.url, data=body, allow_redirects=False, **self._proxy)
                self._reached = True
                payload = await response.read()  # to its end, or it closes the connection
            if response.status >= 300:
                return self._turned_down(response, payload, body)
            try:
                return read_reply(payload, self._prefill)
            except Unusable as reason:
                words = _harmless_words(payload, body, self._key)
                return Failure(str(reason), words, billed=True, usage=reason.usage)
        except aiohttp.ClientSSLError:
            return self._no_connection("its certificate is not accepted")
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            why = os.strerror(number).lower() if number and number > 0 else "no such host"
            is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
            return self._no_connection(f"{why}, at the proxy that the environment names" if is_proxy else why)
        except aiohttp.ClientHttpProxyError as error:
            return Failure(f"http {error.status} from the proxy")
        except aiohttp.ConnectionTimeoutError:
            return self._no_connection(f"no connection within {_CONNECT_S:g} s")
        except TimeoutError:
            return Failure(f"no answer within {self.teacher.timeout_s:g} s", hung=True, billed=True)
        except (aiohttp.ClientError, OSError):
            return Failure("connection cut", billed=True)

    def _no_connection(self, why: str) -> Failure:
        if self._reached:
            return Failure("cannot connect")
        raise Refused(
            f"teacher {self.teacher.name!r}: nothing answers at {self.url} ({why}); start the server or mend base_url"
        )

    def _turned_down(self, response: aiohttp.ClientResponse, payload: bytes, body: bytes) -> Failure:
        status = response.status
        reason = f"http {status}"
        words = _harmless_words(payload, body, self._key)
        unpaid = status in (400, 403) and _is_unpaid(payload)
        if unpaid or status in _FATAL:
            said = f": {words}" if words else ""
            raise Refused(
                f"teacher {self.teacher.name!r}: {self._fatal(402 if unpaid else status)} ({reason} from {self.url}{said})"
            )
        if status in NEVER_AGAIN:
            return Failure(reason, words, again=False, blame="request")
        after_s = _retry_after(response.headers.get("Retry-After"))
        return Failure(reason, words, after_s=after_s, limited=status == 429, billed=status in _GAVE_UP)

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


def _estimate(most: Usage) -> float:
    """The tokens of a request before any was answered: as many as it can have."""
    return (most.prompt_tokens or 0) + (most.completion_tokens or _TOKENS_UNTIL_KNOWN)


def _key(teacher: Teacher) -> str:
    if teacher.api_key_env is None:
        return ""
    key = os.environ.get(teacher.api_key_env, "").strip()
    if not key:
        # A key that was put in the name's place is not repeated; the names of variables are in capitals.
        name = teacher.api_key_env if teacher.api_key_env.isupper() else "that api_key_env names"
        raise Refused(f"teacher {teacher.name!r}: the environment variable {name} is not set")
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


# An account without money, where it is not told by 402: DashScope's Arrearage (400), Ark's AccountOverdueError (403).
_UNPAID = re.compile(r"arrear|overdue|insufficient[ _]?balance", re.IGNORECASE)
# Endpoints quote what they were sent. Twelve characters in a row are more than chance and less than a phrase; of a key
# they show some at its ends, six of which are no chance.
_QUOTED = 12
_QUOTED_OF_KEY = 6
_LONGEST_WORDS = 200


def _is_unpaid(payload: bytes) -> bool:
    """Whether an error answer says by its code that the account has run dry, so that no request will do better."""
    error = _error(payload)
    return any(_UNPAID.search(str(error.get(key))) is not None for key in ("code", "type"))


def _harmless_words(payload: bytes, body: bytes, key: str) -> str:
    """The message of an error answer, cut to 200 characters; "" where it repeats a piece of the request or the key."""
    error = _error(payload)
    words = re.sub(r"\s+", " ", str(error.get("message") or error.get("msg") or ""))[:_LONGEST_WORDS]
    prompt = "\n".join(message["content"] for message in json.loads(body)["messages"])
    if _shared(words, prompt, _QUOTED) or (key and _shared(words, key, min(_QUOTED_OF_KEY, len(key)))):
        return ""
    return words


def _error(payload: bytes) -> dict[str, Any]:
    """The error object of an answer; {} where there is none."""
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    data = data[0] if isinstance(data, list) and data else data  # as Gemini sends them
    error = data.get("error") or data if isinstance(data, dict) else {}
    return error if isinstance(error, dict) else {"message": error}


def _shared(words: str, text: str, length: int) -> bool:
    """Whether so many characters in a row of `words` are in `text`."""
    return any(words[at : at + length] in text for at in range(len(words) - length + 1))
