"""How far the keypoints of a pose model are off, joint by joint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.count import repeats
from detmetrics.detection import keypoint_errors
from detmetrics.detection.keypoint_errors import (
    MATCHES,
    NORMALIZERS,
    NUM_IMAGE_COLUMNS,
    Configuration,
    KeypointData,
    KeypointReportSettings,
    errors_of,
)
from detmetrics.overlap.boxes import BOX_FORMATS
from detmetrics.overlap.keypoint_sigmas import KeypointSigmas
from detmetrics.overlap.keypoint_sigmas import keypoint_sigmas as sigmas_of
from detmetrics.overlap.similarity import Items
from detmetrics.settings import Fixed, Setting
from detmetrics.state.metric import Metric
from detmetrics.state.rows import FIRST_ARRIVAL
from detmetrics.state.sync import State

COCO_NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
TORSO = (5, 12)  # of COCO's keypoints: left shoulder and right hip


class KeypointReport(Metric):
    """The share of correct keypoints (PCK) and the mean error of each joint of a pose model.

    The error of a keypoint is its distance from the labelled one over a size of the target: the larger side of its box,
    the size of its head, or the length of its torso. A keypoint is correct if its error is at most ``threshold``. Those
    of targets that were not found are not correct, and have no error: ``pck / detected`` is the share among the found.

    Targets that are crowds, ignored or without labelled keypoints do not count, and keypoints that are not labelled do
    not either. The state is 8 bytes per keypoint of each counted target and 32 bytes per image. The function is
    :func:`detmetrics.functional.keypoint_report`.

    Args:
        threshold: The largest error of a correct keypoint. None for the usual one: .2 with box and torso, .5 with head.
        normalizer: What errors are divided by: ``"box"``, the larger side of the target's box; ``"head"``, the number
            that targets have under ``head_size``, such as MPII's, .6 times the diagonal of the head's box (PCKh);
            ``"torso"``, the distance between two keypoints of the target, which does not count if they are not
            labelled.
        torso: These two, counted from 0. None for COCO's left shoulder and right hip, (5, 12).
        match: ``"oks"``: detections are matched to targets by object keypoint similarity, as for
            :class:`detmetrics.DetectionF1Score`. ``"given"``: the i-th prediction of an image is that of its i-th
            target, as from models that are given the boxes; they need no ``labels`` and ``scores`` then.
        iou_threshold: The overlap that a match needs, above 0 and at most 1.
        score_threshold: The smallest score that is kept; rounded to the dtype of the scores first, so that a float32 .9
            is kept at .9. Images whose predictions have no scores keep all of them.
        keypoint_names: What the joints are called. None for COCO's names if there are 17, else for numbers.
        keypoint_sigmas: How far annotators are apart at each keypoint: ``"coco"`` (17 keypoints), ``"crowdpose"``
            (14), ``"wholebody"`` (133), a number for each keypoint, or a dict of label to either, one entry a class.
            None: COCO's.
        zero_division: What stands for 0/0: NaN, which is left out of every mean, or a number, which takes part in it.
        box_format: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``, in pixels.
        duplicates: What becomes of an image whose id came before with the same target: ``"drop"`` (it does not count,
            and a warning says so), ``"error"`` (raise if it is predicted otherwise), ``"keep"`` (every image counts,
            also with another target).
        kwargs: The keyword arguments of ``torchmetrics.Metric``.

    Raises:
        ValueError: if an argument does not fit.

    Source: Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts (TPAMI 2013), for PCK;
    Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis (CVPR 2014), for PCKh.

    Example:
        >>> import torch
        >>> from detmetrics import KeypointReport
        >>> metric = KeypointReport(match="given", keypoint_names=["head", "foot"], threshold=0.2)
        >>> target = torch.tensor([[[5.0, 5.0, 2.0], [5.0, 45.0, 2.0]]])
        >>> boxes, labels = torch.tensor([[0.0, 0.0, 10.0, 50.0]]), torch.tensor([0])
        >>> preds = [dict(keypoints=target + torch.tensor([[0.0, 5.0, 0.0], [0.0, 15.0, 0.0]]))]
        >>> metric.update(preds, [dict(keypoints=target, boxes=boxes, labels=labels)])
        >>> print(metric.table())
                            pck     error  detected   support
        <BLANKLINE>
                head       1.00      0.10      1.00         1
                foot       0.00      0.30      1.00         1
        <BLANKLINE>
          all joints       0.50      0.20      1.00         2
        mean of each       0.50      0.20                   2
        <BLANKLINE>
    """

    is_differentiable = False
    higher_is_better = True

    threshold = Setting()
    keypoint_names = Setting()
    zero_division = Setting()
    normalizer = Fixed()
    torso = Fixed()
    match = Fixed()
    iou_threshold = Fixed()
    score_threshold = Fixed()
    keypoint_sigmas = Fixed()
    box_format = Fixed()
    duplicates = Fixed()

    def __init__(
        self,
        *,
        threshold: float | None = None,
        normalizer: str = "box",
        torso: tuple[int, int] | None = None,
        match: str = "oks",
        iou_threshold: float = 0.5,
        score_threshold: float = 0.5,
        keypoint_names: Sequence[str] | None = None,
        keypoint_sigmas: str | Sequence[float] | Mapping[int, Any] | None = None,
        zero_division: float = float("nan"),
        box_format: str = "xyxy",
        duplicates: str = "drop",
        **kwargs: Any,
    ) -> None:
        arguments.choice("normalizer", normalizer, tuple(NORMALIZERS))
        arguments.choice("match", match, MATCHES)
        arguments.choice("box_format", box_format, BOX_FORMATS)
        arguments.choice("duplicates", duplicates, repeats.DUPLICATES)
        sigmas = sigmas_of("keypoint_sigmas", keypoint_sigmas)
        if keypoint_sigmas is None and keypoint_names is not None and match == "given":
            sigmas = KeypointSigmas(((1.0,) * max(len(keypoint_names), 1),))  # nothing is matched by them
        num = sigmas.num_keypoints
        names = COCO_NAMES if num == len(COCO_NAMES) else tuple(map(str, range(num)))
        settings = KeypointReportSettings(
            threshold=NORMALIZERS[normalizer] if threshold is None else threshold,
            keypoint_names=names if keypoint_names is None else keypoint_names,  # type: ignore[arg-type]
            zero_division=zero_division,
        )
        self._num_keypoints = num
        configuration = Configuration(
            sigmas=sigmas,
            box_format=box_format,
            match=match,
            iou_threshold=arguments.overlap_threshold("iou_threshold", iou_threshold),
            score_threshold=arguments.number("score_threshold", score_threshold),
            normalizer=normalizer,
            torso=_torso(torso, num, normalizer),
            duplicates=duplicates,
        )
        super().__init__(configuration, settings, **kwargs)
        self.check_settings(settings)
        self.fixed = {**vars(configuration), "keypoint_sigmas": keypoint_sigmas}
        self.num_images = self.num_duplicates = 0  # as of the last compute()
        self.add_rows("images", NUM_IMAGE_COLUMNS, keyed=True)
        self.add_rows("errors", num)

    def check_settings(self, settings: Any) -> None:
        """Raise a ``ValueError`` unless there is a name for each keypoint."""
        if len(settings.keypoint_names) != self._num_keypoints:
            expected = f"a name for each of {self._num_keypoints} keypoints, as many as keypoint_sigmas"
            raise arguments.fail("keypoint_names", expected, list(settings.keypoint_names))

    def update(self, preds: Items, target: Items) -> None:
        """Add a batch. On a GPU this waits for the device, as the matches must be known.

        Args:
            preds: One dict per image: ``keypoints`` (N, K, 2 or 3), of which x and y are read, ``labels`` (N,), and
                ``scores`` (N,) for all images or for none.
            target: One dict per image: ``keypoints`` (M, K, 3), x, y and visibility (labelled above 0), ``boxes``
                (M, 4), ``labels`` (M,), and optionally ``iscrowd``, ``ignore``, ``area`` and ``num_keypoints``,
                ``(M,)`` each, and ``image_id``, a non-negative int, for all images or for none; with
                ``normalizer="head"`` also ``head_size`` (M,) in pixels.

        Raises:
            ValueError: if the batch does not fit; nothing is changed.
        """
        found = errors_of(preds, target, self.configuration, self.device)
        keys = found.images[:, 0]
        arrival = FIRST_ARRIVAL + self.num_rows("images") + torch.arange(len(keys), device=self.device)
        keys = torch.where(keys < 0, arrival, keys)
        self.append("images", torch.cat([keys[:, None], found.images[:, 1:]], dim=1))
        self.append("errors", found.errors.view(torch.int64))

    def rows_of_images(self) -> dict[str, dict[str, int]]:
        """The images, with the column that counts the targets whose errors are kept."""
        return {"images": {"errors": NUM_IMAGE_COLUMNS - 1}}

    def checked_states(self, incoming: Mapping[str, Any]) -> State:
        """States from elsewhere, on this device, if no reader can go astray because of them."""
        checked = super().checked_states(incoming)
        widths = {"images": NUM_IMAGE_COLUMNS, "errors": self._num_keypoints}
        rows = (checked[self.state_name(name)].joined(width, self.device) for name, width in widths.items())
        try:
            keypoint_errors.check_rows(*rows)
        except ValueError as error:
            raise ValueError(f"{type(self).__name__}: state of {error}") from error
        return checked

    def read_state(self) -> KeypointData:
        """What readers read; warns about the images that were left out."""
        data, left_out = keypoint_errors.read(self.rows("images"), self.rows("errors"), self.duplicates)
        repeats.tell(left_out, self.duplicates, "target['image_id']")
        return data

    def compute(self) -> dict[str, Tensor]:
        """The scores of all images so far.

        Returns:
            A dict of 0-d float64 tensors: ``pck`` and ``error`` of all keypoints together, ``mean_pck`` and
            ``mean_error``, the means over the joints, ``detected``, the share of the labelled keypoints whose target
            was found, ``support``, how many are labelled; and ``pck/<name>``, ``error/<name>``, ``detected/<name>``,
            ``support/<name>`` of each joint.

        Raises:
            ValueError: if an id has several targets.
        """
        data: KeypointData = self.read()
        self.num_images, self.num_duplicates = data.num_images, data.num_duplicates
        return keypoint_errors.scores(data, self.settings)

    def table(self, digits: int = 2) -> str:
        """The report as text, one row per joint.

        Args:
            digits: Decimals of the scores.
        """
        from detmetrics.show.tables import score_table

        values = {key: value.item() for key, value in self.compute().items()}
        columns = ("pck", "error", "detected")
        joints: dict[str, list[float | None]] = {
            name: [*(values[f"{key}/{name}"] for key in columns), int(values[f"support/{name}"])]
            for name in self.keypoint_names
        }
        support = int(values["support"])
        averages: dict[str, list[float | None]] = {
            "all joints": [*(values[key] for key in columns), support],
            "mean of each": [values["mean_pck"], values["mean_error"], None, support],
        }
        return score_table([*columns, "support"], joints, averages, digits)

    def plot(self, val: Any = None, ax: Any = None) -> tuple[Any, Any]:
        """Draw PCK of each joint with its support, or over several results PCK and its mean.

        Args:
            val: What ``compute()`` has returned, or a list of such results, one per epoch. None for ``compute()`` now,
                on all ranks.
            ax: A matplotlib axis to draw on.

        Returns:
            The matplotlib figure and axis.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
            ValueError: if ``val`` is no such result.
        """
        from detmetrics.show.plot import keypoints, pictures

        return pictures.draw(keypoints.Joints(), val, self.compute, ax)


def _torso(value: Any, num: int, normalizer: str) -> tuple[int, int] | None:
    """The two ends of the torso, if errors are divided by its length."""
    if normalizer != "torso":
        if value is not None:
            raise arguments.fail("torso", "None without normalizer='torso'", value)
        return None
    if value is None and num == len(COCO_NAMES):
        return TORSO
    expected = f"two distinct ints from 0 to {num - 1}, the ends of the torso"
    ends = [] if value is None else [arguments.count("torso", end) for end in value]
    if len(ends) != 2 or ends[0] == ends[1] or max(ends) >= num:
        raise arguments.fail("torso", expected, value)
    return ends[0], ends[1]
