"""Teachers as a recipe names them: who answers, how it is asked, how fast, and at what price."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from distill.prompts import Message
from distill.records import Question, Usage

_MILLION = 1_000_000
# What a chat template and an endpoint's own hidden words add to a prompt. The longest template in use adds about 40
# tokens to two messages; the rest is room for an endpoint that puts a short instruction of its own in front.
_TEMPLATE_TOKENS = 256
_ASKED_FOR_TOKENS = ("max_tokens", "max_completion_tokens")
_PLAIN_FIELDS = ("answer_type", "lang", "source", "split", "task")


class Prices(BaseModel):
    """What tokens cost: `currency` (ISO 4217) a million of them.

    `cached` is the price of prompt tokens that the endpoint had in its cache (by default that of the prompt), `batch`
    the factor on all prices for what is asked by batch files. `completion_limit` is what one answer may be billed at
    most, in tokens; by default the teacher's `max_tokens`, which is wrong where an endpoint bills reasoning beyond it.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    prompt: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    completion: float = Field(ge=0)
    batch: float = Field(default=0.5, gt=0, le=1)
    completion_limit: int | None = Field(default=None, ge=1)

    def cost(self, prompt: int, cached: int, completion: int) -> float:
        """What so many tokens cost; the cached ones are part of the prompt's."""
        cached_price = self.prompt if self.cached is None else self.cached
        uncached = prompt - min(cached, prompt)
        return (uncached * self.prompt + (prompt - uncached) * cached_price + completion * self.completion) / _MILLION


class Prefill(BaseModel):
    """How the teacher's answer is made to begin, where its endpoint goes on from an assistant message.

    `mark` are the keys that tell the endpoint so, beside role and content: `prefix: true` (DeepSeek, at its beta
    address), `partial: true` (DashScope); vLLM takes none and wants two keys in `extra_body` (see docs/distil.md).
    """

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1)
    mark: dict[str, Any] = Field(default_factory=dict)

    @field_validator("mark")
    @classmethod
    def _not_ours(cls, mark: dict[str, Any]) -> dict[str, Any]:
        if taken := {"role", "content"} & mark.keys():
            raise ValueError(f"mark must not set {min(taken)!r}: the text is the content")
        return mark


class Instruction(BaseModel):
    """A sentence that the teacher, and never the student, is told after the question, in the question's language.

    `zh` and `en` are prompt files. `when` says for which questions: each of its keys, a field of the question
    (answer_type, lang, source, split, task) or `meta.<key>`, holds one of the values. An empty `when` takes all.
    """

    model_config = ConfigDict(extra="forbid")

    when: dict[str, list[str]] = Field(default_factory=dict)
    zh: Path
    en: Path

    @field_validator("when")
    @classmethod
    def _known_fields(cls, when: dict[str, list[str]]) -> dict[str, list[str]]:
        for key in when:
            if key not in _PLAIN_FIELDS and not key.startswith("meta."):
                raise ValueError(f"when knows {', '.join(_PLAIN_FIELDS)} and meta.<key>, not {key!r}")
        return when

    def applies(self, question: Question) -> bool:
        """Whether the teacher is told this about `question`."""
        return all(_field(question, key) in values for key, values in self.when.items())


def _field(question: Question, key: str) -> Any:
    return question.meta.get(key[5:]) if key.startswith("meta.") else getattr(question, key)


class Teacher(BaseModel):
    """Who answers, and how it is asked.

    `kind`: "endpoint" asks `model` at `base_url`; "reference" takes the worked solution of each question and sends no
    request. `serve` names a serving recipe: the command starts that server where something is to be asked, and fills
    in `base_url` and `model`. `api_key_env` is the *name* of an environment variable.

    `samples` answers to each question; `limit` asks about the first so many questions only. At most `concurrency`
    requests run at once, and at most `requests_per_minute` and `tokens_per_minute` (prompt and completion together)
    are sent. `attempts` for a request that times out (after `timeout_s` seconds) or fails. What a key left at null
    means is for the endpoint to say. `extra_body` goes into each request as it stands.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    kind: Literal["endpoint", "reference"] = "endpoint"
    serve: Path | None = None
    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    system_prompt: Path | None = None
    instructions: list[Instruction] = Field(default_factory=list)
    prefill: Prefill | None = None
    samples: int = Field(default=1, ge=1)
    limit: int | None = Field(default=None, ge=1)
    concurrency: int = Field(default=16, ge=1, le=4096)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float = Field(default=600.0, gt=0)
    attempts: int = Field(default=6, ge=1)
    prices: Prices | None = None
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

    @field_validator("api_key_env")
    @classmethod
    def _no_key(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("it names the environment variable that holds the key; a key does not go into a recipe")
        return name

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

    @property
    def is_paid(self) -> bool:
        """Whether someone may send a bill: not for worked solutions, nor for a server of our own."""
        return self.kind == "endpoint" and self.serve is None

    def identity(self) -> dict[str, Any]:
        """What the answers depend on; not where, how fast, at what price and with which patience they were fetched."""
        away = {"base_url", "api_key_env", "concurrency", "requests_per_minute", "tokens_per_minute", "timeout_s"}
        return self.model_dump(mode="json", exclude=away | {"attempts", "prices"})

    def sampling(self) -> dict[str, Any]:
        """The keys of a request's body beside `messages`; the model that is served may have another name there."""
        named = {"model": self.model, "temperature": self.temperature, "top_p": self.top_p}
        named["max_tokens"] = self.max_tokens
        return {key: value for key, value in named.items() if value is not None} | self.extra_body

    def wire(self, prompt: list[Message]) -> list[dict[str, Any]]:
        """The messages as they are sent: the prompt's, with the prefill's mark on the last one."""
        sent: list[dict[str, Any]] = [*prompt]  # type: ignore[list-item]  # a message is a dict of strings
        if self.prefill:
            sent[-1] = {**sent[-1], **self.prefill.mark}
        return sent

    def completion_limit(self) -> int | None:
        """The most tokens that one answer is billed, or None where nothing says so."""
        if self.prices and self.prices.completion_limit:
            return self.prices.completion_limit
        asked = {"max_tokens": self.max_tokens, **self.extra_body}
        limits = [int(asked[key]) for key in _ASKED_FOR_TOKENS if asked.get(key) is not None]
        return max(limits, default=None)

    def worst(self, prompt: list[Message]) -> Usage:
        """The most tokens that one request can be billed; completion None where nothing bounds it."""
        return Usage(prompt_tokens=prompt_limit(prompt), completion_tokens=self.completion_limit())

    def bill(self, usage: Usage, worst: Usage, batch: bool = False) -> float:
        """What a request cost, in the currency of `prices`; a count that the endpoint did not tell is the worst one."""
        if self.prices is None:
            return 0.0
        prompt = worst.prompt_tokens if usage.prompt_tokens is None else usage.prompt_tokens
        completion = worst.completion_tokens if usage.completion_tokens is None else usage.completion_tokens
        cost = self.prices.cost(prompt or 0, usage.cached_tokens or 0, completion or 0)
        return cost * self.prices.batch if batch else cost


def prompt_limit(prompt: list[Message]) -> int:
    """The most tokens that a prompt can be billed at; a token stands for at least one byte of UTF-8."""
    return sum([len(message["content"].encode()) for message in prompt]) + _TEMPLATE_TOKENS
