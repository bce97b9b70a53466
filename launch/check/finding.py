"""What a check finds: something that holds, a mistake, something this machine lacks, or something it cannot look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from reward_plugins.errors import Refused


class State(Enum):
    """What a finding means for the run."""

    HOLDS = "holds"
    NOTE = "note"
    """It runs, but not as one may think."""
    MISTAKE = "mistake"
    """The recipe or its data is wrong, on any machine."""
    LACKING = "not here"
    """The recipe may be right; this machine lacks what it needs (a GPU, a free port, data not made yet)."""
    UNKNOWN = "not looked at"
    """It could not be looked at on this machine, and nothing speaks against it."""


@dataclass(frozen=True)
class Finding:
    """One sentence on one matter. A mistake names the key or the file, and says what to do."""

    about: str
    state: State
    said: str
    key: str = ""
    """The key whose value is wrong, so that later checks leave it alone."""


Findings = Iterator[Finding]


def holds(about: str, said: str) -> Finding:
    """It is as it should be."""
    return Finding(about, State.HOLDS, said)


def note(about: str, said: str) -> Finding:
    """Nothing to mend, but to know."""
    return Finding(about, State.NOTE, said)


def mistake(about: str, said: str, key: str = "") -> Finding:
    """Wrong on any machine."""
    return Finding(about, State.MISTAKE, said, key)


def lacking(about: str, said: str) -> Finding:
    """Missing on this machine."""
    return Finding(about, State.LACKING, said)


def unknown(about: str, said: str) -> Finding:
    """Not to be seen from here."""
    return Finding(about, State.UNKNOWN, said)


def of(findings: Iterable[Finding], *states: State) -> list[Finding]:
    """The findings in one of these states, each once: two keys may ask for the same file."""
    return list(dict.fromkeys(finding for finding in findings if finding.state in states))


def need(name: str, findings: Iterable[Finding]) -> None:
    """Let a run pass only if nothing is wrong and nothing is missing here; `name` is the recipe's.

    Raises:
        Refused: all mistakes and all that is missing, each in its sentence.
    """
    wrong = of(findings, State.MISTAKE, State.LACKING)
    if wrong:
        told = "; ".join(finding.said for finding in wrong)
        raise Refused(f"{name}: {told}" if name else told)
