"""COCO's greedy matching from overlaps, for many thresholds and area ranges at once.

Greedy matching lets the detections choose in order of score. All targets therefore rank detections alike, the greedy
matching is the only stable one, and deferred acceptance finds it for all detections in parallel: every detection
proposes to the best target that it still may have, and every target strikes out all detections scored below the best
proposer. A detection that was struck out can never come back, and one that is the best proposer stays until a better
one comes, so the loop ends when no proposal is refused. Each setting (a threshold in an area range) is one bit of an
int64 word, so that a round settles up to 63 settings with AND, OR and prefix-ORs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from detmetrics.ragged import descending_key, lexsort, occurrences, rank_in_run, run_starts

BITS = 63  # settings in a word; the sign bit is left alone
DENSE = 1 << 13  # overlaps of detections that compete, from which on they are matched one after the other
MAX_ROUNDS = 16  # then the rest is finished on the host, see _accept_serially


def greedy_match(
    detection: Tensor, target: Tensor, iou: Tensor, counted: Tensor, ignored: Tensor, shared: Tensor
) -> Tensor:
    """Match detections to targets as pycocotools does, for every bit by itself.

    A detection takes the free counted target with the largest overlap; of equal overlaps the later target. If there is
    none, it takes an ignored target by the same rule; a shared one (a crowd) is never used up.

    Args:
        detection: ``(E,)`` int64. A smaller index chooses first, among detections that compete for a target.
        target: ``(E,)`` int64.
        iou: ``(E,)`` float64.
        counted: ``(E,)`` int64 words: the bits under which the overlap suffices and the target counts.
        ignored: ``(E,)`` int64 words: the bits under which it suffices and the target is ignored.
        shared: ``(E,)`` bool: the target can be taken any number of times.

    Returns:
        ``(E,)`` int64 words: the bits under which this detection takes this target.

    Source: pycocotools ``COCOeval.evaluateImg``.
    """
    if not len(detection):
        return counted
    by_choice = lexsort(detection, descending_key(iou), -target)
    columns = [x.index_select(0, by_choice) for x in (detection, target, counted, ignored, shared)]
    dense = _in_dense_groups(columns[0], columns[1])
    if dense is None:
        taken = _match_in_parallel(*columns)
    else:
        taken = torch.empty_like(columns[2])
        for rows, method in ((dense, _match_serially), (~dense, _match_in_parallel)):
            at = rows.nonzero().squeeze(1)
            if len(at):
                taken[at] = method(*(x.index_select(0, at) for x in columns))
    return torch.empty_like(taken).index_copy_(0, by_choice, taken)


def _in_dense_groups(detection: Tensor, target: Tensor) -> Tensor | None:
    """Which rows ``(E,)`` belong to a group of detections with many overlaps that compete for targets; None for none.

    Detections are numbered so that those of an image, or of a class in an image, are neighbours. So the detections
    between the first and the last of a target belong together, and groups are what such intervals make when they meet.
    """
    if len(detection) < DENSE:
        return None
    size = (int(target.max()) + 1,)
    last = target.new_full(size, -1).scatter_reduce_(0, target, detection, "amax")
    first = torch.full_like(last, torch.iinfo(torch.int64).max).scatter_reduce_(0, target, detection, "amin")
    order = first.argsort(stable=True)  # targets without overlaps come last
    reach = last.index_select(0, order).cummax(0).values
    starts = torch.ones_like(order, dtype=torch.bool)  # of the groups
    starts[1:] = first.index_select(0, order)[1:] > reach[:-1]
    group = torch.empty_like(order).index_copy_(0, order, starts.cumsum(0) - 1)  # of each target
    group = group.index_select(0, target)
    dense = occurrences(group, *size) >= DENSE
    return dense.index_select(0, group) if bool(dense.any()) else None


def _match_in_parallel(detection: Tensor, target: Tensor, counted: Tensor, ignored: Tensor, shared: Tensor) -> Tensor:
    """Deferred acceptance over rows in order of choice: first of counted targets, then of ignored ones."""
    target_order = lexsort(target, detection)
    by_detection, by_target = _row_runs(run_starts(detection), run_starts(target.index_select(0, target_order)))
    exclusive = torch.zeros_like(shared)  # a counted target is taken once
    taken = _accept(counted, exclusive, by_detection, by_target, target_order)
    left_over = ignored & ~by_detection.any(taken)  # a detection takes one target under each bit
    return taken | _accept(left_over, shared, by_detection, by_target, target_order)


def _match_serially(detection: Tensor, target: Tensor, counted: Tensor, ignored: Tensor, shared: Tensor) -> Tensor:
    """One detection after the other, on the host; all candidates of a detection at once, each of them touched once.

    Rounds of deferred acceptance cost the number of overlaps each, and where all detections of an image compete there
    are as many rounds as detections.
    """
    ends = (run_starts(detection).roll(-1).nonzero().squeeze(1) + 1).tolist()
    targets, words, spares, crowds = (x.cpu().numpy() for x in (target, counted, ignored, shared))
    exclusive = np.where(crowds, np.int64(0), np.int64(-1))  # a crowd is never used up
    used = np.zeros(int(target.max()) + 1, dtype=np.int64)  # the bits under which each target is taken
    taken, start = np.empty_like(words), 0
    for end in ends:
        own = slice(start, end)
        candidates = targets[own]
        free = ~(used[candidates] & exclusive[own])
        matched = _first_of_each_bit(words[own] & free)
        spare = spares[own] & free
        if spare.any():
            matched |= _first_of_each_bit(spare & ~np.bitwise_or.reduce(matched))
        used[candidates] |= matched & exclusive[own]  # a detection overlaps a target once
        taken[own] = matched
        start = end
    return torch.from_numpy(taken).to(counted.device)


def _first_of_each_bit(words: Any) -> Any:
    """The words with each bit left only where it is set for the first time."""
    upto = np.bitwise_or.accumulate(words)
    first = words.copy()
    first[1:] &= ~upto[:-1]
    return first


class RowRuns:
    """Runs of neighbouring rows, and OR over the words within a run.

    Args:
        starts: ``(E,)`` bool, True at the first row of each run.
        rank: ``(E,)`` int64, how many rows of its run come before a row.
        longest: The number of rows of the longest run.
    """

    def __init__(self, starts: Tensor, rank: Tensor, longest: int) -> None:
        self.run = starts.cumsum(0) - 1  # (E,)
        # same[k] says of the rows from 2**k on whether the row 2**k further up belongs to the same run
        self.same = [rank[1 << k :] >= 1 << k for k in range((longest - 1).bit_length())]
        self.num_steps = max(longest - 2, 0).bit_length()  # until the longest run but one row is covered
        self.zero = self.run.new_zeros(())

    def before(self, words: Tensor) -> Tensor:
        """OR of the words above a row in its run, ``(E,)``; 0 for the first."""
        # After step k a row holds the OR of the 2**(k + 1) rows above it, as far as they belong to its run.
        above = torch.zeros_like(words)
        if self.same:
            torch.where(self.same[0], words[:-1], self.zero, out=above[1:])
        for k, same in enumerate(self.same[: self.num_steps]):
            step = 1 << k
            above[step:] |= torch.where(same, above[:-step], self.zero)
        return above

    def any(self, words: Tensor) -> Tensor:
        """OR of all the words of a row's run, ``(E,)``, where each bit is set in one row of a run at most."""
        whole = torch.zeros_like(words).index_add_(0, self.run, words)
        return whole.index_select(0, self.run)


def _row_runs(*starts: Tensor) -> list[RowRuns]:
    """Runs from their starts, ``(E,)`` bool each; the longest runs are read back together."""
    ranks = [rank_in_run(part) for part in starts]
    longest = torch.stack([rank.amax() for rank in ranks]).tolist()
    return [RowRuns(part, rank, most + 1) for part, rank, most in zip(starts, ranks, longest, strict=True)]


def _accept(words: Tensor, shared: Tensor, by_detection: RowRuns, by_target: RowRuns, target_order: Tensor) -> Tensor:
    """Deferred acceptance: the bits of ``words`` that end up as matches, rows in order of choice."""
    exclusive = ~shared.index_select(0, target_order)
    # Invariant: a bit is deleted only where a better-scored detection proposes to the same target, and that proposal
    # can only ever be replaced by a still better one. So a deleted bit is no match in the end.
    for _ in range(MAX_ROUNDS):
        proposals = words & ~by_detection.before(words)
        proposed = proposals.index_select(0, target_order)
        refused = torch.where(exclusive, by_target.before(proposed), 0)  # a better-scored detection proposes there
        if not bool((proposed & refused).any()):
            return proposals
        words = words & ~torch.empty_like(words).index_copy_(0, target_order, refused)
    target = torch.empty_like(words).index_copy_(0, target_order, by_target.run)
    return _accept_serially(words, shared, by_detection.run, target)


def _accept_serially(words: Tensor, shared: Tensor, detection: Tensor, target: Tensor) -> Tensor:
    """The same by letting one detection choose after the other, on the host; each overlap is touched once."""
    columns = (x.tolist() for x in (words, shared, detection, target))
    taken: dict[int, int] = {}  # the bits under which a target is taken
    matches, chooser, wanted = [], -1, 0  # wanted: the bits under which the detection is still unmatched
    for word, is_shared, det, tgt in zip(*columns, strict=True):
        if det != chooser:
            chooser, wanted = det, -1
        match = word & wanted if is_shared else word & wanted & ~taken.get(tgt, 0)
        wanted &= ~match
        if not is_shared:
            taken[tgt] = taken.get(tgt, 0) | match
        matches.append(match)
    return torch.tensor(matches, dtype=torch.int64, device=words.device)
