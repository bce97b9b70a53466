"""What the verifier says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["correct", "wrong", "no_answer", "undecided"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on one completion.

    `status`: "correct"; "wrong" (it answered, and it is not so); "no_answer" (there is nothing to compare);
    "undecided" (only a judge could tell). `extracted`: the final answer as found, "" if none. `reason`: one short
    sentence, fit for a report.
    """

    status: Status
    extracted: str
    reason: str

    @property
    def correct(self) -> bool:
        """Whether the status is "correct"."""
        return self.status == "correct"
