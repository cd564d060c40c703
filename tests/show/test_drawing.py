"""Names, colours and figures, in every picture."""

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import font_manager, pyplot
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from detmetrics import (
    DetectionConfusionMatrix,
    DetectionCurves,
    DetectionReport,
    MeanAveragePrecision,
    plot,
)
from detmetrics.show.plot import drawing
from tests.show.drawn import (
    MANY,
    ODD,
    detections,
    fed,
    legend,
    rendered,
)


def test_few_lines_are_told_apart_without_colour() -> None:
    styles, named = drawing.emphasis([0.5] * drawing.FEW)
    assert named == list(range(drawing.FEW))
    looks = {(style["color"], style["linestyle"]) for style in styles}
    assert len(looks) == drawing.FEW
    for one, other in itertools.pairwise(styles):
        assert one["linestyle"] != other["linestyle"]
    ranked = sorted(np.dot(to_rgb(colour), [0.299, 0.587, 0.114]) for colour in drawing.COLOURS)
    assert ranked[-1] < 0.7  # none too light on white


def all_texts(fig: Figure) -> list[Text]:
    """The texts that are drawn: not those of ticks beyond the limits."""
    beyond = {
        label
        for ax in fig.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
        for label in (tick.label1, tick.label2)
    }
    return [text for text in fig.findobj(Text) if text.get_visible() and text.get_text() and text not in beyond]


def pictures(names: list[str]) -> Iterator[tuple[Any, Any]]:
    """Every picture of classes with these names, the second of which has no targets."""
    batch = detections(len(names), empty=1)
    curves = fed(DetectionCurves(class_names=names), *batch)
    for options in ({}, {"kind": "score"}, {"kind": "score", "name": names[1]}, {"kind": "score", "name": names[0]}):
        yield curves.plot(**options)
    yield curves.plot([curves.compute()] * 3)
    for metric in (DetectionConfusionMatrix, DetectionReport):
        yield fed(metric(class_names=names), *batch).plot()
    average_precision = fed(MeanAveragePrecision(class_names=names), *batch)
    for kind in ("summary", "classes", "sizes", "precision_recall"):
        yield average_precision.plot(kind=kind)


@pytest.mark.parametrize("names", [["cat", *ODD], ["", "_", "$"], MANY], ids=["odd", "short", "many"])
def test_texts_lie_within_the_picture_and_not_on_each_other(names: list[str]) -> None:
    for fig, ax in pictures(names):
        rendered(fig)
        width, height = fig.canvas.get_width_height()
        drawn = all_texts(fig)
        for text in drawn:
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.x1 <= width + 1, text
            assert box.y0 >= -1, text
            assert box.y1 <= height + 1, text
        for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
            boxes = [label.get_window_extent() for label in labels if label in drawn and label.get_text()]
            for one, other in itertools.pairwise(boxes):
                overlap = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
                assert min(overlap) < 1, [label.get_text() for label in labels]


def test_no_name_is_read_as_a_formula_or_left_out() -> None:
    for fig, ax in pictures(["_cat", "$dog$", "a$_b$"]):
        shown = [text for text in all_texts(fig) if re.search(r"_cat|\$", text.get_text())]
        assert not any(text.get_parse_math() for text in shown)
        if ax.get_legend() and len(ax.get_lines()) == 4 and ax.get_xlabel() == "Recall":
            assert [entry.partition(":")[0] for entry in legend(ax)] == ["_cat", "$dog$", "a$_b$", "all classes"]
        rendered(fig)


def test_glyphs_of_the_default_font_are_drawn_with_it() -> None:
    labels, style = drawing.lettering(["é ß", "Жук", "αβγ", "a\nb"])
    assert labels == ["é ß", "Жук", "αβγ", "a b"]
    assert style == {"parse_math": False}


def test_other_glyphs_are_drawn_with_an_installed_font_or_written_as_escapes() -> None:
    """What is installed differs; there is never an empty box, about which matplotlib warns."""
    labels, style = drawing.lettering(["猫", "犬小屋"])
    if labels == ["猫", "犬小屋"]:
        assert len(style["fontfamily"]) > 1
    else:
        assert labels == ["\\u732b", "\\u72ac\\u5c0f\\u5c4b"]
    for fig, _ in pictures(["猫", "犬小屋", "\U000fffff\x07"]):
        rendered(fig)


def test_glyphs_that_no_font_has_are_written_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [])
    drawing._fallback.cache_clear()
    default = font_manager.FontProperties().get_family()
    paths = {family: str(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf")) for family in default}
    monkeypatch.setattr(font_manager, "findfont", lambda properties: paths[properties.get_family()[0]])
    labels, _ = drawing.lettering(["猫 cat", "é"])
    drawing._fallback.cache_clear()
    assert labels == ["\\u732b cat", "é"]


def test_long_names_lose_their_middle() -> None:
    assert drawing.shorten("a" * 30 + "b" * 30, 11) == "aaaaa…bbbbb"
    assert drawing.shorten("犬" * 30, 11) == "犬犬…犬犬"  # they are twice as wide
    assert drawing.shorten("fits", 4) == "fits"


def test_pictures_go_to_the_axis_that_is_given() -> None:
    metric = fed(DetectionCurves(class_names=["cat", "dog"]), *detections(2))
    own, (left, right) = pyplot.subplots(1, 2)
    assert metric.plot(ax=left) == (own, left)
    assert metric.plot(ax=right, kind="score") == (own, right)
    assert len(left.get_lines()) == 3
    assert left.get_legend() is not None
    rendered(own)
    pyplot.close(own)


def test_a_window_can_show_what_it_can_and_nothing_else_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    plot.history([0.5])
    assert pyplot.get_fignums() == []
    monkeypatch.setattr(mpl, "get_backend", lambda: "QtAgg")
    fig, _ = plot.history([0.5])
    assert pyplot.get_fignums() == [fig.number]
    pyplot.close(fig)


WITHOUT_MATPLOTLIB = """
import sys
import torch, torchmetrics  # which may load it
sys.modules["matplotlib"] = None
import detmetrics, detmetrics.show.plot
metric = detmetrics.SegmentationIoU(num_classes=2)
metric.update(torch.zeros(1, 2), torch.zeros(1, 2).long())
try:
    metric.plot()
except ModuleNotFoundError as error:
    print(error)
"""


def test_matplotlib_is_needed_to_draw_and_for_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_MATPLOTLIB], capture_output=True, text=True, check=True)
    assert done.stdout == 'plot: expected matplotlib: pip install "detmetrics[plot]"\n'
