"""pycocotools' ``COCOeval``: evaluate, accumulate, summarize."""

from __future__ import annotations

import copy
import datetime
import itertools
import time
from typing import Any

import numpy as np

from detmetrics.compat.pycocotools import accumulate as accumulating
from detmetrics.compat.pycocotools.entries import Entry
from detmetrics.compat.pycocotools.evaluated import Evaluated, of_cell
from detmetrics.compat.pycocotools.lists import ByCell, collect
from detmetrics.compat.pycocotools.params import Params as Params
from detmetrics.compat.pycocotools.problem import read_problem
from detmetrics.compat.pycocotools.summary import summarize


class COCOeval:
    """COCO's evaluation of detections, by boxes, masks or keypoints.

    Args:
        cocoGt: The annotations: a ``COCO`` object of this package or of pycocotools.
        cocoDt: The results, as ``loadRes`` makes them. May be assigned later.
        iouType: ``"bbox"``, ``"segm"`` or ``"keypoints"``.

    Attributes:
        params: What is evaluated; see :class:`Params`.
        evalImgs: After ``evaluate()``, by category, area range and image: a dict, or None where there is nothing.
            May be assigned, with ``params.imgIds`` and ``_paramsEval``, to join what several processes found.
        ious: After ``evaluate()``: the overlaps, by image id and category id.
        eval: After ``accumulate()``: ``precision`` and ``scores`` (T, R, K, A, M), ``recall`` (T, K, A, M), -1 where
            undefined; ``counts``, ``params``, ``date``.
        stats: After ``summarize()``: the 12 headline numbers, of keypoints 10.

    Raises:
        ValueError: if ``iouType`` is another.

    Source: pycocotools ``COCOeval``.
    """

    def __init__(self, cocoGt: Any = None, cocoDt: Any = None, iouType: str = "segm") -> None:
        self.params = Params(iouType)
        self.cocoGt = cocoGt
        self.cocoDt = cocoDt
        self.eval: dict[str, Any] = {}
        self.stats: Any = []
        self._paramsEval: Any = {}
        self._forget()
        if cocoGt is not None:
            self.params.imgIds = sorted(cocoGt.getImgIds())
            self.params.catIds = sorted(cocoGt.getCatIds())

    def _forget(self) -> None:
        self._base: Evaluated | None = None  # of ``cocoGt``, ``cocoDt`` and ``params``
        self._evaluated: Evaluated | None = None  # of other lists or overlaps too
        self._entries: Any = None
        self._ious: Any = None
        self._has_own_ious = False
        self._lists: list[ByCell | None] = [None, None]  # those that were read or assigned: they may be changed
        self.eval = {}

    @property
    def evalImgs(self) -> Any:
        """The result of each category, area range and image; see the class."""
        if self._entries is None and self._evaluated is not None:
            self._entries = self._evaluated.entries
        return [] if self._entries is None else self._entries

    @evalImgs.setter
    def evalImgs(self, entries: Any) -> None:
        self._entries = entries

    @property
    def ious(self) -> Any:
        """The overlaps of each image and category; see the class."""
        if self._ious is None and self._evaluated is not None:
            self._ious = self._evaluated.ious
        return {} if self._ious is None else self._ious

    @ious.setter
    def ious(self, ious: Any) -> None:
        known = {} if self._base is None else self._base.ious
        if any(value is not known.get(key) for key, value in ious.items()):
            self._has_own_ious, self._evaluated = True, None
        self._ious = ious

    def evaluate(self) -> None:
        """Match detections to targets, under all thresholds and area ranges of ``params``.

        What a subclass replaces of ``_prepare``, ``computeIoU``, ``computeOks`` (of keypoints) and ``evaluateImg`` is
        called, as in pycocotools.
        """
        start = time.time()
        print("Running per image evaluation...")
        params = self.params
        if params.useSegm is not None:
            params.iouType = "segm" if params.useSegm == 1 else "bbox"
            print(f"useSegm (deprecated) is not None. Running {params.iouType} evaluation")
        print(f"Evaluate annotation type *{params.iouType}*")
        params.imgIds = list(np.unique(params.imgIds))
        if params.useCats:
            params.catIds = list(np.unique(params.catIds))
        params.maxDets = sorted(params.maxDets)
        self._prepare()
        self._evaluate_cells()
        self._paramsEval = copy.deepcopy(params)
        print(f"DONE (t={time.time() - start:0.2f}s).")

    def _evaluate_cells(self) -> None:
        """All at once, but for what a subclass replaces."""
        params = self.params
        classes = params.catIds if params.useCats else [-1]
        name = self._overlap_method
        if _is_replaced(self, name):
            self.ious = {(i, k): getattr(self, name)(i, k) for i in params.imgIds for k in classes}
        if _is_replaced(self, "evaluateImg"):
            cells = itertools.product(classes, params.areaRng, params.imgIds)
            self.evalImgs = [self.evaluateImg(i, k, area, params.maxDets[-1]) for k, area, i in cells]
        else:
            _ = self._found().matches

    # --------------------------------------------------------------------------- what subclasses read, call and replace

    def _prepare(self) -> None:
        """Forget what was found, so that ``params``, ``cocoGt`` and ``cocoDt`` are read anew."""
        self._forget()

    @property
    def _gts(self) -> Any:
        """The targets by image id and category id: copies, with ``ignore``. Once they were read, they count."""
        return self._list(0, self.cocoGt)

    @_gts.setter
    def _gts(self, targets: Any) -> None:
        self._lists[0] = targets

    @property
    def _dts(self) -> Any:
        """The detections by image id and category id: copies. Once they were read, they count."""
        return self._list(1, self.cocoDt)

    @_dts.setter
    def _dts(self, detections: Any) -> None:
        self._lists[1] = detections

    def _list(self, side: int, coco: Any) -> ByCell:
        known = self._lists[side]
        self._lists[side] = found = collect(coco, self.params, side == 0) if known is None else known
        return found

    def _has_lists(self) -> bool:
        return any(side is not None for side in self._lists)

    def _read(self, params: Params) -> Evaluated:
        """What there is to find, in the lists if they were read."""
        lists = (self._gts, self._dts) if self._has_lists() else None
        return Evaluated(read_problem(self.cocoGt, self.cocoDt, params, lists), params)

    def _original(self) -> Evaluated:
        """What there is to find in ``cocoGt`` and ``cocoDt``."""
        if self._base is None:
            params = copy.deepcopy(self.params)
            self._base = Evaluated(read_problem(self.cocoGt, self.cocoDt, params), params)
        return self._base

    def _found(self) -> Evaluated:
        if self._evaluated is None:
            found = self._read(copy.deepcopy(self.params)) if self._has_lists() else self._original()
            self._evaluated = found.with_ious(self._ious) if self._has_own_ious else found
        return self._evaluated

    @property
    def _overlap_method(self) -> str:
        return "computeOks" if self.params.iouType == "keypoints" else "computeIoU"

    def computeOks(self, imgId: Any, catId: Any) -> Any:
        """The similarities of the keypoints of an image and a category; see :meth:`computeIoU`.

        Args:
            imgId: The image.
            catId: The category; -1 for all.
        """
        return COCOeval.computeIoU(self, imgId, catId)

    def computeIoU(self, imgId: Any, catId: Any) -> Any:
        """The overlaps of an image and a category.

        Args:
            imgId: The image.
            catId: The category; any without ``useCats``.

        Returns:
            ``(D, G)`` float64 for D detections, the best ``maxDets[-1]`` by score, and G targets; [] without pairs.
        """
        one_by_one = self._has_lists()  # they may be changed at any time
        found = self._read(of_cell(self.params, imgId, catId)) if one_by_one else self._original()
        return found.ious.get((imgId, self._label(catId)), [])

    def evaluateImg(self, imgId: Any, catId: Any, aRng: Any, maxDet: int) -> Entry | None:
        """The entry of ``evalImgs`` of an image and a category.

        Args:
            imgId: The image.
            catId: The category; any without ``useCats``.
            aRng: Inclusive bounds in square pixels.
            maxDet: How many detections take part, the best ones.

        Returns:
            A dict, or None without detections and targets.
        """
        label = self._label(catId)
        if not self._has_lists() and self._original().has(imgId, label, aRng, maxDet):
            return self._found().entry(imgId, label, aRng)
        params = of_cell(self.params, imgId, catId)
        params.areaRng, params.maxDets = [aRng], [maxDet]
        own = self.ious.get((imgId, label))
        overlaps = {(imgId, label): getattr(self, self._overlap_method)(imgId, catId) if own is None else own}
        return self._read(params).with_ious(overlaps).entries[0]

    def _label(self, category: Any) -> Any:
        return category if self.params.useCats else -1

    def accumulate(self, p: Params | None = None) -> None:
        """Make the arrays of ``eval``, from what ``evaluate()`` found.

        Once ``evalImgs`` were read or assigned, their entries are what counts, since they may have been changed.

        Args:
            p: Other recall points, limits, categories, area ranges or images, among those evaluated; None for
                ``params``.

        Raises:
            RuntimeError: before ``evaluate()``.
        """
        print("Accumulating evaluation results...")
        start = time.time()
        if self._evaluated is None and not self._entries:
            raise RuntimeError("accumulate: expected evaluate() before, or evalImgs")
        p = self.params if p is None else p
        p.catIds = p.catIds if p.useCats == 1 else [-1]
        shape = [len(p.iouThrs), len(p.recThrs), len(p.catIds), len(p.areaRng), len(p.maxDets)]
        arrays = accumulating.empty(shape)
        date = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        self.eval = {"params": p, "counts": shape, "date": date, **arrays}
        self._accumulate_into(arrays, p)
        print(f"DONE (t={time.time() - start:0.2f}s).")

    def _accumulate_into(self, arrays: dict[str, Any], p: Params) -> None:
        """Fill the first places of the axes with the classes, area ranges and limits that were evaluated."""
        before = self._paramsEval
        classes = accumulating.among(p.catIds, before.catIds if before.useCats else [-1])
        areas = accumulating.among(map(tuple, p.areaRng), map(tuple, before.areaRng))
        limits = [limit for limit in p.maxDets if limit in set(before.maxDets)]
        images = accumulating.among(p.imgIds, before.imgIds)
        if not (classes and areas and limits):
            return
        if self._entries is None and self._evaluated is not None and len(images) == len(before.imgIds):
            own = self._evaluated
            parts = list(accumulating.from_matches(own.problem, own.data, own.matches, limits))
            found = accumulating.fill([parts[area] for area in areas], p.recThrs)
            found = {key: values[..., classes, :, :] for key, values in found.items()}
        else:
            parts = [
                accumulating.from_entries(self._entries_of(classes, area, images), len(p.iouThrs), limits)
                for area in areas
            ]
            found = accumulating.fill(parts, p.recThrs)
        for key, values in found.items():
            arrays[key][..., : len(classes), : len(areas), : len(limits)] = values

    def _entries_of(self, classes: list[int], area: int, images: list[int]) -> list[list[Entry]]:
        """The entries of some images in an area range, by class."""
        num_images, num_areas = len(self._paramsEval.imgIds), len(self._paramsEval.areaRng)
        entries = self.evalImgs
        chosen = ([entries[(k * num_areas + area) * num_images + i] for i in images] for k in classes)
        return [[entry for entry in own if entry is not None] for own in chosen]

    def summarize(self) -> None:
        """Print the headline numbers, and keep them in ``stats``.

        Raises:
            RuntimeError: before ``accumulate()``.
        """
        if not self.eval:
            raise RuntimeError("summarize: expected accumulate() before")
        self.stats = summarize(self.eval["precision"], self.eval["recall"], self.params)


def _is_replaced(evaluation: COCOeval, method: str) -> bool:
    """Whether a subclass, or an assignment to the object, replaces a method."""
    return getattr(type(evaluation), method) is not getattr(COCOeval, method) or method in vars(evaluation)
