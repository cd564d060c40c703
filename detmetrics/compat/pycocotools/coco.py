"""pycocotools' ``COCO``: annotations and results, by id."""

from __future__ import annotations

import copy
import itertools
import json
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detmetrics.compat.pycocotools import drawing
from detmetrics.compat.pycocotools.replace import mask_module
from detmetrics.compat.pycocotools.results import Ann, complete, without_collection


class COCO:
    """What is in a file of COCO annotations or results, with the look-ups that evaluation needs.

    Args:
        annotation_file: The path of a JSON file; None for an object without content, whose ``dataset`` is assigned
            before ``createIndex()``.

    Attributes:
        dataset: The content of the file.
        anns: Annotations by id.
        cats: Categories by id.
        imgs: Images by id.
        imgToAnns: The annotations of an image, by image id.
        catToImgs: The image id of each annotation of a category, by category id.

    Raises:
        TypeError: if the file holds no JSON object.

    Source: pycocotools ``COCO``.

    Example:
        >>> coco = COCO()
        >>> coco.dataset = {"images": [{"id": 7}], "categories": [{"id": 1}], "annotations": []}
        >>> coco.createIndex()
        creating index...
        index created!
        >>> coco.getImgIds()
        [7]
    """

    def __init__(self, annotation_file: Any = None) -> None:
        self.dataset: dict[str, Any] = {}
        self.anns: dict[Any, Ann] = {}
        self.cats: dict[Any, Ann] = {}
        self.imgs: dict[Any, Ann] = {}
        self.imgToAnns: defaultdict[Any, list[Ann]] = defaultdict(list)
        self.catToImgs: defaultdict[Any, list[Any]] = defaultdict(list)
        if annotation_file is not None:
            print("loading annotations into memory...")
            start = time.time()
            with without_collection():
                dataset = json.loads(Path(annotation_file).read_bytes())
            if not isinstance(dataset, dict):
                raise TypeError(f"{annotation_file}: expected a JSON object, got {type(dataset).__name__}")
            print(f"Done (t={time.time() - start:0.2f}s)")
            self.dataset = dataset
            self.createIndex()

    def createIndex(self) -> None:
        """Make the look-ups anew from ``dataset``."""
        print("creating index...")
        annotations = self.dataset.get("annotations", [])
        self.imgToAnns, self.catToImgs = defaultdict(list), defaultdict(list)
        for ann in annotations:
            self.imgToAnns[ann["image_id"]].append(ann)
        if "categories" in self.dataset:
            for ann in annotations:
                self.catToImgs[ann["category_id"]].append(ann["image_id"])
        self.anns = {ann["id"]: ann for ann in annotations}
        self.imgs = {image["id"]: image for image in self.dataset.get("images", [])}
        self.cats = {category["id"]: category for category in self.dataset.get("categories", [])}
        print("index created!")

    def info(self) -> None:
        """Print the entries of ``dataset["info"]``."""
        for key, value in self.dataset["info"].items():
            print(f"{key}: {value}")

    def getAnnIds(self, imgIds: Any = (), catIds: Any = (), areaRng: Any = (), iscrowd: Any = None) -> list[Any]:
        """The ids of annotations that meet all conditions.

        Args:
            imgIds: One image id or several; empty for all.
            catIds: One category id or several; empty for all.
            areaRng: Exclusive bounds in square pixels; empty for all.
            iscrowd: The value of that key; None for all.

        Returns:
            Ids, by image in the order asked for.
        """
        images, categories = as_list(imgIds), set(as_list(catIds))
        anns: Iterable[Ann] = self._of_images(images) if images else self.dataset["annotations"]
        if categories:
            anns = (ann for ann in anns if ann["category_id"] in categories)
        if len(areaRng):
            anns = (ann for ann in anns if areaRng[0] < ann["area"] < areaRng[1])
        if iscrowd is not None:
            anns = (ann for ann in anns if ann["iscrowd"] == iscrowd)
        return [ann["id"] for ann in anns]

    def _of_images(self, ids: list[Any]) -> Iterable[Ann]:
        return itertools.chain.from_iterable(self.imgToAnns[key] for key in ids if key in self.imgToAnns)

    def getCatIds(self, catNms: Any = (), supNms: Any = (), catIds: Any = ()) -> list[Any]:
        """The ids of categories that meet all conditions.

        Args:
            catNms: One name or several; empty for all.
            supNms: One name of a supercategory or several; empty for all.
            catIds: One id or several; empty for all.
        """
        wanted = {"name": as_list(catNms), "supercategory": as_list(supNms), "id": as_list(catIds)}
        conditions = [(key, values) for key, values in wanted.items() if values]
        categories = self.dataset["categories"]
        return [row["id"] for row in categories if all(row[key] in values for key, values in conditions)]

    def getImgIds(self, imgIds: Any = (), catIds: Any = ()) -> list[Any]:
        """The ids of images that meet all conditions.

        Args:
            imgIds: One id or several; empty for all.
            catIds: Category ids, of each of which an image has an annotation; empty for all images.
        """
        images, categories = as_list(imgIds), as_list(catIds)
        if not images and not categories:
            return list(self.imgs)
        chosen = [set(images)] if images else []
        return list(set.intersection(*chosen, *(set(self.catToImgs[key]) for key in categories)))

    def loadAnns(self, ids: Any = ()) -> list[Ann]:
        """The annotations of one id or several.

        Args:
            ids: An id, or a list of them.
        """
        return [self.anns[key] for key in as_list(ids)]

    def loadCats(self, ids: Any = ()) -> list[Ann]:
        """The categories of one id or several.

        Args:
            ids: An id, or a list of them.
        """
        return [self.cats[key] for key in as_list(ids)]

    def loadImgs(self, ids: Any = ()) -> list[Ann]:
        """The images of one id or several.

        Args:
            ids: An id, or a list of them.
        """
        return [self.imgs[key] for key in as_list(ids)]

    def loadRes(self, resFile: Any) -> COCO:
        """Results as an object of their own, with what is missing derived from what is there.

        Args:
            resFile: The path of a JSON file, a list of dicts, to which ids and what is missing are added, or an array
                ``(N, 7)`` of image id, x, y, width, height, score, category id.

        Raises:
            AssertionError: if the results are no list, or about other images.
        """
        with without_collection():
            return self._load_results(resFile)

    def _load_results(self, source: Any) -> COCO:
        found = COCO()
        print("Loading and preparing results...")
        start = time.time()
        results = _read_results(source)
        image_ids = {ann["image_id"] for ann in results}
        unknown = [key for key in image_ids if key not in self.imgs]
        if unknown:
            raise AssertionError(f"results: expected the images of the annotations, got image_id {unknown[0]!r}")
        images = list(self.dataset["images"])
        if complete(results):
            found.dataset["categories"] = copy.deepcopy(self.dataset["categories"])
        else:
            images = [image for image in images if image["id"] in image_ids]
        print(f"DONE (t={time.time() - start:0.2f}s)")
        found.dataset |= {"info": copy.deepcopy(self.dataset.get("info", {})), "images": images, "annotations": results}
        found.createIndex()
        return found

    def loadNumpyAnnotations(self, data: Any) -> list[Ann]:
        """Results as dicts.

        Args:
            data: ``(N, 7)`` array of image id, x, y, width, height, score, category id.

        Raises:
            AssertionError: if the shape does not fit.
        """
        if getattr(data, "ndim", 0) != 2 or data.shape[1] != 7:
            raise AssertionError(f"results: expected an array of shape (N, 7), got {getattr(data, 'shape', data)}")
        return _rows(data)

    def showAnns(self, anns: list[Ann], draw_bbox: bool = False) -> None:
        """Draw annotations on matplotlib's current axes, or print their captions.

        Args:
            anns: The annotations. Masks are drawn, and key points with the skeleton of their category.
            draw_bbox: Whether to draw the boxes too.

        Raises:
            ModuleNotFoundError: if matplotlib is not installed.
        """
        drawing.show(self, anns, draw_bbox)

    def annToRLE(self, ann: Ann) -> Ann:
        """The mask of an annotation, run-length encoded, from polygons, runs or an encoding.

        Args:
            ann: An annotation with ``segmentation`` and ``image_id``.
        """
        segmentation = ann["segmentation"]
        if isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list):
            return segmentation
        image, mask = self.imgs[ann["image_id"]], mask_module()
        encoded = mask.frPyObjects(segmentation, image["height"], image["width"])
        merged: Ann = mask.merge(encoded) if isinstance(encoded, list) else encoded
        return merged

    def annToMask(self, ann: Ann) -> Any:
        """The mask of an annotation, ``(H, W)`` uint8 array.

        Args:
            ann: An annotation with ``segmentation`` and ``image_id``.
        """
        return mask_module().decode(self.annToRLE(ann))


def as_list(value: Any) -> list[Any]:
    """One value or several, as a list."""
    return list(value) if hasattr(value, "__iter__") and hasattr(value, "__len__") and not _is_text(value) else [value]


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes)


def _rows(data: Any) -> list[Ann]:
    return [
        {"image_id": int(row[0]), "bbox": row[1:5], "score": row[5], "category_id": int(row[6])}
        for row in data.tolist()
    ]


def _read_results(source: Any) -> list[Ann]:
    if isinstance(source, str | Path):
        source = json.loads(Path(source).read_bytes())
    elif hasattr(source, "shape"):
        source = _rows(source)
    if not isinstance(source, list):
        raise AssertionError(f"results: expected a list, got {type(source).__name__}")
    return source
