"""Where a run will happen: this machine, or one that `--gpu` describes."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from launch.check.finding import Finding, lacking, mistake, unknown
from launch.paths import home
from launch.serving.server import has_gpu
from reward_plugins.errors import Refused

_AMPERE = 8.0
"""The first compute capability with bf16 arithmetic (NVIDIA's CUDA programming guide, "arithmetic instructions")."""


@dataclass(frozen=True)
class Machine:
    """What a check needs to know of a machine. Sizes are in GiB; `card` is 0 where it is not known."""

    cards: int
    card: float
    bf16: bool
    memory: float
    named: bool = False
    """Described by the user, not looked at."""

    def short_of(self, about: str, said: str) -> Finding:
        """That the machine is too small: a mistake where the user named it, else a lack of this one."""
        return mistake(about, said) if self.named else lacking(about, said)

    @property
    def words(self) -> str:
        """In words, for a sentence."""
        if not self.cards:
            return f"a CPU with {self.memory:.0f} GiB of memory"
        return f"{self.cards} GPU{'s' * (self.cards > 1)} of {self.card:.0f} GiB"


UNSEEN = Machine(0, 0.0, False, 0.0)
"""Where only a recipe's files are looked at: to ask the driver for the cards takes up to seconds."""


def this_machine() -> Machine:
    """This machine, as the NVIDIA driver and the kernel describe it; `CUDA_VISIBLE_DEVICES` is heeded."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cards = gpus()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        cards = cards[: len([each for each in visible.split(",") if each.strip() not in ("", "-1")])]
    if cards:
        least = min(size for _, size, _ in cards)
        return Machine(len(cards), least, all(capability >= _AMPERE for *_, capability in cards), memory)
    # A driver without nvidia-smi, as in some containers: there is a GPU, of a size that is not known.
    return Machine(1, 0.0, True, memory) if has_gpu() and visible is None else Machine(0, 0.0, False, memory)


def gpus() -> list[tuple[str, float, float]]:
    """(name, GiB, compute capability) of each GPU, as nvidia-smi lists them; [] where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in shown.stdout.splitlines() if shown.returncode == 0 else ():
        name, size, capability = (part.strip() for part in line.rsplit(",", 2))
        if size.replace(".", "").isdigit() and capability.replace(".", "").isdigit():
            found.append((name, float(size) / 1024, float(capability)))
    return found


def named_machine(said: str) -> Machine:
    """The machine that `--gpu` names: "80" is one card of 80 GiB, "8x80" eight of them, in a machine that fits them.

    Raises:
        Refused: it is neither form.
    """
    found = re.fullmatch(r"(?:(\d+)\s*[x*×]\s*)?(\d+(?:\.\d+)?)", said.strip())
    if not found or not float(found[2]) or found[1] == "0":
        raise Refused(f"--gpu takes the GiB of a card, or cards x GiB, such as 80 or 8x80, not {said!r}")
    cards, card = int(found[1] or 1), float(found[2])
    # Such machines have at least twice the memory of their cards; only offloading comes near it.
    return Machine(cards, card, True, 2 * cards * card, named=True)


@dataclass(frozen=True)
class Place:
    """Where a recipe is checked for: a machine, a home folder, and what earlier stages of its pipeline will write."""

    machine: Machine
    home: Path = field(default_factory=home)
    made: tuple[Path, ...] = ()
    """Files and folders that an earlier stage writes: they need not be there yet."""
    sets_made: tuple[str, ...] = ()
    """Entries of `dataset_info.json` that an earlier stage makes."""

    def path(self, name: str | Path) -> Path:
        """A path of the recipe, which starts in the home folder."""
        return self.home / name

    def will_be_made(self, path: Path) -> bool:
        """Whether an earlier stage writes this path, or the folder that it is in."""
        full = self.path(path).absolute()
        return any(full.is_relative_to(self.path(each).absolute()) for each in self.made)

    def missing(self, about: str, path: Path, key: str, cure: str) -> Finding:
        """That a file of the recipe's `key` is not there: to be made by an earlier stage, or lacking."""
        if self.will_be_made(path):
            return unknown(about, f"{path} is written by an earlier stage of the pipeline")
        return lacking(about, f"{key}: {path}: no such file or folder; {cure}")
