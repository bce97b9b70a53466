"""What an evaluation recipe says of its judges."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eval_adapters.prices import TokenPrices


class JudgeSpec(BaseModel):
    """One judge: any OpenAI-compatible endpoint.

    `api_url` is its base (".../v1") and has no default, so that no question ever goes where nobody sent it. `prompt` is a
    file (default: the kit's own, which rewards and screens use, too). `json_schema`: demand the verdict's form by a
    response schema; where the endpoint turns that down it is asked without. `budget`: requests that one command may
    send. The key of `api_key_env` is written nowhere.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="judge", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    api_url: str = Field(pattern=r"^https?://")
    model: str = Field(min_length=1)
    api_key_env: str | None = None
    prompt: Path | None = None
    json_schema: bool = True
    max_tokens: int = Field(default=512, ge=1)
    timeout_s: float = Field(default=60.0, gt=0)
    at_once: int = Field(default=8, ge=1)
    budget: int = Field(default=100_000, ge=1)
    prices: TokenPrices | None = None


class JudgeSettings(BaseModel):
    """The judges of an evaluation; several decide by majority.

    `mode`: "undecided" lets the rule decide first, and the judges what it leaves open; "both" lets them judge every
    answer, so that a judged score stands beside the rule's. How far they can be trusted is measured on `check_rows`
    answers that the rule has decided (half right, half wrong), `repeat_rows` that are asked about twice, `bias_rows` with
    the texts in the other order and with the answer in more words, and `control_rows` golds put as answers, to their own
    question and to another. The judged score is dropped where fewer than `min_coverage` of the rows got a verdict.
    """

    model_config = ConfigDict(extra="forbid")

    judges: list[JudgeSpec] = Field(min_length=1)
    mode: Literal["undecided", "both"] = "undecided"
    # At 0.95 what is missing can move the score by 2.5 points either way, less than the interval of 1,000 rows.
    min_coverage: float = Field(default=0.95, gt=0, le=1)
    check_rows: int = Field(default=100, ge=0)
    repeat_rows: int = Field(default=50, ge=0)
    bias_rows: int = Field(default=50, ge=0)
    control_rows: int = Field(default=20, ge=0)

    @model_validator(mode="after")
    def _distinct(self) -> JudgeSettings:
        names = [judge.name for judge in self.judges]
        if len(set(names)) < len(names):
            raise ValueError("two judges have one name: give each a name of its own")
        return self
