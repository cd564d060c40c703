"""The page of two folders of label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from detmetrics import __version__
from detmetrics.files.label_map_scores import SURFACES, VOID, LabelMapScores
from detmetrics.page.environment import environment
from detmetrics.page.figures import MOST_IN_MATRIX, matrix_picture
from detmetrics.page.map_pictures import OUTCOMES, Colours, Triple, colours_of, hexadecimal, triple
from detmetrics.page.rows import most_confused
from detmetrics.segmentation.report import COLUMNS

Look = Callable[[int], "tuple[Tensor, Tensor]"]  # the number of an image to its prediction and its target

TITLES = {
    "mean_iou": ("Mean IoU", ""),
    "mean_f1": ("Mean F1", "Dice"),
    "pixel_accuracy": ("Pixel accuracy", ""),
    "frequency_weighted_iou": ("IoU", "weighted by pixels"),
    "hd95": ("Hausdorff distance", "95 %"),
    "surface_dice": ("Surface Dice", ""),
    "assd": ("Mean surface distance", ""),
}
HEADERS = {"iou": "IoU", "f1": "F1", "precision": "Precision", "recall": "Recall"}
HEADERS |= {"hd95": "HD 95", "surface_dice": "Surface Dice", "assd": "ASSD"}
DISTANCES = ("hd95", "assd")  # which have no bars, as they may be of any size
OVER = {
    "dataset": "over all pixels of a class",
    "imagewise": "of each image, then the mean over images",
    "classwise": "of each image, then the mean over the images of a class, then over classes",
    "pooled": "of each image and class, then the mean over all of them",
}


class MapRow(NamedTuple):
    """What was found in an image."""

    number: int
    name: str
    wrong: int
    mean_iou: float
    pixel_accuracy: float


def render_label_maps(
    scores: LabelMapScores,
    *,
    title: str = "Segmentation results",
    headline: str = "iou",
    look: Look | None = None,
    worst: int = 12,
) -> str:
    """The results of label maps as one HTML page that loads nothing; equal results give equal bytes.

    It shows the means, a sortable table of the classes, the confusion matrix and the images with the lowest mean IoU.
    Under ``torch.distributed`` all ranks must call it.

    Args:
        scores: What has seen the images.
        title: The heading of the page.
        headline: The score that comes first, ``"iou"`` or ``"f1"``.
        look: Reads an image, to show it; None for tables alone. An ``OSError`` or ``ValueError`` of it is shown in the
            place of the image.
        worst: How many images to show.

    Returns:
        The page.
    """
    results = {name: value.item() for name, value in scores.compute().items()}
    matrix = scores.confusion()
    rows = worst_maps(scores.per_image(), scores.image_ids, worst)
    names = [*scores.class_names, VOID] if scores.void else scores.class_names
    columns = [name for name in (*COLUMNS, *SURFACES) if f"{name}/{scores.class_names[0]}" in results]
    tiles = [f"mean_{headline}", *(name for name in TITLES if name in results and name != f"mean_{headline}")]
    colours = colours_of(len(scores.class_names), scores.report.settings.ignore_index)
    shown = [] if look is None else [_shown(look, row.number, colours) for row in rows]
    return (
        environment()
        .get_template("label_maps.html")
        .render(
            title=title,
            version=__version__,
            results=results,
            num_images=scores.num_images,
            tiles=[(*TITLES[name], results[name]) for name in tiles],
            over=OVER[scores.aggregate],
            columns=[(name, HEADERS[name], name not in DISTANCES) for name in columns],
            classes=[
                (name, [results[f"{column}/{name}"] for column in columns], int(results[f"support/{name}"]))
                for name in scores.class_names
            ],
            matrix=None if matrix is None or len(names) > MOST_IN_MATRIX else matrix_picture(matrix.cpu(), names),
            repeated=matrix is None,
            confusions=[] if matrix is None else most_confused(matrix.cpu(), names),
            rows=rows,
            shown=shown,
            legend=_legend(shown, colours, scores.class_names),
        )
    )


def worst_maps(per_image: Mapping[str, Tensor], image_ids: Mapping[int, Any], count: int) -> list[MapRow]:
    """The images with wrong pixels, the lowest mean IoU first and among equals those with the most wrong pixels."""
    columns = zip(*(per_image[name].tolist() for name in ("image_id", *MapRow._fields[2:])), strict=True)
    rows = [MapRow(number, str(image_ids.get(number, number)), *rest) for number, *rest in columns]
    wrong = (row for row in rows if row.wrong)
    return sorted(wrong, key=lambda row: (row.mean_iou if row.mean_iou == row.mean_iou else 2.0, -row.wrong))[:count]


def _shown(look: Look, number: int, colours: Colours) -> Triple | str:
    try:
        pred, target = look(number)
    except (OSError, ValueError) as error:
        return str(error)
    return triple(pred.cpu().numpy(), target.cpu().numpy(), colours)


def _legend(shown: list[Triple | str], colours: Colours, names: list[str]) -> list[tuple[str, str]]:
    """The colours and names of the classes in the pictures."""
    present = sorted(set().union(*(picture.labels for picture in shown if isinstance(picture, Triple))))
    classes = [(hexadecimal(colours.of(label)), names[label]) for label in present]
    return classes + [(hexadecimal(colour), outcome) for outcome, colour in OUTCOMES.items()]
