"""pycocotools' arrays of precision, recall and scores, from matches or from entries of ``evalImgs``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from detmetrics.compat.pycocotools.entries import Entry
from detmetrics.compat.pycocotools.problem import Problem
from detmetrics.match.coco import Matches, count_targets, within
from detmetrics.match.evaluation_data import EvaluationData
from detmetrics.ragged import descending_key, lexsort
from detmetrics.reduce.interpolation import final_recall, interpolate, true_positives
from detmetrics.reduce.ranking import Accumulated, Matched, Ranking, rank

Array = npt.NDArray[Any]
ALL = torch.iinfo(torch.int64).max  # as a limit: all detections


def empty(shape: Sequence[int]) -> dict[str, Array]:
    """Precision and scores of a shape (T, R, K, A, M), and recall (T, K, A, M), all -1."""
    num_thresholds, _, *others = shape
    return {
        "precision": np.full(shape, -1.0),
        "recall": np.full([num_thresholds, *others], -1.0),
        "scores": np.full(shape, -1.0),
    }


def among(asked: Any, evaluated: Any) -> list[int]:
    """The positions of what was evaluated, in the list that is asked about."""
    known = set(evaluated)
    return [position for position, value in enumerate(asked) if value in known]


def fill(parts: Sequence[Sequence[Accumulated]], recall_points: Any) -> dict[str, Array]:
    """Precision and scores (T, R, C, A, M), and recall (T, C, A, M); -1 for classes without counted targets.

    Args:
        parts: A times M of them.
        recall_points: R numbers.
    """
    points = torch.tensor(np.asarray(recall_points), dtype=torch.float64)
    found = [[(part, true_positives(part)) for part in area] for area in parts]
    curves = [[interpolate(*part, points) for part in area] for area in found]
    recalls = [[final_recall(*part, [ALL]) for part in area] for area in found]
    precision, scores = (
        torch.stack([torch.cat([curve[field] for curve in area]) for area in curves]).permute(2, 4, 3, 0, 1)
        for field in (0, 1)
    )
    recall = torch.stack([torch.cat(area) for area in recalls])[..., 0].permute(2, 3, 0, 1)
    named = {"precision": precision, "recall": recall, "scores": scores}
    return {key: values.nan_to_num(-1.0).contiguous().numpy() for key, values in named.items()}


def from_matches(
    problem: Problem, data: EvaluationData, matches: Matches, limits: Sequence[int]
) -> Iterator[list[Accumulated]]:
    """For each area range, the matches under each limit."""
    labels = torch.arange(len(problem.classes))
    ranked = rank(data, labels, matches)
    num_targets = count_targets(data, labels, problem.areas)  # (A, C)
    num_thresholds = len(problem.thresholds)
    limited = [ranked.limited(limit) for limit in limits]
    for area, bounds in enumerate(problem.areas):
        settings = range(area * num_thresholds, (area + 1) * num_thresholds)
        inside = within(data.areas.index_select(0, ranked.order), [bounds])  # (1, N)
        countable = [inside & (ranked.rank < limit) for limit in limits]
        yield [
            Accumulated(ranked.ranking, own.matched(settings, counts), counts, num_targets[area : area + 1])
            for own, counts in zip(limited, countable, strict=True)
        ]


def from_entries(entries: Sequence[Sequence[Entry]], num_thresholds: int, limits: Sequence[int]) -> list[Accumulated]:
    """The matches in one area range under each limit.

    Args:
        entries: Those of each class, by image.
        num_thresholds: T.
        limits: On the detections of an entry.
    """
    flat = [entry for own in entries for entry in own]
    classes = [label for label, own in enumerate(entries) for _ in own]
    sizes = [len(entry["dtScores"]) for entry in flat]
    label = torch.tensor(np.repeat(np.array(classes, dtype=np.int64), sizes))
    scores = torch.tensor([score for entry in flat for score in entry["dtScores"]], dtype=torch.float64)
    order = lexsort(label, descending_key(scores))
    rank_in_entry = torch.tensor([n for size in sizes for n in range(size)], dtype=torch.int64).index_select(0, order)
    matched, ignored = (_joined(flat, key, num_thresholds)[:, order] for key in ("dtMatches", "dtIgnore"))
    counted = [sum(int(np.count_nonzero(np.asarray(e["gtIgnore"]) == 0)) for e in own) for own in entries]
    label, scores = label.index_select(0, order), scores.index_select(0, order)
    found = []
    for limit in limits:
        at = (rank_in_entry < limit).nonzero().squeeze(1)
        columns = label[at], scores[at], rank_in_entry[at]
        found.append(_accumulated(*columns, matched[:, at], ignored[:, at], torch.tensor(counted)))
    return found


def _joined(entries: Sequence[Entry], key: str, num_thresholds: int) -> Tensor:
    """``(T, N)`` bool, whether a number is not 0."""
    none = np.zeros((num_thresholds, 0), dtype=bool)
    return torch.from_numpy(np.concatenate([none, *(np.asarray(entry[key]) != 0 for entry in entries)], axis=1))


def _accumulated(
    label: Tensor, scores: Tensor, rank: Tensor, matched: Tensor, ignored: Tensor, num_targets: Tensor
) -> Accumulated:
    """From detections (N,) by class and score, and whether they are matched and ignored, (T, N) bool."""
    first = torch.searchsorted(label, torch.arange(len(num_targets)))
    padded = torch.cat([label, label.new_full((1,), -1)])[first], torch.cat([scores, scores.new_zeros(1)])[first]
    best = torch.where(padded[0] == torch.arange(len(num_targets)), padded[1], 0.0)
    # What an unmatched detection is under one threshold it is under all; where it is matched it does not matter.
    countable = ~(ignored & ~matched).any(0)
    at = matched.any(0).nonzero().squeeze(1)
    hits, out = (matched & ~ignored)[:, at], (matched & ignored)[:, at]
    found = Matched(at, rank[at], label[at], scores[at], countable[None, at], hits, out)
    return Accumulated(Ranking(first, best), found, countable[None], num_targets[None])
