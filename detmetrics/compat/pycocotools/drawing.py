"""Drawing annotations on matplotlib's current axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from detmetrics.compat.pycocotools.results import Ann

OPACITY = 0.4


def show(coco: Any, anns: list[Ann], draw_bbox: bool) -> None:
    """Draw annotations, each in a colour of its own, or print captions.

    Args:
        coco: The ``COCO`` object that they are from.
        anns: The annotations.
        draw_bbox: Whether to draw the boxes too.
    """
    if anns and "caption" in anns[0]:
        for ann in anns:
            print(ann["caption"])
        return
    from matplotlib import pyplot

    axes = pyplot.gca()
    axes.set_autoscale_on(False)
    for index, ann in enumerate(anns):
        _show_one(coco, ann, draw_bbox, axes, f"C{index % 10}")


def _show_one(coco: Any, ann: Ann, draw_bbox: bool, axes: Any, color: str) -> None:
    from matplotlib.colors import to_rgba

    segmentation = ann.get("segmentation")
    if isinstance(segmentation, dict):
        mask = coco.annToMask(ann)
        axes.imshow(mask[..., None] * np.array(to_rgba(color, OPACITY)))
    for polygon in segmentation if isinstance(segmentation, list) else ():
        _outline(axes, np.reshape(polygon, (-1, 2)), color)
    if "keypoints" in ann:
        _points(coco, ann, axes, color)
    if draw_bbox:
        x, y, width, height = ann["bbox"]
        _outline(axes, [(x, y), (x, y + height), (x + width, y + height), (x + width, y)], color)


def _outline(axes: Any, corners: Any, color: str) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Polygon

    axes.add_patch(Polygon(corners, facecolor=to_rgba(color, OPACITY), edgecolor=color, linewidth=2))


def _points(coco: Any, ann: Ann, axes: Any, color: str) -> None:
    """The labelled key points, and the lines of the skeleton between two of them; invisible ones have a black rim."""
    x, y, visibility = np.reshape(ann["keypoints"], (-1, 3)).T
    for ends in np.array(coco.cats[ann["category_id"]].get("skeleton", []), dtype=int).reshape(-1, 2) - 1:
        if (visibility[ends] > 0).all():
            axes.plot(x[ends], y[ends], color=color, linewidth=3)
    for shown, rim in ((visibility > 0, "black"), (visibility > 1, color)):
        axes.plot(x[shown], y[shown], "o", color=color, markeredgecolor=rim, markeredgewidth=2)
