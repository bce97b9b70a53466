"""What is watched, in a gateway recipe's `watch`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class WatchSettings(BaseModel):
    """The watcher of one gateway; it listens on 127.0.0.1 alone.

    `chat` is the data folder of the chat page whose thumbs are counted, `probes` a file of questions with golds that
    each version is asked every `probe_every_s` seconds; either may be null. `probe_model` is the name that the servers
    answer to (null: their own choice).
    """

    model_config = ConfigDict(extra="forbid")

    port: int = Field(default=8022, ge=1, le=65535)
    chat: str | None = "runs/chat"
    probes: str | None = None
    probe_count: int = Field(default=10, ge=1)
    probe_every_s: float = Field(default=900.0, ge=1)
    probe_max_tokens: int = Field(default=2048, ge=1)
    probe_timeout_s: float = Field(default=300.0, gt=0)
    probe_model: str | None = None
    prompt: str = "recipes/prompts/think_answer.txt"
