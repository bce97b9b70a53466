"""The pictures of a data card. Each function returns one that writes a PNG; equal figures give equal bytes."""

from __future__ import annotations

import functools
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple

Picture = Callable[[BinaryIO], None]

_DPI = 110
_BINS = 40
_LONGEST_LABEL = 48  # longer ones leave no room for the bars
# Matplotlib's own font, then those that have Han characters, by the systems they come with: sources may be named in Chinese.
_FONTS = (
    "DejaVu Sans",
    *("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB", "Arial Unicode MS"),
)


class Pass(NamedTuple):
    """How often a teacher passed on a source: counts by step, the share kept, and its 95% interval."""

    teacher: str
    source: str
    counts: Counter[str]
    share: float
    low: float
    high: float


def funnel(steps: Mapping[str, Mapping[str, int]]) -> Picture:
    """Traces left by each step, one bar a step, stacked by source."""
    names = [step.replace("_", " ") for step in steps]
    sources = sorted({source for sizes in steps.values() for source in sizes})
    figure, axes = _blank(max(len(names), len(sources) // 2))
    _stacked(axes, names, {source: [sizes.get(source, 0) for sizes in steps.values()] for source in sources})
    axes.set_xlabel("traces")
    return functools.partial(_save, figure)


def rows(kinds: Mapping[str, Mapping[str, int]]) -> Picture:
    """Rows of each part of the set, stacked by group."""
    groups = sorted({group for counts in kinds.values() for group in counts})
    figure, axes = _blank(max(len(kinds), len(groups) // 2))
    _stacked(axes, list(kinds), {group: [counts.get(group, 0) for counts in kinds.values()] for group in groups})
    axes.set_xlabel("rows")
    return functools.partial(_save, figure)


def passes(found: Sequence[Pass]) -> Picture:
    """Share of requests kept with its interval, one line a teacher and source, coloured by teacher."""
    figure, axes = _blank(len(found))
    teachers = sorted({each.teacher for each in found})
    for place, each in enumerate(found):
        colour = _colour(teachers.index(each.teacher))
        axes.plot([each.low, each.high], [place, place], color=colour, linewidth=2)
        axes.plot([each.share], [place], "o", color=colour)
    axes.set_yticks(range(len(found)), [_label(f"{each.teacher}, {each.source}") for each in found])
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of requests kept, with its 95% interval")
    return functools.partial(_save, figure)


def lengths(found: Mapping[str, Sequence[int]], unit: str, cutoff: int | None) -> Picture:
    """Histograms of lengths on one axis, with the cut-off where it is near."""
    figure, axes = _blank(5)
    most = max(max(values) for values in found.values())
    for number, (name, values) in enumerate(found.items()):
        axes.hist(list(values), bins=_BINS, range=(0, most), alpha=0.7, color=_colour(number), label=name)
    if cutoff is not None and cutoff < 2 * most:
        axes.axvline(cutoff, color="black", linestyle="--", linewidth=1, label="cutoff_len")
    axes.set_xlabel(unit)
    axes.set_ylabel("rows")
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return functools.partial(_save, figure)


def _stacked(axes: Any, names: Sequence[str], parts: Mapping[str, Sequence[int]]) -> None:
    """Horizontal bars from the top down, each with its total."""
    left = [0] * len(names)
    for number, (part, sizes) in enumerate(parts.items()):
        axes.barh(names, sizes, left=left, color=_colour(number), label=_label(part))
        left = [before + size for before, size in zip(left, sizes, strict=True)]
    for place, total in enumerate(left):
        axes.text(total, place, f" {total:,}", va="center", fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.12)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _label(name: str) -> str:
    """A name as it can be drawn: of some length, no formula, and not among those that matplotlib leaves out."""
    short = name if len(name) <= _LONGEST_LABEL else f"{name[:_LONGEST_LABEL]}..."
    return short.lstrip("_").replace("$", r"\$") or "-"


def _colour(number: int) -> Any:
    """One of twenty colours: as many as a set has sources, and more."""
    from matplotlib import colormaps

    return colormaps["tab20"](2 * number % 20 + number // 10 % 2)


def _blank(lines: int) -> tuple[Any, Any]:
    """An empty figure high enough for so many lines. Made without pyplot, which keeps figures and asks for a display."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["font.family"] = _families()
    figure = Figure(figsize=(8, 1.2 + 0.4 * max(lines, 2)), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


@functools.cache
def _families() -> list[str]:
    from matplotlib.font_manager import get_font_names

    there = set(get_font_names())
    return [name for name in _FONTS if name in there]


def _save(figure: Any, out: BinaryIO) -> None:
    # By default a PNG names the version that drew it.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the tables of the card have the names, too
        figure.savefig(out, format="png", dpi=_DPI, metadata={"Software": None})
