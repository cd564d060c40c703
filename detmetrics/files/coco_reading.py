"""COCO's annotations and results as the lists of dicts that ``update()`` takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from detmetrics.files import coco_columns as columns_of
from detmetrics.files import coco_warnings as warnings_of
from detmetrics.files.bounded import MAX_BYTES
from detmetrics.files.coco_columns import Columns, Lists
from detmetrics.files.coco_keypoints import Skeletons, crowd_index_of, read_keypoints, skeletons_of
from detmetrics.files.coco_masks import Masks, check_sizes, read_masks
from detmetrics.files.ids import Id
from detmetrics.files.json_table import ID, Source, Table, read, shown


@dataclass(frozen=True)
class CocoData:
    """Annotations and results as ``update()`` takes them, one dict per image, in ascending order of image ids.

    Attributes:
        preds: ``boxes`` ``(N, 4)`` float64 xywh pixels, ``scores`` ``(N,)`` float64, ``labels`` ``(N,)`` int64; with
            ``masks=True`` also ``masks``, a list of N run-length encodings, which ``update()`` decodes image by image;
            with ``keypoints=True`` also ``keypoints`` ``(N, K, 3)`` float64.
        target: ``boxes`` ``(M, 4)`` and ``labels`` ``(M,)`` as in ``preds``, ``iscrowd`` ``(M,)`` bool, ``area``
            ``(M,)`` float64 square pixels, ``image_id`` int; ``masks`` and ``keypoints`` as in ``preds``, with these
            ``num_keypoints`` ``(M,)`` int64; ``ignore`` ``(M,)`` bool with ``ignore_key``;
            ``is_group_of`` ``(M,)`` bool with ``groups=True``; of LVIS also
            ``neg_category_ids`` and ``not_exhaustive_category_ids``, ``(K,)`` int64.
        categories: A distinct name for each label, also of those that never occur. Labels are category ids, or numbers
            from 0 if some category id is no int64.
        file_names: The ``file_name`` of images by ``image_id``, of those that have one.
        image_ids: The id in the file by ``image_id``: the same, or numbers from 0 if some id is a string, negative or
            above 2**63 - 1.
        sizes: Height and width in pixels, as the file declares them, by ``image_id``, of the images that have both.
        skeletons: With ``keypoints=True``: pairs of keypoints, counted from 0, between which a drawing has lines, by
            label.
        crowd_index: CrowdPose's ``crowdIndex`` by ``image_id``, of the images that have one.
        frequencies: How frequent each class is in LVIS, by label: ``"r"``, ``"c"`` or ``"f"``; empty elsewhere.
    """

    preds: list[dict[str, Any]]
    target: list[dict[str, Any]]
    categories: dict[int, str]
    file_names: dict[int, str] = field(default_factory=dict)
    image_ids: dict[int, Id] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    skeletons: Skeletons = field(default_factory=dict)
    crowd_index: dict[int, float] = field(default_factory=dict)
    frequencies: dict[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.target)

    def batches(self, batch_size: int) -> Iterator[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
        """``(preds, target)`` of ``batch_size`` images at a time; the last batch may be smaller.

        Args:
            batch_size: The number of images of a batch.
        """
        for start in range(0, len(self), batch_size):
            yield self.preds[start : start + batch_size], self.target[start : start + batch_size]


def from_coco(
    annotations: Source,
    results: Source,
    *,
    masks: bool = False,
    keypoints: bool = False,
    groups: bool = False,
    ignore_key: str | None = None,
    drop_unknown_images: bool = False,
    device: torch.device | str = "cpu",
    max_bytes: int = MAX_BYTES,
) -> CocoData:
    """Read boxes, and masks or keypoints if asked, from COCO annotations and results.

    What pycocotools leaves out is left out here: annotations of images, and annotations and results of categories, that
    the annotations do not list. A warning says so, and where pycocotools would count otherwise.

    Ids are integers, whole floats such as 1.0, or strings; 1 and "1" are two ids. What files repeat, contradict or
    lack:

    - A warning: an image or category that is listed again with another size, file name or name (the last counts);
      annotations that repeat an id (all count); results that repeat one another (all count); ten results or more that
      all have one score; boxes outside their image or with sides of more than 1.5 times its own; no annotation of a
      listed image and category, or none but crowds and ignored ones; no results; polygons of one or two points beside
      others (skipped); masks of another size than their image (that of the masks counts).
    - An error: masks of one image that differ in size; polygons in an image without size, with a coordinate more than
      10 times the image's size away from it, or with none of three points.
    - Neither: a key that is twice in a JSON object (the last counts); images that are listed again unchanged (they
      count once); images without annotations or results; boxes without width or height (they overlap nothing); areas
      that differ from the boxes (those given count); scores outside [0, 1]; names that categories share (the id is
      added).

    Args:
        annotations: A path (JSON, gzipped or not), or the loaded dict of ``images``, ``categories``, ``annotations``.
            Annotations without ``area`` get that of their box, those without ``iscrowd`` are not crowds.
        results: A path, or the loaded list of results, each with ``image_id``, ``category_id``, ``bbox`` and ``score``;
            also a dict that has this list as ``annotations``.
        masks: Whether to read ``segmentation`` too: polygons, of images with ``height`` and ``width``, or run-length
            encodings. Then ``bbox`` may be missing, and areas that are missing are those of the masks; a result
            without ``segmentation`` has the mask of its box.
        keypoints: Whether to read ``keypoints`` and ``num_keypoints`` too. Results without ``bbox`` get that of their
            keypoints, annotations without ``area`` .53 times that of their box, as CrowdPose has it. Categories with
            fewer keypoints than others are filled up with zeros.
        groups: Whether to read ``is_group_of`` too, which marks Open Images' groups of objects; COCO knows no such key.
        ignore_key: A key that marks annotations which count neither for nor against a detection: ``"ignore"``, say, or
            ``"difficult"`` in files made from VOC. pycocotools knows no such key.
        drop_unknown_images: Whether to drop results for images that the annotations do not list.
        device: The device of the tensors.
        max_bytes: How much a gzipped file may unpack to; 1 GiB by default. A plain file may have any size.

    Returns:
        The data. Evaluate it with ``box_format="xywh"`` and ``class_names=data.categories``.

    Raises:
        OSError: if a file cannot be read.
        ImportError: if polygons are read, or boxes or areas of masks are needed, and pycocotools is missing.
        ValueError: if a file has another form; one line names the file, the entry, the key, what was expected and what
            it is. Also for results of unknown images, if not dropped or if there are no others.

    Example:
        >>> annotations = {
        ...     "images": [{"id": 7}],
        ...     "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        ...     "annotations": [{"id": 1, "image_id": 7, "category_id": 2, "bbox": [0, 0, 4, 2]}],
        ... }
        >>> data = from_coco(annotations, [{"image_id": 7, "category_id": 2, "bbox": [0, 0, 4, 3], "score": 0.5}])
        >>> data.categories, data.target[0]["area"], data.preds[0]["scores"]
        ({1: 'cat', 2: 'dog'}, tensor([8.], dtype=torch.float64), tensor([0.5000], dtype=torch.float64))
    """
    name, document = _annotations_document(annotations, max_bytes)
    images, categories, truth = (Table.under(document, key, name) for key in ("images", "categories", "annotations"))
    found = _results_table(results, max_bytes)
    lists = columns_of.read_lists(images, categories)
    warnings_of.warn_about_lists(images, images.column("id", ID), categories, categories.column("id", ID))
    warnings_of.warn_about_annotations(truth, ignore_key)
    truth_masks, found_masks = _masks([truth, found], lists, name) if masks else (None, None)
    truth_points, found_points = read_keypoints(truth, found) if keypoints else (None, None)
    target_columns = columns_of.target_columns(truth, ignore_key, groups, truth_masks, truth_points, lists)
    target_columns = _keep_known(truth, target_columns, drop=True)
    warnings_of.warn_about_objects(truth.name, target_columns)
    preds_columns = columns_of.preds_columns(found, found_masks, found_points, lists)
    preds_columns = _keep_known(found, preds_columns, drop=drop_unknown_images)
    warnings_of.warn_about_results(found, preds_columns, masks)
    if not masks:
        for table, columns in ((truth, target_columns), (found, preds_columns))[: 1 if keypoints else 2]:
            warnings_of.warn_about_boxes(table.name, columns, lists.extents)
    target = _split(target_columns, lists.num_images, device, truth_masks)
    known = columns_of.facts(images, lists)
    for item, image_id, own in zip(target, lists.images.values(), known, strict=True):
        item |= {"image_id": image_id, **{key: labels.to(device) for key, labels in own.items()}}
    preds = _split(preds_columns, lists.num_images, device, found_masks)
    image_ids = {number: image_id for image_id, number in lists.images.items()}
    sizes = {lists.images[image_id]: size for image_id, size in lists.sizes.items() if 0 not in size}
    skeletons = skeletons_of(categories, lists.labels) if keypoints else {}
    crowd_index = crowd_index_of(images, lists.images)
    return CocoData(
        preds, target, lists.names, lists.file_names, image_ids, sizes, skeletons, crowd_index, lists.frequencies
    )


def _annotations_document(annotations: Source, max_bytes: int) -> tuple[str, dict[str, Any]]:
    """The name and the content of the annotations."""
    name, document = read(annotations, "annotations", max_bytes)
    if not isinstance(document, dict):
        raise ValueError(f"{name}: expected a JSON object, got {shown(document)}")
    return name, document


def _results_table(results: Source, max_bytes: int) -> Table:
    """The results, which may be a list or a dict that has it."""
    name, document = read(results, "results", max_bytes)
    if isinstance(document, dict):
        return Table.under(document, "annotations", name)
    return Table.of(document, name)


def _masks(tables: list[Table], lists: Lists, name: str) -> list[Masks]:
    """The masks of tables, all of one size in each image."""
    ids = [table.column("image_id", ID) for table in tables]
    masks = [
        read_masks(table, own, lists.sizes, of_boxes)
        for table, own, of_boxes in zip(tables, ids, (False, True), strict=True)
    ]
    contradicting = check_sizes(list(zip(tables, ids, masks, strict=True)), lists.sizes)
    skips = [(table.name, own.num_skipped) for table, own in zip(tables, masks, strict=True)]
    warnings_of.warn_about_masks(name, skips, contradicting)
    return masks


def _keep_known(table: Table, columns: Columns, drop: bool) -> Columns:
    """The rows of listed images and categories."""
    in_image = columns["image"] >= 0
    if not in_image.all():
        unknown = table.rows[int((~in_image).nonzero()[0])]["image_id"]
        number = int((~in_image).sum())
        problem = f'{number} of {len(in_image)} entries are for images not listed in "images"'
        message = f"{table.name}: {problem}, such as image_id {shown(unknown)}"
        if not drop or not in_image.any():
            raise ValueError(message)
        warnings_of.warn(f"{message}; dropped")
    in_category = columns.pop("in_category")
    if not in_category.all():
        unknown = table.rows[int((~in_category).nonzero()[0])]["category_id"]
        number = int((~in_category).sum())
        problem = f'{number} of {len(in_category)} entries are of categories not listed in "categories"'
        told = f"{problem}, such as category_id {shown(unknown)}; dropped, as in pycocotools"
        warnings_of.warn(f"{table.name}: {told}")
    keep = in_image & in_category
    return {key: column[keep] for key, column in columns.items()}


def _split(columns: Columns, num_images: int, device: torch.device | str, masks: Masks | None) -> list[dict[str, Any]]:
    """One dict of views per image, in order; rows of an image stay in the order of the file."""
    order = columns["image"].argsort(stable=True)
    sizes = columns["image"].bincount(minlength=num_images).tolist()
    parts = {key: columns[key][order].to(device).split(sizes) for key in columns if key not in ("image", "row")}
    items: list[dict[str, Any]] = [dict(zip(parts, own, strict=True)) for own in zip(*parts.values(), strict=True)]
    if masks is not None:
        for item, rows in zip(items, columns["row"][order].split(sizes), strict=True):
            item["masks"] = [masks.encodings[row] for row in rows.tolist()]
    return items
