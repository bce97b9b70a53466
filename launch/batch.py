"""Batch sizes of GRPO, solved from what a recipe means: prompts in a rollout, completions in an update."""

from __future__ import annotations

from dataclasses import dataclass

from launch.openr1 import Translation
from reward_plugins.errors import Refused


@dataclass(frozen=True)
class Batch:
    """One solution. A rollout generates completions; an update is one step of the optimiser on some of them."""

    ranks: int
    per_device: int
    """Completions on one device in one forward pass (`per_device_train_batch_size`)."""
    accumulation: int
    """Forward passes in an update (`gradient_accumulation_steps`)."""
    steps_per_generation: int
    """Forward passes in a rollout."""
    num_generations: int

    @property
    def update(self) -> int:
        """Completions in an update, over all ranks."""
        return self.per_device * self.ranks * self.accumulation

    @property
    def rollout(self) -> int:
        """Completions in a rollout, over all ranks."""
        return self.per_device * self.ranks * self.steps_per_generation

    def keys(self) -> dict[str, int]:
        """The same in TRL's keys."""
        return {
            "per_device_train_batch_size": self.per_device,
            "gradient_accumulation_steps": self.accumulation,
            "steps_per_generation": self.steps_per_generation,
        }

    def __str__(self) -> str:
        prompts = self.rollout // self.num_generations
        passes = f"{self.per_device} a device x {self.ranks} ranks"
        text = f"{prompts} prompts x {self.num_generations} completions = {self.rollout} a rollout"
        if self.rollout == self.update:
            return f"{text} = {passes} x {self.accumulation} passes, one update"
        updates = self.rollout / self.update
        return f"{text} = {passes} x {self.steps_per_generation} passes; {self.update} an update, {updates:g} updates"


def solve(
    *, prompts_per_step: int, num_generations: int, ranks: int, most: int, samples_per_update: int | None = None
) -> Batch:
    """The batch sizes under which a machine of `ranks` devices does what the recipe means.

    `prompts_per_step`: prompts of one rollout; `samples_per_update`: completions of one update (by default the whole
    rollout); `most`: completions that fit on a device at once. As many are taken at once as fit and divide.

    Raises:
        Refused: the completions do not divide over the ranks, or a rollout is no whole number of updates.
    """
    if num_generations < 2:
        raise Refused(f"num_generations is {num_generations}: a group needs at least 2 completions to compare")
    rollout = prompts_per_step * num_generations
    update = samples_per_update or rollout
    if rollout % update:
        raise Refused(
            f"samples_per_update ({update}) does not divide a rollout of {prompts_per_step} prompts x {num_generations} "
            f"completions = {rollout}; take a divisor of {rollout}"
        )
    if update % ranks:
        raise Refused(
            f"{update} completions an update do not divide over {ranks} ranks; run on "
            f"{_spoken([count for count in range(1, 2 * ranks) if update % count == 0])}, or change prompts_per_step, "
            "num_generations or samples_per_update"
        )
    share = update // ranks
    each = max(size for size in range(1, min(most, share) + 1) if share % size == 0)
    return Batch(ranks, each, share // each, rollout // ranks // each, num_generations)


def of_recipe(asked: Translation, ranks: int) -> Batch | None:
    """Solve a recipe that states `prompts_per_step`, and put the solution into its keys; None for any other.

    Its `per_device_train_batch_size` is the most that a device takes at once. What it says of accumulation is replaced.

    Raises:
        Refused: as `solve`, or `samples_per_update` stands alone.
    """
    if not asked.batch:
        return None
    if "prompts_per_step" not in asked.batch:
        raise Refused("samples_per_update needs prompts_per_step beside it: how many prompts a rollout has")
    solved = solve(
        **asked.batch,
        num_generations=int(asked.trl.get("num_generations", 8)),
        ranks=ranks,
        most=int(asked.trl.get("per_device_train_batch_size", 8)),
    )
    asked.trl.pop("generation_batch_size", None)
    asked.trl.update(solved.keys())
    return solved


def most_ranks(asked: Translation, available: int) -> int:
    """The largest number of ranks, of those available, over which an update of the recipe divides."""
    prompts = asked.batch.get("prompts_per_step")
    if prompts is None:
        return available
    update = asked.batch.get("samples_per_update") or prompts * int(asked.trl.get("num_generations", 8))
    return max(count for count in range(1, available + 1) if update % count == 0)


def _spoken(counts: list[int]) -> str:
    return f"{', '.join(map(str, counts[:-1]))} or {counts[-1]}" if len(counts) > 1 else str(counts[0])
