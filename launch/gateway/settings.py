"""What a gateway recipe says: which versions answer, by what weight, and which questions go elsewhere."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from launch.watch.settings import WatchSettings
from reward_plugins.errors import Refused

LOOPBACK = "127.0.0.1"

_RESERVED = ("gateway", "metrics", "general")
"""The gateway's own section names, and the general model's."""
_NUMBERED = re.compile(r"v[1-9]\d*")
_KEY = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""A bearer token as RFC 6750 (2.1) writes it; nothing in it means anything to HAProxy's configuration."""

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Path = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]*$")]


class Server(BaseModel):
    """Where a model answers: `url` ends in /v1, its key stays in the environment variable `api_key_env`.

    `health` is asked every two seconds and answers 200 while the server is fit; null leaves it at a TCP connection.
    """

    model_config = ConfigDict(extra="forbid")

    url: str
    api_key_env: Variable | None = None
    health: Path | None = "/health"

    @field_validator("url")
    @classmethod
    def _an_endpoint(cls, url: str) -> str:
        found = re.fullmatch(r"https?://[A-Za-z0-9.-]+(?::(\d{1,5}))?(/[A-Za-z0-9._~-]+)*/v1/?", url)
        if not found:
            raise ValueError("an endpoint's URL is http(s)://host[:port]/v1, without a name or key in it")
        if not 1 <= int(found[1] or 80) <= 65535:
            raise ValueError("a port is a number from 1 to 65535")
        return url.rstrip("/")

    @property
    def tls(self) -> bool:
        """Whether it is spoken to by HTTPS."""
        return self.url.startswith("https://")

    @property
    def address(self) -> str:
        """host:port."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or (443 if self.tls else 80)}"

    @property
    def base(self) -> str:
        """What stands before /v1 in its paths, mostly nothing."""
        return urlsplit(self.url).path.removesuffix("/v1")


Weight = Annotated[int, Field(ge=0, le=10_000)]


class Version(Server):
    """A version of the tuned model; `weight` is its share of the users beside the other versions' weights."""

    weight: Weight = 0


class GatewaySettings(BaseModel):
    """One gateway.

    `split` is mixed into each user's place: another word deals the users anew. `general` takes what `rule` calls
    `other`; `unsure` says who gets a body that could not be read. `answer_s` bounds the silence of a model.

    With `registry`, a folder of `finr1 models`, the versions are named v1, v2 ... as they are numbered there, and
    `weights` gives each alias its share; who that is, the registry says.
    """

    model_config = ConfigDict(extra="forbid")

    versions: dict[Name, Version] = Field(min_length=1)
    registry: str | None = None
    weights: dict[str, Weight] | None = None
    split: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$")] = "1"
    general: Server | None = None
    rule: str = "recipes/gateway/finance.rule"
    unsure: Literal["tuned", "general"] = "tuned"
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]+$")] = LOOPBACK
    port: int = Field(8020, ge=1, le=65535)
    metrics_port: int = Field(8021, ge=1, le=65535)
    api_key_envs: list[Variable] = Field(default=["FINR1_GATEWAY_KEY"], min_length=1)
    answer_s: int = Field(1800, ge=1)
    data: str = "runs/gateway"
    watch: WatchSettings = WatchSettings()

    @model_validator(mode="after")
    def _somebody_answers(self) -> GatewaySettings:
        if taken := [name for name in self.versions if name in _RESERVED]:
            raise ValueError(f"a version cannot be named {taken[0]!r}: the gateway uses that name itself")
        if len({self.port, self.metrics_port, self.watch.port}) < 3:
            raise ValueError("port, metrics_port and watch.port must differ")
        if (self.registry is None) != (self.weights is None):
            raise ValueError("registry and weights (of its aliases) go together; give both or neither")
        weighed = [name for name, version in self.versions.items() if version.weight]
        if self.weights is not None:
            if odd := [name for name in self.versions if not _NUMBERED.fullmatch(name)]:
                raise ValueError(
                    f"with a registry a version is named v1, v2 ... as it is numbered there, not {odd[0]!r}"
                )
            if weighed:
                raise ValueError(f"{weighed[0]} has a weight of its own, and the registry's aliases give the weights")
        if not weighed and not any((self.weights or {}).values()):
            raise ValueError("each version has weight 0: nobody would answer")
        if self.unsure == "general" and self.general is None:
            raise ValueError("unsure: general needs a general model")
        return self

    @property
    def servers(self) -> dict[str, Server]:
        """Every model behind the gateway by its name, the general one last."""
        return {**self.versions, **({"general": self.general} if self.general else {})}

    @property
    def key_variables(self) -> list[str]:
        """Each environment variable with a key in it, the clients' first."""
        theirs = [server.api_key_env for server in self.servers.values() if server.api_key_env]
        return list(dict.fromkeys([*self.api_key_envs, *theirs]))


def need_keys(settings: GatewaySettings) -> None:
    """Refuse to go on without each key that the recipe names, or with one that is no bearer token."""
    for name in settings.key_variables:
        key = os.environ.get(name, "")
        if not key:
            raise Refused(f"set {name} in the environment: the gateway's recipe names it as a key")
        if not _KEY.fullmatch(key):
            raise Refused(f"the key in {name} holds a character that no bearer token has (letters, digits, ._~+/-)")
