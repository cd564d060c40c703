"""The Hausdorff distance of a segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from detmetrics.segmentation.metric import CountingMetric, evaluate
from detmetrics.segmentation.surface_scores import surface_score, surface_support
from detmetrics.segmentation.surface_settings import HausdorffSettings
from detmetrics.settings import Fixed, Setting


class HausdorffDistance(CountingMetric):
    """The Hausdorff distance of surfaces: how far they are apart where they are furthest apart, or at a percentile.

    Surfaces are compared class by class in each image, of two, three or more dimensions. ``definition`` says what they
    are:

    - ``"deepmind"``: the elements are the corners of pixels around which some are inside and some outside, each with
      the area (in two dimensions the length) of marching cubes. Images of two or three dimensions.
    - ``"monai"`` and ``"medpy"``: the elements are the pixels of a mask that have a neighbour along an axis outside of
      it, all of area 1.

    Outside of the image there is no mask. Ignored pixels are in no mask.

    With d(a) the distance from an element a of one surface to the nearest of the other, the percentile p is for

    - ``"deepmind"``: the larger of two. Each is the least d such that the elements of one surface with at most that
      distance have p percent of its area (``compute_robust_hausdorff``).
    - ``"monai"``: the larger of two. Each is the percentile of the d of one surface, interpolated as ``torch.quantile``
      does (``compute_hausdorff_distance``).
    - ``"medpy"``: the percentile of the d of both surfaces together, interpolated as ``numpy.percentile`` does
      (``hd95``).

    Without a percentile all three take the largest d. If ``directed``, only the elements of the prediction's surface
    count. A class without a pixel in both masks is 0/0, undefined. Where one mask has none, the distance is what
    ``empty`` says, by default infinite, as a mean without it would be better for a miss. There DeepMind's function
    gives inf (also if both have none), MONAI's nan, and MedPy's raises.

    Distances cannot be pooled: ``aggregate="dataset"`` and ``average="micro"`` raise. The state is a row of ``16 + 24
    C`` bytes per image. Besides inputs and masks of one class at a time, an update needs some 40 bytes for each pixel
    of a window around the surfaces, at most 1 GB.

    The function is :func:`detmetrics.functional.hausdorff_distance`.

    Args:
        percentile: The percentile of distances that counts, above 0 and at most 100, such as 95; None for the largest
            distance.
        directed: Whether only distances from the surface of the prediction to that of the target count.
        definition: What a surface and a percentile are: ``"deepmind"``, ``"monai"`` or ``"medpy"``, see above.
        spacing: The distance of neighbouring pixels along each axis, in a unit of your choice such as mm: a number, one
            for each axis, or None for 1.
        empty: The distance where one of the two masks has no pixel: ``"inf"``, ``"nan"`` (left out of means, so that a
            miss can improve them), or ``"diagonal"`` (the diagonal of the image, in the unit of ``spacing``).
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        average: ``"micro"`` (counts pooled over the classes), ``"macro"`` (mean over the classes), ``"weighted"`` (mean
            by the target support), ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over the images, then the score), ``"imagewise"`` (the score of each
            image as if it were the data set, then the mean over images), ``"classwise"`` (for each class the mean over
            images, then over classes; not with micro), ``"pooled"`` (the mean over all defined cells of images and
            classes; macro or none).
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        exclude_classes: Classes that are left out of averages alone, the background for example: an int, several, or
            None.
        class_weights: C numbers of 0 or more for macro averages: sum(w * s) / sum(w) over the defined cells.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Example:
        >>> import torch
        >>> from detmetrics import HausdorffDistance
        >>> metric = HausdorffDistance(task="binary", spacing=[1.0, 0.5])
        >>> preds, target = torch.zeros(2, 1, 8, 8, dtype=torch.int64)
        >>> preds[:, 2:5, 2:5], target[:, 2:5, 2:7] = 1, 1
        >>> metric.update(preds, target)
        >>> metric.compute().item()
        1.0
    """

    name = "hausdorff_distance"  # with which the keys of results begin
    higher_is_better = False
    plot_upper_bound = None
    reads_pixels = False  # many small operations

    percentile = Fixed()
    directed = Fixed()
    definition = Fixed()
    spacing = Fixed()
    empty = Fixed()
    class_names = Setting()
    average = Setting()
    aggregate = Setting()
    exclude_classes = Setting()
    class_weights = Setting()

    def __init__(
        self,
        *,
        percentile: float | None = None,
        directed: bool = False,
        definition: str = "deepmind",
        spacing: float | Sequence[float] | None = None,
        empty: str = "inf",
        task: str = "multiclass",
        num_classes: int | None = None,
        class_names: Sequence[str] | Mapping[int, str] | None = None,
        average: str = "macro",
        aggregate: str = "classwise",
        ignore_index: int | Sequence[int] | None = None,
        exclude_classes: int | Sequence[int] | None = None,
        class_weights: Sequence[float] | Tensor | None = None,
        zero_division: float = float("nan"),
        threshold: float = 0.5,
        from_logits: bool = False,
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        settings = HausdorffSettings.of(
            percentile=percentile,
            directed=directed,
            definition=definition,
            spacing=spacing,
            empty=empty,
            task=task,
            num_classes=num_classes,
            class_names=class_names,
            average=average,
            aggregate=aggregate,
            ignore_index=ignore_index,
            exclude_classes=exclude_classes,
            class_weights=class_weights,
            zero_division=zero_division,
            threshold=threshold,
            from_logits=from_logits,
            duplicates=duplicates,
        )
        super().__init__(settings, **kwargs)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The mean distance of all images so far.

        Returns:
            A 0-d float64 tensor of 0 or more, infinite if a distance is. With ``average="none"`` ``(C,)``, NaN for
            ignored and excluded classes, or a dict of 0-d tensors ``hausdorff_distance/<name>`` if there are class
            names.

        Raises:
            ValueError: if an id has several targets, or if values of an earlier update were invalid.
        """
        return surface_score(self.name, self.data(), self.settings)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw the score, or with ``average="none"`` a bar per class; over several results its history.

        Args:
            val: What ``compute()`` or ``forward()`` has returned, or a list of such results, one per epoch. None for
                ``compute()`` now, on all ranks.
            ax: A matplotlib axis to draw on. None for that of a new figure.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` has nothing that can be drawn.
        """
        from detmetrics.show.plot import pictures

        names = self.settings.names
        picture = pictures.Score(self.name, names, support=lambda: surface_support(self.data(), self.settings))
        return pictures.draw(picture, val, self.compute, ax)


def hausdorff_distance(
    preds: Tensor,
    target: Tensor,
    image_ids: Sequence[int] | Tensor | None = None,
    *,
    percentile: float | None = None,
    directed: bool = False,
    definition: str = "deepmind",
    spacing: float | Sequence[float] | None = None,
    empty: str = "inf",
    task: str = "multiclass",
    num_classes: int | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    average: str = "macro",
    aggregate: str = "classwise",
    ignore_index: int | Sequence[int] | None = None,
    exclude_classes: int | Sequence[int] | None = None,
    class_weights: Sequence[float] | Tensor | None = None,
    zero_division: float = float("nan"),
    threshold: float = 0.5,
    from_logits: bool = False,
    duplicates: str = "drop",
) -> Tensor | dict[str, Tensor]:
    """The Hausdorff distance of the surfaces of a whole data set, the largest or a percentile.

    Args:
        preds: multiclass: labels ``(B, ...)`` of any dtype, or scores ``(B, C, ...)``, whose largest counts. binary:
            ``(B, ...)``, multilabel: ``(B, C, ...)``, scores of a floating dtype, or 0 and 1 of another.
        target: multiclass: labels ``(B, ...)``; binary and multilabel: 0 and 1, of the shape of ``preds``.
        image_ids: A non-negative int for each image, ``(B,)``: repeated images count once.
        percentile: The percentile of distances that counts, above 0 and at most 100, such as 95; None for the largest
            distance.
        directed: Whether only distances from the surface of the prediction to that of the target count.
        definition: What a surface and a percentile are: ``"deepmind"``, ``"monai"`` or ``"medpy"``, see above.
        spacing: The distance of neighbouring pixels along each axis, in a unit of your choice such as mm: a number, one
            for each axis, or None for 1.
        empty: The distance where one of the two masks has no pixel: ``"inf"``, ``"nan"`` (left out of means, so that a
            miss can improve them), or ``"diagonal"`` (the diagonal of the image, in the unit of ``spacing``).
        task: ``"multiclass"`` (label maps), ``"binary"`` (one mask, whose foreground is reported) or ``"multilabel"``
            (C masks).
        num_classes: C. None for binary inputs, or if ``class_names`` has them.
        class_names: The names of the C classes, in the results: a list, or a dict from label to name.
        average: ``"micro"`` (counts pooled over the classes), ``"macro"`` (mean over the classes), ``"weighted"`` (mean
            by the target support), ``"none"`` (one value per class).
        aggregate: ``"dataset"`` (counts pooled over the images, then the score), ``"imagewise"`` (the score of each
            image as if it were the data set, then the mean over images), ``"classwise"`` (for each class the mean over
            images, then over classes; not with micro), ``"pooled"`` (the mean over all defined cells of images and
            classes; macro or none).
        ignore_index: Values of the target, labels or not, whose pixels are left out of everything: an int, several, or
            None. A class among them is left out of averages too.
        exclude_classes: Classes that are left out of averages alone, the background for example: an int, several, or
            None.
        class_weights: C numbers of 0 or more for macro averages: sum(w * s) / sum(w) over the defined cells.
        zero_division: What stands for 0/0, also in a mean over nothing. NaN is left out of means.
        threshold: Scores at or above it count as 1, for binary and multilabel inputs; a probability.
        from_logits: Whether these scores are logits rather than probabilities. The largest of multiclass scores is the
            same for both.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).

    Returns:
        A 0-d float64 tensor of 0 or more, infinite if a distance is. With ``average="none"`` ``(C,)``, NaN for ignored
        and excluded classes, or a dict of 0-d tensors ``hausdorff_distance/<name>`` if there are class names.

    Raises:
        ValueError: if an argument or an input does not fit.

    Example:
        >>> import torch
        >>> from detmetrics.functional import hausdorff_distance
        >>> preds, target = torch.tensor([[[0, 1, 0, 0, 0]]]), torch.tensor([[[0, 1, 1, 1, 1]]])
        >>> hausdorff_distance(preds, target, task="binary", definition="monai").item()
        3.0
        >>> round(hausdorff_distance(preds, target, task="binary", definition="monai", percentile=95).item(), 4)
        2.85
    """
    metric = HausdorffDistance(
        percentile=percentile,
        directed=directed,
        definition=definition,
        spacing=spacing,
        empty=empty,
        task=task,
        num_classes=num_classes,
        class_names=class_names,
        average=average,
        aggregate=aggregate,
        ignore_index=ignore_index,
        exclude_classes=exclude_classes,
        class_weights=class_weights,
        zero_division=zero_division,
        threshold=threshold,
        from_logits=from_logits,
        duplicates=duplicates,
        sync_on_compute=False,
    )
    result: Tensor | dict[str, Tensor] = evaluate(metric, preds, target, image_ids)
    return result
