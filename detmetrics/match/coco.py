"""COCO's rules: thresholds, area ranges, crowds and ignored targets become bits, and bits become matches."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from detmetrics.match.evaluation_data import CROWD, EvaluationData
from detmetrics.match.greedy import BITS as BITS
from detmetrics.match.greedy import greedy_match
from detmetrics.match.images import Images
from detmetrics.ragged import BLOCK, blocks, constants, cuts, occurrences, rank_in_run, run_starts

AreaRange = tuple[float, float]
SUFFICIENT = 1 - 1e-10  # an overlap that reaches any threshold, as in COCO


class Matches(NamedTuple):
    """The overlaps that are a match under any setting; under one setting a detection occurs at most once.

    Setting ``a * T + t`` (area range a, threshold t) is bit ``setting % BITS`` of word ``setting // BITS``.
    """

    detection: Tensor  # (n,) int64, index of the detection in the data
    target: Tensor  # (n,) int64, index of the target
    iou: Tensor  # (n,) float64, their overlap
    hits: Tensor  # (W, n) int64 words: a match with a counted target
    ignored: Tensor  # (W, n) int64 words: a match with a crowd, an ignored target or one outside the area range

    def carried_to(self, taken: Images) -> Matches:
        """The matches in the images that were taken."""
        own = taken.rows(taken.data.image.index_select(0, self.detection))
        detection, target, iou = (column.index_select(0, own.at) for column in self[:3])
        return Matches(
            taken.renumbered_detections(detection, own.image),
            taken.renumbered_targets(target, own.image),
            iou,
            *(words.index_select(1, own.at) for words in self[3:]),
        )

    def at(self, setting: int) -> Matches:
        """The matches under one setting, which becomes setting 0."""
        hits, ignored = (select_bits(words, range(setting, setting + 1)) for words in (self.hits, self.ignored))
        at = (hits | ignored)[0].nonzero().squeeze(1)
        own = self.detection[at], self.target[at], self.iou[at]
        return Matches(*own, hits[:, at].long(), ignored[:, at].long())


def select_bits(words: Tensor, settings: range) -> Tensor:
    """The bits of some settings, ``(settings, n)`` bool, from words ``(W, n)``."""
    setting = torch.arange(settings.start, settings.stop, device=words.device)
    bits = words.index_select(0, setting // BITS)
    bits >>= (setting % BITS)[:, None]
    bits &= 1
    return bits.bool()


def within(areas: Tensor, area_ranges: Sequence[AreaRange]) -> Tensor:
    """Whether areas ``(n,)`` lie in ranges, bounds included, ``(A, n)`` bool."""
    bounds = constants(area_ranges, areas.device, torch.float64)  # (A, 2)
    return (areas >= bounds[:, :1]) & (areas <= bounds[:, 1:])


def counted_targets(data: EvaluationData, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The targets that a detector should find, ``(A, M)`` bool."""
    return within(data.target_areas, area_ranges) & (data.target_flags == 0)


def count_targets(data: EvaluationData, classes: Tensor, area_ranges: Sequence[AreaRange]) -> Tensor:
    """The number of counted targets of each class, ``(A, C)`` int64."""
    counted, num_classes = counted_targets(data, area_ranges), len(classes)
    cell = torch.arange(len(area_ranges), device=classes.device)[:, None] * num_classes
    cell = cell + torch.searchsorted(classes, data.target_labels)  # (A, M)
    num_cells = len(area_ranges) * num_classes
    others = cell.masked_fill_(~counted, num_cells)  # have a place of their own
    return occurrences(others.flatten(), num_cells + 1)[:-1].view(len(area_ranges), num_classes)


def match(
    data: EvaluationData,
    iou_thresholds: Sequence[float],
    area_ranges: Sequence[AreaRange],
    among: Tensor | None = None,
) -> Matches:
    """Match detections to targets for every area range and threshold at once.

    Args:
        data: The overlaps among others, down to the smallest threshold.
        iou_thresholds: T numbers in [0, 1]; as in COCO an overlap of 1 - 1e-10 reaches any.
        area_ranges: A pairs of inclusive bounds, in square pixels.
        among: ``(N,)`` bool, the detections that take part; None for all.

    Returns:
        The matches of all A * T settings.

    Source: pycocotools ``COCOeval.evaluateImg``.
    """
    suffices = data.iou >= min(*iou_thresholds, SUFFICIENT)  # none of the others is ever a match
    if among is not None:
        suffices &= among.index_select(0, data.overlap_detection)
    if len(suffices) <= 2 * BLOCK or int(suffices.sum()) <= 2 * BLOCK:
        at = suffices.nonzero().squeeze(1)
        return _match_some(data, at, iou_thresholds, area_ranges, None)[0]
    # A detection takes what those before it have left: only the targets that are taken go from one part to the next.
    used = data.overlap_target.new_zeros((-(-len(iou_thresholds) * len(area_ranges) // BITS), len(data.target_labels)))
    found = [_match_some(data, at, iou_thresholds, area_ranges, used) for at in _parts(data, suffices)]
    order = torch.cat([at for _, at in found]).argsort()
    parts = zip(*(matches for matches, _ in found), strict=True)
    return Matches(*(torch.cat(part, dim=-1).index_select(-1, order) for part in parts))


def _parts(data: EvaluationData, kept: Tensor) -> Iterator[Tensor]:
    """The indices of the overlaps that are kept ``(E,)`` bool, those of some detections after those of others."""
    counts = occurrences(data.overlap_detection, len(data.labels))
    edges = constants(cuts(counts, BLOCK)[1:-1], counts.device, torch.int64)
    pieces = []  # for each block of overlaps where in it those of each part are
    for block in blocks(len(kept), BLOCK):
        at = kept[block].nonzero().squeeze(1)
        detection = data.overlap_detection[block].index_select(0, at)
        part = torch.searchsorted(edges, detection, right=True, out_int32=True)
        order = part.sort(stable=True).indices
        sizes = occurrences(part, len(edges) + 1).tolist()
        pieces.append((block.start, at.index_select(0, order).int().split(sizes)))
    for number in range(len(edges) + 1):
        yield torch.cat([start + own[number].long() for start, own in pieces])


def _match_some(
    data: EvaluationData,
    at: Tensor,
    iou_thresholds: Sequence[float],
    area_ranges: Sequence[AreaRange],
    used: Tensor | None,
) -> tuple[Matches, Tensor]:
    """The matches among the overlaps ``at`` (E,), and which of all overlaps they are.

    ``used`` holds the words (W, M) under which targets are taken already, and is brought up to date; None for none.
    """
    chosen = data.at_overlaps(at)
    detection, target = chosen.overlap_detection, chosen.overlap_target
    crowd = (data.target_flags & CROWD != 0).index_select(0, target)
    passes = [chosen.iou >= min(threshold, SUFFICIENT) for threshold in iou_thresholds]  # T of (E,)
    counts = list(counted_targets(data, area_ranges).index_select(1, target))  # A of (E,)
    settings = list(itertools.product(range(len(counts)), range(len(passes))))
    hits, ignored = [], []
    for start in range(0, len(settings), BITS):
        counted, ignorable = _words(settings[start : start + BITS], counts, passes)
        columns = detection, target, chosen.iou, counted, ignorable, crowd
        taken = greedy_match(*columns) if used is None else _match_the_rest(*columns, used[start // BITS])
        hits.append(taken & counted)
        ignored.append(taken & ~counted)
    words = torch.stack([*hits, *ignored])  # (2 W, E)
    kept = (words != 0).any(0).nonzero().squeeze(1)
    words = words.index_select(1, kept).view(2, len(hits), -1)
    matches = Matches(*(column.index_select(0, kept) for column in (detection, target, chosen.iou)), *words)
    return matches, at.index_select(0, kept)


def _match_the_rest(
    detection: Tensor, target: Tensor, iou: Tensor, counted: Tensor, ignorable: Tensor, crowd: Tensor, used: Tensor
) -> Tensor:
    """:func:`greedy_match` of what the words ``used`` (M,) leave of the targets; they are brought up to date."""
    free = ~used.index_select(0, target)
    free &= counted | ignorable
    at = free.nonzero().squeeze(1)  # where everything overlaps few targets are left after the first parts
    detection, target, iou, crowd = (x.index_select(0, at) for x in (detection, target, iou, crowd))
    words = [(word & free).index_select(0, at) for word in (counted, ignorable)]
    own = greedy_match(detection, target, iou, words[0], words[1], crowd)
    used.index_add_(0, target, own.masked_fill(crowd, 0))  # each bit is new, and a crowd is never used up
    return torch.zeros_like(counted).index_copy_(0, at, own)


def _words(
    settings: Sequence[tuple[int, int]], counts: Sequence[Tensor], passes: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """The bits under which an overlap suffices and its target counts, and those under which the target is ignored.

    Args:
        settings: Area range and threshold of each bit, by area range.
        counts: For each area range whether the target counts, ``(E,)`` bool.
        passes: For each threshold whether the overlap reaches it, ``(E,)`` bool.
    """
    counted, suffices = torch.zeros((2, len(passes[0])), dtype=torch.int64, device=passes[0].device)
    sufficient: dict[tuple[int, ...], Tensor] = {}  # most area ranges have the same thresholds
    bit = 0
    for area, group in itertools.groupby(settings, key=operator.itemgetter(0)):
        thresholds = tuple(threshold for _, threshold in group)
        if thresholds not in sufficient:
            sufficient[thresholds] = _packed([passes[threshold] for threshold in thresholds])
        own = sufficient[thresholds] << bit
        suffices |= own
        counted |= own.mul_(counts[area])
        bit += len(thresholds)
    return counted, suffices & ~counted


def _packed(masks: Sequence[Tensor]) -> Tensor:
    """Words ``(E,)`` int64 whose bits are masks ``(E,)``, the first one lowest."""
    word = masks[-1].long()
    for mask in reversed(masks[:-1]):
        word <<= 1
        word |= mask
    return word


def match_all(
    data: EvaluationData,
    iou_thresholds: tuple[float, ...],
    area_ranges: tuple[AreaRange, ...],
    max_detections: int | None = None,
) -> Matches:
    """:func:`match`, worked out once for all metrics that read the same data.

    Args:
        data: The overlaps among others.
        iou_thresholds: T numbers in [0, 1].
        area_ranges: A pairs of inclusive bounds.
        max_detections: Only the best so many detections per class and image are asked about. What they take does not
            depend on those below, which are left out: of thousands of overlapping detections few are looked at.
    """
    among = None if max_detections is None else _best(data, max_detections)
    limit = None if among is None else max_detections
    return data.memo.answer(
        ("matches", iou_thresholds, area_ranges, limit), lambda: match(data, iou_thresholds, area_ranges, among)
    )


def _best(data: EvaluationData, limit: int) -> Tensor | None:
    """The detections up to a limit, ``(N,)`` bool; None if no others have overlaps."""
    best = rank_in_run(run_starts(data.image, data.labels)) < limit  # (N,)
    return None if bool(best.index_select(0, data.overlap_detection).all()) else best


def known_matches(
    data: EvaluationData, iou_threshold: float, area_range: AreaRange, max_detections: int | None
) -> Matches | None:
    """The matches under one setting, if :func:`match_all` was called for it, and for as many detections."""
    for question in data.memo.questions():
        if isinstance(question, tuple) and question[0] == "matches":
            _, thresholds, area_ranges, limit = question
            enough = limit is None or (max_detections is not None and max_detections <= limit)
            if enough and iou_threshold in thresholds and area_range in area_ranges:
                matches = match_all(data, thresholds, area_ranges, limit)
                return matches.at(area_ranges.index(area_range) * len(thresholds) + thresholds.index(iou_threshold))
    return None
