"""What an evaluation recipe says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from eval_adapters.catalogue import known
from eval_adapters.judge_settings import JudgeSettings
from reward_plugins.errors import Refused, did_you_mean


def _folder_name(name: str) -> str:
    if not re.fullmatch(r"[^\W_][\w.-]*", name):
        raise ValueError("a name begins with a letter or digit (of any script) and has only these, '.', '_' and '-'")
    return name


Name = Annotated[str, AfterValidator(_folder_name)]
"""A name that is a folder, too."""


class Settings(BaseModel):
    """A part of a recipe: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid")


REQUEST_WORDS = (
    *("$prompt", "$question", "$messages"),  # one of them at least, or the model never sees the question
    *("$system", "$model", "$max_tokens", "$temperature", "$top_p", "$seed", "$stop"),
)
"""What a value in a `RequestForm`'s body may stand for."""
_WORD_INSIDE = re.compile(rf"(?:{'|'.join(map(re.escape, REQUEST_WORDS))})\b")


class RequestForm(Settings):
    """An endpoint that is not OpenAI's: the JSON to post, and where in the reply things stand.

    In `body`, wherever a value is one of these strings, what it names is put: "$prompt" (all messages as one text),
    "$question" (the last message), "$system", "$messages" (a list of role and content), "$model", "$max_tokens",
    "$temperature", "$top_p", "$seed", "$stop". `answer`, `reasoning`, `finish_reason`, `prompt_tokens` and
    `completion_tokens` are paths into the reply, such as data.choices.0.text. `cut`: the finish reasons that mean the token
    limit. `headers` are sent as they stand; the key of `api_key_env` goes into `key_header`, behind `key_prefix`.
    """

    body: dict[str, Any]
    answer: str = Field(min_length=1)
    reasoning: str = ""
    finish_reason: str = ""
    cut: list[str] = ["length", "max_tokens"]
    prompt_tokens: str = ""
    completion_tokens: str = ""
    headers: dict[str, str] = Field(default_factory=dict)
    key_header: str = "Authorization"
    key_prefix: str = "Bearer "

    @field_validator("body")
    @classmethod
    def _asks(cls, body: dict[str, Any]) -> dict[str, Any]:
        # What is not filled in is sent as it stands, and no reply tells: the model answers a question that nobody put.
        texts = set(_texts(body))
        for text in texts - set(REQUEST_WORDS):
            if re.fullmatch(r"\$[A-Za-z_]+", text):
                raise ValueError(f"nothing is called {text}{did_you_mean(text, REQUEST_WORDS)}")
            if inside := _WORD_INSIDE.search(text):
                raise ValueError(f"{inside[0]} is filled in only where it is the whole value, not within {text!r}")
        if texts.isdisjoint(REQUEST_WORDS[:3]):
            raise ValueError(f"none of its values is {', '.join(REQUEST_WORDS[:3])}: the question would not be sent")
        return body


def _texts(value: Any) -> Iterator[str]:
    """The strings among the values of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


class ModelSpec(Settings):
    """A model to evaluate: a folder that a local server will serve, or the address of a running endpoint.

    A `path` may be a LoRA adapter, which is merged into its base first. `model_id` is what requests call the model
    (default: `name`), such as an adapter's name on the server that loaded it. `api_key_env` names the environment
    variable that holds the key, which is never written anywhere. `requests`: the form of an endpoint that does not
    speak OpenAI's protocol; `api_url` is then the whole address that is posted to.
    """

    name: Name
    path: Path | None = None
    api_url: str | None = None
    model_id: str | None = None
    api_key_env: str | None = None
    requests: RequestForm | None = None

    @field_validator("api_url")
    @classmethod
    def _address(cls, url: str | None) -> str | None:
        if url is not None and not _is_address(url):
            raise ValueError("no address; give one such as http://127.0.0.1:8000/v1")
        return url

    @model_validator(mode="after")
    def _one_source(self) -> ModelSpec:
        if (self.path is None) == (self.api_url is None):
            raise ValueError(f"model {self.name}: give either path (a folder) or api_url (a running endpoint)")
        if self.requests and not self.api_url:
            raise ValueError(f"model {self.name}: requests needs the api_url that is posted to")
        return self


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that none can have
        return False


class FewShot(Settings):
    """Worked examples in each prompt: `count` questions of a train split's file, the same ones for the same `seed`."""

    path: Path
    count: int = Field(ge=1)
    seed: int = 0


class SetSpec(Settings):
    """A test set: `path/<subset>.jsonl`, evaluated by `benchmark`, its first `limit` rows or all (None).

    `benchmark` is one of the kit's or the dotted path of a class. `system_prompt` is a prompt file, for questions without
    a prompt of their own. `columns` names your columns for the kit's (`finr1_jsonl` only).
    """

    benchmark: str
    path: Path
    subset: Name
    limit: int | None = Field(default=None, ge=1)
    name: Annotated[str, AfterValidator(lambda name: name and _folder_name(name))] = ""
    system_prompt: Path | None = None
    few_shot: FewShot | None = None
    columns: dict[str, str] = Field(default_factory=dict)

    @field_validator("benchmark")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return known(name)
        except Refused as refusal:
            raise ValueError(str(refusal)) from None

    @property
    def label(self) -> str:
        """The set's name in results: `name`, or else the subset."""
        return self.name or self.subset


class Generation(Settings):
    """How completions are sampled; what is None is not sent, so the server's default holds."""

    max_tokens: int = Field(default=1024, ge=1)
    temperature: float = Field(default=0.0, ge=0)
    seed: int | None = None
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = None
    repetition_penalty: float | None = Field(default=None, gt=0)
    stop: list[str] | None = None
    extra_body: dict[str, Any] | None = None


class EvalSettings(Settings):
    """An evaluation: every model on every set, results under `out/<model>/<set>/`.

    `batch`: requests at once. `timeout_s`: seconds in all until an attempt is given up, however much of the answer has
    come. `attempts`: in all, for one row. `repeats`: samples of each row, for pass@k and majority. `seed`: EvalScope's own (the sampling seed
    of the server is `generation.seed`; with repeats the n-th sample gets that seed and n). `judge`: who decides what no
    rule can.
    """

    out: Path
    models: list[ModelSpec] = Field(min_length=1)
    sets: list[SetSpec] = Field(min_length=1)
    generation: Generation = Generation()
    batch: int = Field(default=8, ge=1)
    timeout_s: float = Field(default=600.0, gt=0)
    attempts: int = Field(default=3, ge=1)
    repeats: int = Field(default=1, ge=1)
    seed: int = 0
    judge: JudgeSettings | None = None

    @model_validator(mode="after")
    def _distinct(self) -> EvalSettings:
        for what, names in (("model", [m.name for m in self.models]), ("set", [s.label for s in self.sets])):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two entries for the {what} {twice[0]}: give each a name of its own")
        if self.repeats > 1 and self.generation.temperature == 0:
            raise ValueError("repeats of a temperature of 0 are all the same: set generation.temperature, such as 0.6")
        return self
