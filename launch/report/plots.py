"""The charts, as SVG text to be put into a page. Titles are ASCII: a machine without Chinese fonts would draw boxes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from launch.report import words

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BASE, MODELS = "#9aa5b1", ("#0b6e99", "#d9730d", "#0f7b6c", "#6940a5", "#ad1a72")
"""The base is grey, so that the eye goes to what was made of it; the others are told apart without red and green."""

Curve = Sequence[tuple[float, float]]


def colour(position: int) -> str:
    """The colour of a model by its place in the report; the base is at 0."""
    return BASE if position == 0 else MODELS[(position - 1) % len(MODELS)]


def headline(scores: Mapping[str, dict[str, Any] | None], differences: list[dict[str, Any]]) -> str:
    """Each model's score with its interval, and beside it each model's gain over the base and the one before."""
    models = list(scores)
    pyplot = _pyplot(outlines=all(model.isascii() for model in models))
    rated = {model: score for model, score in scores.items() if score}
    height = 0.95 + 0.42 * max(len(rated), len(differences))
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(10.2, height), width_ratios=(1, 1) if differences else (1, 0.01)
    )
    for place, (model, found) in enumerate(rated.items()):
        _whisker(left, place, found, colour(models.index(model)), f"{100 * found['value']:.1f}%")
    _dress(left, list(rated), "accuracy, % (95% interval)", signed=False)
    if differences:
        for place, found in enumerate(differences):
            shade = FAINT if found["verdict"] == "unclear" else colour(models.index(found["to"]))
            _whisker(right, place, found, shade, words.points(found["value"]))
        right.axvline(0, color=INK, linewidth=1)
        _dress(right, [f"{d['to']} - {d['from']}" for d in differences], "paired difference, points", signed=True)
    else:
        right.set_visible(False)
    return _svg(figure)


def curves(series: dict[str, Curve]) -> str:
    """A training run: loss, reward with the spread within its groups, completion length; what was logged of them."""
    pyplot = _pyplot()
    titles = {
        "loss": "loss",
        "reward": "reward (band: std in a group)",
        "length": "completion length, tokens",
        "zero_std": "share of groups without a signal",
    }
    names = [name for name in titles if name in series]
    if not names:
        return ""
    figure, axes = pyplot.subplots(1, len(names), figsize=(3.2 * len(names), 2.3), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        steps, values = zip(*series[name], strict=True)
        axis.plot(steps, values, color=MODELS[0], linewidth=1.6, marker="o" if len(steps) < 12 else "", markersize=3)
        if name == "reward" and "reward_std" in series:
            spread = dict(series["reward_std"])
            around = [spread.get(step, 0.0) for step in steps]
            low = [value - width for value, width in zip(values, around, strict=True)]
            high = [value + width for value, width in zip(values, around, strict=True)]
            axis.fill_between(steps, low, high, color=MODELS[0], alpha=0.15, linewidth=0)
        if name == "zero_std":
            axis.set_ylim(-0.03, 1.03)
        axis.set_title(titles[name], fontsize=9, color=INK, loc="left")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_xlabel("step", fontsize=8, color=FAINT)
        axis.tick_params(labelsize=8, colors=FAINT, length=0)
        axis.grid(color=GRID, linewidth=0.8)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return _svg(figure)


def _whisker(axis: Any, place: int, found: dict[str, Any], shade: str, label: str) -> None:
    value, low, high = (100 * found[key] for key in ("value", "low", "high"))
    axis.plot([low, high], [place, place], color=shade, linewidth=5, solid_capstyle="butt", alpha=0.35)
    axis.plot([value], [place], marker="o", markersize=8, color=shade)
    axis.annotate(label, (value, place), xytext=(0, 8), textcoords="offset points", ha="center", fontsize=9, color=INK)


def _dress(axis: Any, labels: list[str], title: str, signed: bool) -> None:
    axis.set_yticks(range(len(labels)), labels, fontsize=9, color=INK)
    axis.set_ylim(len(labels) - 0.4, -0.75)
    if not signed:
        axis.set_xlim(0, min(100.0, max(10.0, axis.get_xlim()[1])))
    axis.set_title(title, fontsize=9, color=FAINT, loc="left")
    axis.tick_params(axis="x", labelsize=8, colors=FAINT, length=0)
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="x", color=GRID, linewidth=0.8)
    axis.set_axisbelow(True)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _pyplot(outlines: bool = True) -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    # Text as outlines: the page looks the same on every machine. Names of models in a script that matplotlib's own font
    # lacks are left to the browser, which has fonts for it. The salt makes equal reports equal byte for byte.
    text = "path" if outlines else "none"
    mpl.rcParams.update({"svg.fonttype": text, "svg.hashsalt": "finr1-kit", "font.family": "DejaVu Sans"})
    from matplotlib import pyplot

    return pyplot


def _svg(figure: Any) -> str:
    """The figure as an `<svg>` element: no XML head, no metadata, nothing that names an address to be loaded."""
    from matplotlib import pyplot

    text = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the browser has it, see `_pyplot`
        figure.tight_layout()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]
