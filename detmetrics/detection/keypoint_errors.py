"""Errors of keypoints: from a batch to a row for each target, and from rows to scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import torch
from torch import Tensor

from detmetrics import arguments
from detmetrics.count.distinct import ImageColumns, distinct_order
from detmetrics.count.repeats import NONE, Repeats
from detmetrics.detection import rows as settled_rows
from detmetrics.detection.inputs import AREA, FLAGS, LABEL, NO_KEY, SCORE, Batch, pack
from detmetrics.detection.operating_point import outcomes
from detmetrics.detection.settings import OperatingPointSettings
from detmetrics.detection.settle import settle
from detmetrics.overlap.keypoint_sigmas import KeypointSigmas
from detmetrics.overlap.keypoints import KeypointSimilarity
from detmetrics.overlap.sides import Side, check_lists
from detmetrics.overlap.similarity import Items, Request
from detmetrics.ragged import descending_key, hash_runs, lexsort, occurrences, owners, rows_at, rows_of
from detmetrics.reduce.averages import defined_mean
from detmetrics.reduce.formulas import divide
from detmetrics.settings import Settings

MATCHES = ("oks", "given")
NORMALIZERS = {"box": 0.2, "head": 0.5, "torso": 0.2}  # and the usual threshold of each
NUM_IMAGE_COLUMNS = len(ImageColumns._fields) + 1  # of a row of an image; the last is the number of its targets


@dataclass(frozen=True)
class Configuration:
    """All that the meaning of the rows depends on."""

    sigmas: KeypointSigmas
    box_format: str
    match: str
    iou_threshold: float
    score_threshold: float
    normalizer: str
    torso: tuple[int, int] | None
    duplicates: str


def _names(name: str, value: object) -> tuple[str, ...]:
    listed = arguments.listing(name, value, "names")
    if not all(isinstance(x, str) for x in listed) or len(set(listed)) < len(listed):
        raise arguments.fail(name, "distinct names", value)
    return tuple(listed)


@dataclass(frozen=True, kw_only=True)
class KeypointReportSettings(Settings):
    """What :class:`detmetrics.KeypointReport` is asked."""

    threshold: Annotated[float, arguments.positive]
    keypoint_names: Annotated[tuple[str, ...], _names]
    zero_division: Annotated[float, arguments.zero_division] = float("nan")


class Found(NamedTuple):
    """The rows of a batch."""

    images: Tensor  # (B, 4) int64: key or NO_KEY, hashes of target and errors, number of rows
    errors: Tensor  # (n, K) float64: of each counted target, NaN where not labelled, infinite where it was not found


def errors_of(preds: Items, target: Items, configuration: Configuration, device: torch.device) -> Found:
    """The errors of a batch; see :meth:`detmetrics.KeypointReport.update`."""
    own = configuration
    similarity = KeypointSimilarity(own.sigmas, own.box_format)
    request = Request(device, "same", own.iou_threshold)
    if own.match == "given":
        check_lists(preds, target)
        preds = [_as_detections(i, *sides) for i, sides in enumerate(zip(preds, target, strict=True))]
    batch, _ = pack(preds, target, similarity, request, check_values=True, needs_scores=False)
    num_targets = batch.images[:, 2]
    image = owners(num_targets, len(batch.targets))
    detection, found, counted = (_as_given if own.match == "given" else _by_similarity)(batch, similarity, own, request)
    size = _sizes(batch, target, own, device)
    num = own.sigmas.num_keypoints
    detections, targets = (part.view(torch.float64)[:, : 3 * num].view(-1, 3, num) for part in batch[1:])
    errors = torch.full((len(targets), num), torch.inf, dtype=torch.float64, device=device)
    offset = detections[detection, :2] - targets[found, :2]  # (n, 2, K)
    errors[found] = offset.square().sum(dim=1).sqrt() / size[found, None]
    sets = own.sigmas.set_of(batch.targets[:, LABEL])
    labelled = (targets[:, 2] > 0) & ~own.sigmas.variances(device)[sets].isnan() & ~size.isnan()[:, None]
    errors = errors.where(labelled, torch.nan)
    hashes = hash_runs(torch.cat([batch.targets, size.view(torch.int64)[:, None]], dim=1), image, len(num_targets))
    errors, image = errors[counted], image[counted]
    columns = ImageColumns(batch.images[:, 0], hashes, hash_runs(errors.view(torch.int64), image, len(num_targets)))
    return Found(torch.stack([*columns, occurrences(image, len(num_targets))], dim=1), errors)


def _as_detections(image: int, pred: Any, target: Any) -> Any:
    """A prediction with the labels of its targets; what is no dict of tensors is found where it is read."""
    if not all(isinstance(side, Mapping) and isinstance(side.get("keypoints"), Tensor) for side in (pred, target)):
        return pred
    found, asked = (len(side["keypoints"]) for side in (pred, target))
    if found != asked:
        expected = f"as many as targets with match='given', {asked}"
        raise ValueError(f"preds[{image}]['keypoints']: expected {expected}, got {found}")
    labels = torch.zeros(found, dtype=torch.int64, device=pred["keypoints"].device)
    return {"keypoints": pred["keypoints"], "labels": target.get("labels", labels)}


def _as_given(batch: Batch, similarity: KeypointSimilarity, own: Configuration, request: Request) -> tuple[Tensor, ...]:
    """The i-th prediction is that of the i-th target."""
    counted = batch.targets[:, FLAGS] == 0
    at = counted.nonzero().squeeze(1)
    return at, at, counted


def _by_similarity(
    batch: Batch, similarity: KeypointSimilarity, own: Configuration, request: Request
) -> tuple[Tensor, ...]:
    """Detections and the targets that they match, and which targets count, as rows of the batch."""
    images = batch.images.clone()
    images[:, 0] = NO_KEY  # in the order given
    settled = settle(batch._replace(images=images), 0, similarity, request, True, None)
    data, _ = settled_rows.read(settled, similarity, "keep")
    point = OperatingPointSettings(iou_threshold=own.iou_threshold, score_threshold=own.score_threshold)
    outcome = outcomes(data, point)
    detections, targets = batch.detections, batch.targets
    image, target_image = (owners(images[:, 1 + side], len(part)) for side, part in enumerate((detections, targets)))
    score = descending_key(detections.view(torch.float64)[:, SCORE])
    order = lexsort(image, detections[:, LABEL], score)  # of evaluation data
    target_order = lexsort(target_image, targets[:, LABEL])
    counted = torch.zeros_like(target_image, dtype=torch.bool)
    counted[target_order[torch.cat([outcome.target, outcome.missed])]] = True
    return order[outcome.detection], target_order[outcome.target], counted


def _sizes(batch: Batch, target: Items, own: Configuration, device: torch.device) -> Tensor:
    """What errors are divided by, ``(M,)`` float64 pixels; NaN where there is none."""
    geometry = batch.targets.view(torch.float64)[:, :AREA]
    num = own.sigmas.num_keypoints
    if own.normalizer == "head":
        side = Side("target", target, batch.images[:, 2].tolist(), "keypoints", device)
        size = side.column("head_size").double()
        for i, part in enumerate(size.split(side.counts)):
            if not bool(((part > 0) & part.isfinite()).all()):
                raise ValueError(f"target[{i}]['head_size']: expected finite numbers above 0, got {part.tolist()}")
        return size
    if own.normalizer == "torso":
        assert own.torso is not None
        ends = geometry[:, : 3 * num].view(-1, 3, num)[..., list(own.torso)]  # (M, 3, 2)
        size = (ends[:, :2, 0] - ends[:, :2, 1]).square().sum(dim=1).sqrt()
        size = size.where((ends[:, 2] > 0).all(dim=1), torch.nan)
    else:
        size = geometry[:, -4:-2].amax(dim=1)
    return size.where(size > 0, torch.nan)


class KeypointData(NamedTuple):
    """What the report reads."""

    errors: Tensor  # (n, K) float64
    image: Tensor  # (n,) int64, index into the keys
    keys: Tensor  # (B,) int64, ids, or the order of arrival
    num_duplicates: int

    @property
    def num_images(self) -> int:
        """B."""
        return len(self.keys)

    def at_images(self, images: Tensor) -> KeypointData:
        """The data of images ``(n,)``, indices; an image that comes twice counts twice."""
        at, place = rows_at(images, self.image, len(self.keys))
        return self._replace(errors=self.errors[at], image=place, keys=self.keys.index_select(0, images))


def read(images: Tensor, errors: Tensor, duplicates: str) -> tuple[KeypointData, Repeats]:
    """Leave out repeated images.

    Args:
        images: ``(B, 4)`` int64.
        errors: ``(n, K)`` int64, the bits of the errors, image after image.
        duplicates: ``"keep"`` to leave no image out.

    Raises:
        ValueError: if one key stands for two images with other targets.
    """
    columns, counts = ImageColumns(*images[:, :3].unbind(1)), images[:, 3]
    order, left_out = torch.arange(len(images), device=images.device), NONE
    if duplicates != "keep":
        order, left_out = distinct_order(columns, "target['image_id']")
    kept = errors[rows_of(counts, order)]
    image, keys = owners(counts[order], len(kept)), images[:, 0].index_select(0, order)
    return KeypointData(kept.view(torch.float64), image, keys, left_out.total), left_out


def check_rows(images: Tensor, errors: Tensor) -> None:
    """Raise a ``ValueError`` if no reader could make sense of rows from elsewhere."""
    counts, values = images[:, 3], errors.view(torch.float64)
    if bool((counts < 0).any()) or int(counts.sum()) != len(errors):
        raise ValueError(f"images: expected numbers of targets that sum to {len(errors)}, got {int(counts.sum())}")
    if bool((values < 0).any()):
        raise ValueError("errors: expected numbers of 0 or more, got negative ones")


def scores(data: KeypointData, settings: KeypointReportSettings) -> dict[str, Tensor]:
    """What ``compute()`` of :class:`detmetrics.KeypointReport` returns.

    Args:
        data: What was read from a state.
        settings: The threshold and the names.
    """
    errors, undefined = data.errors, settings.zero_division
    found = errors.isfinite()
    support, num_found, right = (
        part.sum(dim=0) for part in (~errors.isnan(), found, errors <= settings.threshold)
    )  # (K,) each
    finite = errors.where(found, torch.nan)
    columns = {
        "pck": divide(right, support, undefined),
        "error": defined_mean(finite.sort(dim=0).values, dim=0, zero_division=undefined),
        "detected": divide(num_found, support, undefined),
        "support": support.double(),
    }
    pooled = {
        "pck": divide(right.sum(), support.sum(), undefined),
        "mean_pck": defined_mean(columns["pck"], zero_division=undefined),
        "error": defined_mean(finite.flatten().sort().values, zero_division=undefined),
        "mean_error": defined_mean(columns["error"], zero_division=undefined),
        "detected": divide(num_found.sum(), support.sum(), undefined),
        "support": support.sum().double(),
    }
    return pooled | {
        f"{key}/{name}": value
        for key, values in columns.items()
        for name, value in zip(settings.keypoint_names, values.unbind(), strict=True)
    }
