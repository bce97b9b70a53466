"""An LLM as a judge, for the answers that rules leave undecided: any OpenAI-compatible endpoint, one JSON verdict.

Everything that can go wrong is counted and none of it is a verdict: a judge that is dead, hangs, babbles or answers
something else gives None, never 0. Verdicts are kept on disk, so that the same answer is paid for once.

Only the standard library is used: the stack that trains has no HTTP client worth a dependency.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from reward_plugins.errors import Refused

# The states in which a request can end, in the order in which they are logged.
OUTCOMES = ("correct", "wrong", "cached", "unreadable", "timeout", "unreachable", "refused", "over_budget")

_PROMPT_VERSION = "2"  # raised with every change to what is shown, so that no old verdict is taken for a new one
_LONGEST = {"question": 6000, "reference": 2000, "candidate": 2000}  # characters that are shown to the judge
_LONGEST_REASON = 300  # characters of a judge's reason that are kept: it is asked for 20 words
_LONGEST_REPLY = 64 * 1024  # bytes; an honest reply has a few hundred
# After this many failures without one reply the endpoint is taken for dead until the next batch.
_DEAD_AFTER = 3

ANSWER_PROMPT = resources.files("reward_plugins").joinpath("judge_answer.txt").read_text(encoding="utf-8").strip()
"""What every judge of answers is told, in training, screening and evaluation alike."""

_VERDICT_SCHEMA = {
    "name": "verdict",
    "strict": True,
    "schema": {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "verdict": {"type": "string", "enum": ["correct", "wrong"]}},
        "required": ["reason", "verdict"],
        "additionalProperties": False,
    },
}
# The statuses with which servers turn down a parameter that they do not know.
_SCHEMA_REFUSED = (400, 404, 415, 422, 501)

_OBJECT = re.compile(r"^\s*(?:<think>.*?</think>\s*)?(?:```(?:json)?\s*)?(\{.*\})\s*(?:```)?\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one request. `correct` is None where there is no verdict; `outcome` is one of `OUTCOMES`.

    `usage`: the tokens that the endpoint counted, for a cached verdict when it was asked; {} where it did not say.
    """

    correct: bool | None
    outcome: str
    reason: str = ""
    usage: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Judge:
    """A judge behind an OpenAI-compatible endpoint.

    `url`: the endpoint's base (".../v1"). `model`: its name there. `key_variable`: the environment variable with the
    API key (never stored, never logged). `cache`: a folder for verdicts, None for none. `request_s`, `batch_s`: seconds
    for one request and for all requests of one call. `at_once`: requests in flight. `budget`: requests that this
    object may ever send; those beyond it are "over_budget". `prompt`: what it is told. `schema`: demand the verdict's
    form by a response schema, until the endpoint turns that down. `candidate_first`: show the answer before the
    reference, which must make no difference.
    """

    url: str
    model: str
    key_variable: str = "FINR1_JUDGE_KEY"
    cache: Path | None = None
    request_s: float = 30.0
    batch_s: float = 120.0
    at_once: int = 8
    budget: int = 100_000
    max_tokens: int = 512
    prompt: str = ANSWER_PROMPT
    schema: bool = False
    candidate_first: bool = False
    sent: int = 0

    @classmethod
    def from_environment(cls) -> Judge | None:
        """The judge that FINR1_JUDGE_URL and FINR1_JUDGE_MODEL name, None where they are not set.

        FINR1_JUDGE_CACHE (a folder), FINR1_JUDGE_SECONDS (for one request), FINR1_JUDGE_BUDGET (requests) may be set
        besides. Raises `Refused` where only half of it is set or a number is none.
        """
        url, model = os.environ.get("FINR1_JUDGE_URL", ""), os.environ.get("FINR1_JUDGE_MODEL", "")
        if not url and not model:
            return None
        if not url or not model:
            raise Refused("a judge needs both FINR1_JUDGE_URL and FINR1_JUDGE_MODEL; set the other one, or unset both")
        try:
            seconds = float(os.environ.get("FINR1_JUDGE_SECONDS", "30"))
            budget = int(os.environ.get("FINR1_JUDGE_BUDGET", "100000"))
        except ValueError:
            raise Refused("FINR1_JUDGE_SECONDS and FINR1_JUDGE_BUDGET must be numbers") from None
        cache = os.environ.get("FINR1_JUDGE_CACHE", "")
        folder = Path(cache) if cache else None
        return cls(url, model, cache=folder, request_s=seconds, batch_s=4 * seconds, budget=budget)

    async def judge(self, cases: Sequence[tuple[str, str, str]]) -> list[Judgement]:
        """Judge (question, gold, answer) triples; one judgement each, in order, within `batch_s` seconds. Never raises."""
        gate, failures = asyncio.Semaphore(self.at_once), Counter[str]()
        deadline = time.monotonic() + self.batch_s

        async def one(case: tuple[str, str, str]) -> Judgement:
            if (known := self._recall(case)) is not None:
                return known
            async with gate:
                left = min(self.request_s, deadline - time.monotonic())
                if failures["failed"] >= _DEAD_AFTER and not failures["answered"]:
                    return Judgement(None, "unreachable", "the endpoint has stopped answering")
                if left <= 0:
                    return Judgement(None, "timeout", "the time for this batch is used up")
                if self.sent >= self.budget:
                    return Judgement(None, "over_budget", "the request budget is used up")
                self.sent += 1
                judgement = await self._ask(case, left)
            failures["failed" if judgement.outcome in ("unreachable", "timeout") else "answered"] += 1
            self._remember(case, judgement)
            return judgement

        same: dict[tuple[str, str, str], asyncio.Task[Judgement]] = {}
        for case in cases:  # a group of rollouts often gives the same answer; it is asked about once
            if case not in same:
                same[case] = asyncio.ensure_future(one(case))
        await asyncio.gather(*same.values())
        return [same[case].result() for case in cases]

    async def _ask(self, case: tuple[str, str, str], seconds: float) -> Judgement:
        schema = self.schema  # other requests may find out meanwhile that it is turned down
        try:
            reply = await asyncio.wait_for(asyncio.to_thread(self._post, case, seconds, schema), seconds + 1)
        except TimeoutError:
            return Judgement(None, "timeout", f"no reply within {seconds:.0f} s")
        except urllib.error.HTTPError as error:
            if schema and error.code in _SCHEMA_REFUSED:
                self.schema = False
                return await self._ask(case, seconds)
            return Judgement(None, "refused", f"http {error.code}")
        except (OSError, ValueError, http.client.HTTPException) as error:  # the last: no HTTP, or a torn reply
            timed_out = "timed out" in str(error)
            return Judgement(None, "timeout" if timed_out else "unreachable", type(error).__name__)
        return read_reply(reply)

    def _post(self, case: tuple[str, str, str], seconds: float, schema: bool) -> bytes:
        body: dict[str, Any] = {
            "model": self.model,
            "temperature": 0,
            "max_tokens": self.max_tokens,
            "messages": [
                {"role": "system", "content": self.prompt},
                {"role": "user", "content": answer_shown(*case, candidate_first=self.candidate_first)},
            ],
        }
        if schema:
            body["response_format"] = {"type": "json_schema", "json_schema": _VERDICT_SCHEMA}
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        request = urllib.request.Request(self.url.rstrip("/") + "/chat/completions", data, headers)
        end, parts, size = time.monotonic() + seconds, [], 0
        with urllib.request.urlopen(request, timeout=seconds) as reply:
            while part := reply.read1(8192):
                size += len(part)
                if size > _LONGEST_REPLY:
                    raise ValueError("the reply is too long")
                if time.monotonic() > end:
                    raise TimeoutError("timed out")
                parts.append(part)
        return b"".join(parts)

    def _file(self, case: tuple[str, str, str]) -> Path | None:
        if self.cache is None:
            return None
        order = ["candidate first"] if self.candidate_first else []
        text = json.dumps([_PROMPT_VERSION, self.model, self.prompt, *case, *order], ensure_ascii=False)
        name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return self.cache / name[:2] / f"{name}.json"

    def _recall(self, case: tuple[str, str, str]) -> Judgement | None:
        path = self._file(case)
        if path is None:
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return Judgement(bool(kept["correct"]), "cached", str(kept["reason"]), dict(kept.get("usage", {})))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not there, or half written by a machine that died: ask again

    def _remember(self, case: tuple[str, str, str], judgement: Judgement) -> None:
        path = self._file(case)
        if path is None or judgement.correct is None:
            return
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            kept = {"correct": judgement.correct, "reason": judgement.reason, "usage": judgement.usage}
            with part.open("w", encoding="utf-8") as out:
                out.write(json.dumps(kept, ensure_ascii=False))
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        except OSError:
            return  # a full disk costs a second request, not the training run


def read_reply(reply: bytes) -> Judgement:
    """Read a chat completion whose content must be exactly one JSON verdict; anything else is "unreadable".

    An error that came with status 200, as some gateways send it, is "refused": the judge has said nothing.
    """
    try:
        body: Any = json.loads(reply)
        if isinstance(body, dict) and body.get("error") and not body.get("choices"):
            return Judgement(None, "refused", "an error with status 200")
        content = body["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return Judgement(None, "unreadable", "the reply is no chat completion with a JSON verdict")
    usage = body.get("usage") if isinstance(body, dict) else None
    counted = {key: value for key, value in usage.items() if isinstance(value, int)} if isinstance(usage, dict) else {}
    verdict = read_answer(content if isinstance(content, str) else "")
    if verdict is None:
        return Judgement(None, "unreadable", "the reply holds no verdict", counted)
    correct, reason = verdict
    return Judgement(correct, "correct" if correct else "wrong", reason, counted)


def read_answer(content: str) -> tuple[bool, str] | None:
    """(correct, reason) of what a judge of answers said; None where it holds no verdict."""
    verdict = one_object(content)
    if verdict is None or verdict.get("verdict") not in ("correct", "wrong"):
        return None
    return verdict["verdict"] == "correct", short_reason(verdict.get("reason", ""))


def short_reason(reason: object) -> str:
    """A judge's reason, cut to its longest, without lone surrogates (JSON can escape them, UTF-8 cannot hold them)."""
    return str(reason)[:_LONGEST_REASON].encode("utf-8", "replace").decode()


def one_object(content: str) -> dict[str, Any] | None:
    """The one JSON object that a judge's message consists of, a think block and a code fence around it allowed.

    None for anything else: prose, two objects, a key that stands twice (a verdict that a text under judgement has
    talked the judge into repeating must not win by standing last).
    """
    match = _OBJECT.match(content) if len(content) <= _LONGEST_REPLY else None
    try:
        found = json.loads(match.group(1), object_pairs_hook=_no_key_twice) if match else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def answer_shown(question: str, gold: str, answer: str, candidate_first: bool = False) -> str:
    """What a judge of answers is shown: the three texts as data, the reference before the candidate or after it."""
    texts = [("reference", gold), ("candidate", answer)]
    return shown_as_data({"question": question, **dict(texts[::-1] if candidate_first else texts)}, _LONGEST)


def shown_as_data(texts: Mapping[str, str], longest: Mapping[str, int]) -> str:
    """The texts as one JSON object: quotes and braces inside them cannot close it.

    Of a text longer than its `longest` characters the middle is left out. Characters that print nothing are left out.
    """
    return json.dumps({name: _cut(text, longest[name]) for name, text in texts.items()}, ensure_ascii=False)


def _cut(text: str, longest: int) -> str:
    if not text.isprintable():
        text = "".join(filter(None, map(_visible, text)))
    return text if len(text) <= longest else text[: longest // 2] + " ... " + text[-longest // 2 :]


def _visible(character: str) -> str:
    """The character, a space for a tab and the like (which part the cells of a table), "" for what prints nothing."""
    if character.isprintable() or character == "\n":
        return character
    return " " if character.isspace() else ""
