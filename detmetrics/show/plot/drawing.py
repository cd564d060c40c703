"""What pictures share: figures that need no display, lines told apart without colour, names drawn as they are."""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Sequence
from typing import Any

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe and Ito, but yellow and black
DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))  # 5 and 6 have no common factor: 30 lines are told apart
MARKERS = "os^Dv"
GREY = "#767676"
PALE = "#dddddd"
FEW = 12  # lines that can be told apart
ENDS = 3  # of more lines, how many of the best and of the worst have a name
NAME_WIDTH = 26  # columns
SMALLEST_FONT = 5.5  # points
_WITHOUT_WINDOWS = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


def axes_for(ax: Any, width: float, height: float, layout: Any = "constrained") -> tuple[Any, Any]:
    """The figure and the axis to draw on.

    A new figure belongs to pyplot only if pyplot can show it: in a window or in a notebook. Otherwise nothing but its
    references keeps it, so that pictures drawn every epoch do not pile up.

    Args:
        ax: A matplotlib axis; None for that of a new figure.
        width: Of the new figure, in inches.
        height: Of the new figure, in inches.
        layout: Of the new figure.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('plot: expected matplotlib: pip install "detmetrics[plot]"') from error
    if ax is not None:
        return ax.figure, ax
    if mpl.get_backend().lower() in _WITHOUT_WINDOWS:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure: Any = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
    else:
        from matplotlib import pyplot

        figure = pyplot.figure(figsize=(width, height), layout=layout)
    return figure, figure.add_subplot()


def points_of(ax: Any) -> tuple[float, float]:
    """Width and height of an axis in points, before a layout moves it."""
    box, (width, height) = ax.get_position(), ax.figure.bbox.size / ax.figure.dpi
    return 72 * box.width * width, 72 * box.height * height


def fitting(pitch: float, largest: float = 9.0) -> tuple[float, int]:
    """The font size of labels that are ``pitch`` points apart, and the step n such that every n-th label has room.

    Example:
        >>> fitting(20.0), fitting(2.0)
        ((9.0, 1), (5.5, 3))
    """
    size = min(largest, max(SMALLEST_FONT, 0.85 * pitch))
    return size, max(1, math.ceil(size / pitch - 1e-9))


def emphasis(values: Sequence[float], markers: bool = False) -> tuple[list[dict[str, Any]], list[int]]:
    """How to draw lines, and which of them to name: all of a few, of many the best and the worst.

    Args:
        values: What the lines are ranked by; NaN is neither good nor bad.
        markers: Also mark the points.

    Returns:
        Keyword arguments of ``plot`` for each line, and the indices of lines to name, the best first if not all.
    """
    named = list(range(len(values)))
    if len(values) > FEW:
        ranked = sorted((i for i in named if not math.isnan(values[i])), key=lambda i: -values[i])
        named = ranked if len(ranked) <= 2 * ENDS else ranked[:ENDS] + ranked[-ENDS:]
    styles: list[dict[str, Any]] = [{"color": GREY, "linewidth": 0.6, "alpha": 0.5, "zorder": 1} for _ in values]
    for order, line in enumerate(named):
        styles[line] = distinct(order, markers)
    return styles, named


def distinct(order: int, markers: bool = False) -> dict[str, Any]:
    """The colour and the dashes of one of several lines, as keyword arguments of ``plot``."""
    style = {"color": COLOURS[order % len(COLOURS)], "linestyle": DASHES[order % len(DASHES)], "linewidth": 1.6}
    return {**style, **({"marker": MARKERS[order % len(MARKERS)], "markersize": 5} if markers else {})}


def lettering(names: Sequence[str], width: int = NAME_WIDTH) -> tuple[list[str], dict[str, Any]]:
    r"""Names as they are drawn, and the keyword arguments of their texts.

    Long names lose their middle. ``$`` begins no formula. Characters that the font lacks are drawn in another installed
    one; those that none has are written as escapes such as ``\u732b``, so that nothing is drawn as an empty box.

    Args:
        names: Any strings.
        width: How wide a name may be, in columns.
    """
    short = _distinguished([shorten(name, width) for name in names], names)
    families, lost = _fonts(frozenset(filter(str.isprintable, "".join(short))))
    labels = ["".join(_escaped(c) if c in lost or not c.isprintable() else c for c in name) for name in short]
    return labels, {"parse_math": False, **({"fontfamily": list(families)} if families else {})}


def shorten(name: str, width: int = NAME_WIDTH) -> str:
    """The name on one line of at most ``width`` columns, 3 or more, with an ellipsis for its middle if it is longer.

    Example:
        >>> shorten("a very long name of a class", 12)
        'a very…class'
    """
    name = " ".join(name.split())
    columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in name)
    if columns <= width:
        return name
    kept = max(2, width * len(name) // columns - 1)
    return f"{name[: kept - kept // 2]}…{name[-(kept // 2) :]}"


def _distinguished(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """The labels, with a number behind those that different names share."""
    names_of: dict[str, set[str]] = {}
    for label, name in zip(labels, names, strict=True):
        names_of.setdefault(label, set()).add(name)
    return [f"{label} ({i})" if len(names_of[label]) > 1 else label for i, label in enumerate(labels, start=1)]


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _fonts(characters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The families that have the characters, none if the default ones do, and the characters that nothing has."""
    from matplotlib import font_manager

    default = tuple(font_manager.FontProperties().get_family())
    paths = [font_manager.findfont(font_manager.FontProperties(family=[family])) for family in default]
    missing = frozenset(c for c in characters if not any(_has(path, c) for path in paths))
    if not missing:
        return (), missing
    families, lost = _fallback(missing)
    return (*default, *families), lost


@functools.cache
def _fallback(missing: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Installed families that have these characters, few and sans serif where possible, and what they lack."""
    from matplotlib import font_manager

    fonts = [f for f in font_manager.fontManager.ttflist if f.style == "normal" and f.weight == 400]
    families: list[str] = []
    for font in sorted(fonts, key=lambda font: ("Sans" not in font.name, "Mono" in font.name, font.name)):
        if not missing:
            break
        if "LastResort" in font.name.replace(" ", "") or "Emoji" in font.name:  # they have boxes and bitmaps
            continue
        found = {c for c in missing if _has(font.fname, c)}
        if found:
            families.append(font.name)
            missing -= found
    return tuple(families), missing


def _has(path: str, character: str) -> bool:
    from matplotlib import font_manager

    return bool(font_manager.get_font(path).get_char_index(ord(character)))


def legend_beside(ax: Any, lines: Sequence[Any], names: Sequence[str], title: str = "") -> None:
    """Name lines: beside the axis where a layout makes room for it, else where the axis is emptiest."""
    if not lines:
        return
    (*labels, heading), style = lettering([*names, title], NAME_WIDTH + 12)
    managed = ax.figure.get_layout_engine() is not None
    place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if managed else {"loc": "best"}
    size = "small" if managed else "x-small"
    legend = ax.legend(
        lines, [" "] * len(labels), title=" ", fontsize=size, frameon=not managed, framealpha=0.7, **place
    )
    legend.set_alignment("left")
    texts = [*legend.get_texts(), legend.get_title()]
    for text, label in zip(texts, [*labels, heading], strict=True):  # a label that begins with _ would be left out
        text.set(text=label, fontsize=size, **style)
    legend.get_title().set_visible(bool(title))


def fraction_axis(axis: Any, values: Sequence[float], label: str) -> None:
    """Limits 0 to a little over 1 along an x or y axis if the finite values are fractions; room for them otherwise."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    margin = 0.02 * (high - low or 1.0)
    set_limits = axis.axes.set_xlim if axis.axis_name == "x" else axis.axes.set_ylim
    set_limits(low if low == 0 else low - margin, high + margin)
    axis.set_label_text(label, parse_math=False)


def note(ax: Any, text: str) -> None:
    """Say in the middle of an axis why it is empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY, style="italic")


def decimals(value: float) -> str:
    """A value as text, with three decimals."""
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def grid(ax: Any, axis: str = "both") -> None:
    """Pale lines behind everything else, across the x axis, the y axis or both."""
    ax.grid(axis=axis, color=PALE, linewidth=0.6)
    ax.set_axisbelow(True)
