"""Pictures of confusion matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics.reduce.formulas import divide
from detmetrics.show.plot import drawing
from detmetrics.show.plot.results import check_matrix

BACKGROUND = "background"
OUTCOMES = ("TP", "FN", "FP", "TN")
LARGEST_TEXT = 20  # classes up to which cells hold text


def confusion_matrix(matrix: Tensor, names: Sequence[str], ax: Any = None) -> tuple[Any, Any]:
    """Draw a confusion matrix: rows are targets, columns predictions.

    The colours of counts are shares of their row, so that neither a frequent class nor the background hides the others,
    and follow the square root, so that a confusion of a few percent is seen. Up to 20 classes the cells hold their
    numbers. Rows without targets are hatched.

    Args:
        matrix: ``(C, C)``, or ``(C + 1, C + 1)`` with the background last: counts, or shares of any normalisation. Of
            multilabel inputs ``(C, 2, 2)``, [[tn, fp], [fn, tp]] each: one row per class, and counts are coloured by
            their share of the positives or of the negatives of the class.
        names: C of them.
        ax: A matplotlib axis to draw on.

    Returns:
        The figure and the axis.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if the shape does not fit the names.

    Example:
        >>> fig, ax = confusion_matrix(torch.tensor([[3, 1], [0, 2]]), ["cat", "dog"])
        >>> [text.get_text() for text in ax.texts]
        ['3', '1', '0', '2']
    """
    check_matrix(matrix)
    matrix = matrix.long() if matrix.dtype == torch.bool else matrix
    by_outcome, counts = matrix.ndim == 3, not matrix.is_floating_point()
    cells, rows, columns = _laid_out(matrix.detach().cpu(), list(names))
    fig, ax = drawing.axes_for(ax, *_matrix_size(rows, by_outcome), "compressed")
    import matplotlib as mpl

    shares = _shares(cells, by_outcome) if counts else cells.double().clone()
    whole = "positives or negatives" if by_outcome else "row"
    top = 1.0 if counts or shares.nansum() > 1 + 1e-6 else float(shares.nan_to_num(0.0).max()) or 1.0
    has_background = not by_outcome and len(columns) > len(names)
    if has_background:  # background is never found in the background
        shares[-1, -1] = torch.nan
        for line in (ax.axhline, ax.axvline):
            line(len(names) - 0.5, color="white", linewidth=1.5)
    shades = mpl.colormaps["cividis"].with_extremes(bad="none")  # there the ground is seen
    scale = mpl.colors.PowerNorm(0.5, vmin=0.0, vmax=top)
    image = ax.imshow(shares.numpy(), cmap=shades, norm=scale, aspect="auto" if by_outcome else "equal")
    ax.patch.set(facecolor="#f2f2f2", hatch="////", edgecolor="#cccccc")
    fig.colorbar(image, ax=ax, label=f"Share of the {whole}" if counts else "Normalised", fraction=0.05, aspect=25)
    pitch = _label_cells(ax, rows, columns, by_outcome)
    if len(rows) <= LARGEST_TEXT + 1:
        _fill_cells(ax, cells, has_background, image, min(10.0, pitch / 2.6))
    ax.set_ylabel("Class" if by_outcome else "Target")
    ax.set_xlabel("Outcome" if by_outcome else "Prediction")
    return fig, ax


def _laid_out(matrix: Tensor, names: list[str]) -> tuple[Tensor, list[str], list[str]]:
    """The cells, and the names of rows and columns."""
    num_classes = len(names)
    if tuple(matrix.shape) == (num_classes, 2, 2):
        tn, fp, fn, tp = matrix.flatten(1).unbind(1)
        return torch.stack([tp, fn, fp, tn], dim=1), names, list(OUTCOMES)  # (C, 4)
    if tuple(matrix.shape) == (num_classes, num_classes):
        return matrix, names, names
    if tuple(matrix.shape) == (num_classes + 1, num_classes + 1):
        return matrix, [*names, BACKGROUND], [*names, BACKGROUND]
    expected = f"({num_classes}, {num_classes}), one more of each, or ({num_classes}, 2, 2) for {num_classes} names"
    raise ValueError(f"matrix: expected {expected}, got {tuple(matrix.shape)}")


def _shares(counts: Tensor, by_outcome: bool) -> Tensor:
    """Counts as shares of the targets that they are about: of their row, or of positives and of negatives."""
    whole = counts.view(-1, 2, 2) if by_outcome else counts
    return divide(whole, whole.sum(dim=-1, keepdim=True)).view(counts.shape)


def _matrix_size(rows: Sequence[str], by_outcome: bool) -> tuple[float, float]:
    """Width and height in inches: cells wide enough for text if there are few, else for a small label."""
    cell = 0.62 if len(rows) <= 8 else 0.46 if len(rows) <= LARGEST_TEXT + 1 else 0.105
    size = max(2.4, min(cell * len(rows), 12.0))
    room = 0.07 * min(drawing.NAME_WIDTH, max(map(len, rows), default=1))
    return (3.6 if by_outcome else size) + room + 1.6, size + (1.2 if by_outcome else room) + 0.6


def _label_cells(ax: Any, rows: Sequence[str], columns: Sequence[str], by_outcome: bool) -> float:
    """Name rows and columns as far as there is room; the smaller side of a cell in points."""
    width, height = drawing.points_of(ax)
    if not by_outcome:
        width = height = min(width, height)
    pitches = width / max(1, len(columns)), height / max(1, len(rows))
    for axis, names, pitch in zip((ax.xaxis, ax.yaxis), (columns, rows), pitches, strict=True):
        labels, style = drawing.lettering(names)
        size, step = drawing.fitting(pitch)
        if axis is ax.xaxis and max(map(len, labels), default=0) * 0.6 * size > 0.9 * pitch * step:
            style["rotation"] = 90
        axis.set_ticks(range(0, len(names), step), labels=labels[::step], fontsize=size, **style)
    return min(pitches)


def _fill_cells(ax: Any, cells: Tensor, has_background: bool, image: Any, size: float) -> None:
    """Write the numbers into the cells, black on light and white on dark, if they can be read."""
    if size < drawing.SMALLEST_FONT:
        return
    write = "{:.2f}".format if cells.is_floating_point() else short_count
    colours = image.to_rgba(image.get_array())  # (H, W, 4)
    for (i, j), value in zip(itertools.product(*map(range, cells.shape)), cells.flatten().tolist(), strict=True):
        if has_background and i == j == len(cells) - 1:
            continue
        red, green, blue, alpha = colours[i, j]
        colour = "white" if alpha and 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
        text = "-" if math.isnan(value) else write(value)
        ax.text(j, i, text, ha="center", va="center", fontsize=size, color=colour)


def short_count(count: int) -> str:
    """A count in at most five characters.

    Example:
        >>> short_count(1234), short_count(45_678), short_count(2_000_000)
        ('1234', '45.7k', '2.00M')
    """
    if count < 10_000:
        return str(count)
    power = 1
    while power < 6 and count >= 999.5 * 1000**power:
        power += 1
    return f"{count / 1000**power:#.3g}".rstrip(".") + " kMGTPE"[power]
