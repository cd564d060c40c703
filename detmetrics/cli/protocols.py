"""What ``--protocol`` sets, by the programs whose numbers people publish. It imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from detmetrics.cli import class_names

CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)  # of the 19 classes


@dataclass(frozen=True)
class Protocol:
    """What the arguments of the command are where they are not given.

    Attributes:
        source: Where the definition is.
        headline: The score that it reports.
        class_names: None where it has no classes of its own.
        ignore_index: Values of targets that do not count.
        aggregate: Over what scores are taken.
        zero_division: What stands for 0/0; None for undefined, left out of means.
        exclude_classes: Labels that means leave out.
        only_present: Whether a class counts only in images whose target has it.
        label_map: New labels by those in the files.
        others_void: Whether other labels belong to no class.
        reduce_zero_label: ``"target"`` or ``"both"`` if label 0 is no class and classes count from 1.
        target_suffix: What names of targets end in.
        pair_by: ``"path"`` or ``"name"``.
    """

    source: str
    headline: str = "iou"
    class_names: tuple[str, ...] | None = None
    ignore_index: tuple[int, ...] = ()
    aggregate: str = "dataset"
    zero_division: float | None = None
    exclude_classes: tuple[int, ...] = ()
    only_present: bool = False
    label_map: Mapping[int, int | None] = field(default_factory=dict)
    others_void: bool = False
    reduce_zero_label: str | None = None
    target_suffix: str | None = None
    pair_by: str = "path"


PROTOCOLS = {
    # Files hold label ids; labels that are ignored in the evaluation count as wrong where they are predicted.
    "cityscapes": Protocol(
        source="cityscapesScripts, evaluation/evalPixelLevelSemanticLabeling.py and helpers/labels.py",
        class_names=class_names.CITYSCAPES,
        label_map=dict(zip(CITYSCAPES_IDS, range(19), strict=True)),
        others_void=True,
        target_suffix="_gtFine_labelIds.png",
        pair_by="name",
    ),
    # A class without pixels, whose IoU is NaN there and makes the mean NaN, is left out here.
    "voc": Protocol(
        source="PASCAL VOC devkit, VOCevalseg.m",
        class_names=class_names.VOC,
        ignore_index=(255,),
    ),
    # Both folders count classes from 1; a class without pixels has IoU 0.
    "ade20k": Protocol(
        source="CSAILVision/sceneparsing, evaluationCode/intersectionAndUnion.m and main.m",
        class_names=class_names.ADE20K,
        zero_division=0.0,
        reduce_zero_label="both",
    ),
    "mmseg": Protocol(
        source="mmsegmentation 1.x, evaluation/metrics/iou_metric.py",
        ignore_index=(255,),
    ),
    # A class without pixels in all cases, which makes the mean NaN there, is left out here.
    "nnunet": Protocol(
        source="nnU-Net 2, evaluation/evaluate_predictions.py (foreground_mean)",
        headline="f1",
        aggregate="classwise",
        exclude_classes=(0,),
    ),
    "monai": Protocol(
        source="MONAI, metrics/meandice.py: DiceMetric(include_background=False, reduction='mean', ignore_empty=True)",
        headline="f1",
        aggregate="imagewise",
        exclude_classes=(0,),
        only_present=True,
    ),
    "smp": Protocol(
        source="segmentation_models_pytorch, metrics/functional.py: reduction='macro-imagewise', zero_division=1",
        aggregate="pooled",
        zero_division=1.0,
    ),
}
