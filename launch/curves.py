"""Curves of a GRPO run as one PNG, drawn from the trainer's own log."""

from __future__ import annotations

import json
from pathlib import Path

from launch.monitor import numbers

PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("reward", ("reward",)),
    ("reward, standard deviation in a group", ("reward_std", "frac_reward_zero_std")),
    ("completion length, tokens", ("completions/mean_length", "completions/max_length")),
    ("completions cut at the limit, share", ("completions/clipped_ratio",)),
    ("KL to the reference model", ("kl",)),
    ("loss", ("loss",)),
)
"""(title, metrics of TRL's log) for each panel; one without any value is left out."""


def draw(out: Path) -> Path | None:
    """Write `curves.png` into a run's folder from its `trainer_state.json`; None where there is nothing to draw."""
    state = out / "trainer_state.json"
    if not state.is_file():
        return None
    logged = numbers(json.loads(state.read_text(encoding="utf-8"))["log_history"])
    logged = [entry for entry in logged if "reward" in entry]
    if not logged:
        return None
    shown = [(title, [name for name in names if any(name in entry for entry in logged)]) for title, names in PANELS]
    shown = [(title, names) for title, names in shown if names]
    means = {key for entry in logged for key in entry if key.startswith("rewards/") and key.endswith("/mean")}
    shown += [(name, [name]) for name in sorted(means)]
    # Imported here: it takes a second, and is needed once, at the end of a run.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = (len(shown) + 1) // 2
    height = 2.4 * rows
    figure = Figure(figsize=(10, height))
    # Fixed margins, in inches over the height: a layout that is solved for draws all of it twice.
    figure.subplots_adjust(0.06, 0.45 / height, 0.98, 1 - 0.3 / height, wspace=0.16, hspace=0.55)
    FigureCanvasAgg(figure)
    for place, (title, names) in enumerate(shown, 1):
        panel = figure.add_subplot(rows, 2, place)
        for name in names:
            points = [(entry["step"], entry[name]) for entry in logged if name in entry]
            panel.plot([step for step, _ in points], [value for _, value in points], marker=".", label=name)
        panel.set_title(title, fontsize=9)
        panel.set_xlabel("step", fontsize=8)
        panel.tick_params(labelsize=8)
        if len(names) > 1:
            panel.legend(fontsize=7)
    path = out / "curves.png"
    part = path.with_name("curves.part.png")
    figure.savefig(part, dpi=120)
    part.replace(path)
    return path
