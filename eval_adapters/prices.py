"""What tokens cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

_MILLION = 1_000_000


class TokenPrices(BaseModel):
    """The price of a million tokens of the prompt and of the completion, in `currency` (ISO 4217)."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)

    def cost(self, prompt: int, completion: int) -> float:
        """What so many tokens cost."""
        return (prompt * self.prompt + completion * self.completion) / _MILLION
